"""The lectures' baseline: the nearest class mean by RMSE or MAE, on its own training images."""

from __future__ import annotations

import time

import numpy as np

from lectures import data
from lectures.example import Example
from lectures.outcome import Figure, Outcome
from pipeline.files import artifacts, split_files, timing_cache
from pipeline.inputs import pixels
from pipeline.process.errors import UserError
from pipeline.search.engine import Engine
from pipeline.targets import _scores


def outcomes(example: Example, where: Engine, quick: bool) -> tuple[list[Outcome], str]:
    """One variation per distance, `rmse` or `mae`. Raises UserError."""
    settings = example.params(example.variations[0].model_copy(update={"settings": {}}), quick)
    raw = data.downloaded(settings) / artifacts.RAW
    description = artifacts.load_description(raw / "description.json")
    images, labels = split_files.load_split("train", raw)
    count = settings.preprocess.subset or len(labels)
    images, labels = np.asarray(images[:count]), np.asarray(labels[:count])
    started = time.perf_counter()
    means = pixels.class_means(images, labels, len(description.class_names))
    predictions = pixels.nearest(images, means)
    spent = (time.perf_counter() - started) / len(example.variations)
    seconds = timing_cache.remember(
        f"nearest-mean-{example.digest()}-{len(labels)}", round(spent, 1)
    )
    measured = []
    for variation in example.variations:
        distance = variation.settings.get("distance")
        if distance not in predictions:
            raise UserError(
                f"variation {variation.name!r}: distance is {distance!r};"
                f" expected one of {', '.join(predictions)}"
            )
        score = _scores.baseline_score(predictions[distance], labels, description)
        figures: dict[str, list[Figure]] = {"accuracy": [score.accuracy]}
        figures |= {f"accuracy_of_{name}": [recall] for name, recall in score.per_class.items()}
        measured.append(Outcome(variation.name, figures, seconds=seconds))
    return measured, data.describe([settings])
