"""Sounds: how they become features, and how `ds_cnn` learns from them.

The training is that of docs/sounds.md, which was measured on 2,000 spoken digits.
"""

from __future__ import annotations

import math

from pipeline.config.params import Dataset
from pipeline.datasets.reading import sound_list
from pipeline.planning import kinds
from pipeline.planning.choice import Choice
from pipeline.planning.data import Survey
from pipeline.planning.kinds import Recipe, SearchedNetwork, Words
from pipeline.planning.networks import Candidate

RATE = 16_000  # Hz: what speech and most machines need
SHORTEST, LONGEST = 0.3, 3.0  # seconds
FRAME = 0.032  # seconds of a window


def dataset(data: Survey) -> list[Choice]:
    """`dataset.rate` and the other values of log-mel features."""
    rate = min(data.rate, RATE)
    seconds = min(max(math.ceil(10 * data.seconds) / 10, SHORTEST), LONGEST)
    has = f"nearly all of your files have {data.rate:,} Hz or more"
    lasts = f"19 of 20 of your recordings last at most {data.seconds:.2g} s"
    window = round(FRAME * rate)
    return [
        Choice("dataset.rate", rate, f"{has}; {RATE:,} are enough for speech and machines"),
        Choice("dataset.seconds", seconds, f"{lasts}; what follows is cut off"),
        Choice("dataset.window", window, f"{1000 * FRAME:.0f} ms"),
        Choice("dataset.hop", window // 2, "half a window"),
        Choice("dataset.bands", 32 if rate < RATE else 40),
    ]


def augmentation(_: Survey) -> Choice:
    reason = "other voices, microphones and rooms, and parts masked"
    return Choice("train.augmentation", "speech", reason)


RECIPE = Recipe(2400, 0.01, dataset, augmentation)


class Sounds(kinds.PlannedKind):
    searched = SearchedNetwork("ds_cnn", layers=4, first=28, last=72, any_form=False)

    def words(self, data: Survey) -> Words:
        return Words("recording", "recordings", "is heard in the recording")

    def candidates(self, data: Survey, board: str | None, has_weights: bool) -> list[Candidate]:
        reason = "a small network for spoken words and other short sounds"
        return [Candidate("ds_cnn", None, reason)]

    def shape(self, dataset: Dataset) -> tuple[int, ...]:
        return sound_list.shape(dataset)

    def recipe(self, data: Survey) -> Recipe | None:
        return RECIPE

    def grouped(self, data: Survey) -> str:
        return kinds.grouped(data, "the column of your list that says who or what was recorded")


KIND = Sounds()
