"""Who or what was recorded, from the names of files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.config import params
from pipeline.config.params import Dataset
from pipeline.datasets import image_folder
from pipeline.files import groups
from pipeline.planning import speakers, survey
from tests.planning.conftest import photo, values

LANGUAGES = [
    f"{name}/{file}.wav"
    for name in ("fr_CA_f_June", "it_IT_m_Carlo", "ru_RU_f_Olga")
    for file in ("busy", *(f"digits/{i}" for i in range(9)), *(f"letters/{i}" for i in range(9)))
]


def test_pieces_of_one_recording_are_told_by_all_numbers_behind_its_name() -> None:
    files = [
        (f"{label}/{take}{100 + number}-0-{piece}.wav", label)
        for label, take in (("dog", "d"), ("cat", "c"))
        for number in range(3)
        for piece in range(4)
    ]
    _, names = speakers.find(files)
    assert names == ["c100", "c101", "c102", "d100", "d101", "d102"]


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ([f"{d}/{d}_{n}_{i}.wav" for d in "12" for n in ("al", "bo", "cy") for i in "345"], "abc"),
        ([f"{d}/{n}-{i}.wav" for d in "12" for n in ("al", "bo", "cy") for i in "345"], "abc"),
        ([f"{d}/{i}_{n}.wav" for d in "12" for n in ("al", "bo", "cy") for i in "345"], "abc"),
        ([f"{d}/{n}/{i}.wav" for d in "12" for n in ("al", "bo", "cy") for i in "345"], "abc"),
        ([f"{d}/{n}3/{c}/{i}.wav" for d in "12" for n in "uvw" for c in "xy" for i in "45"], "uvw"),
        ([f"{d}-{n}3-{i}.wav" for d in "12" for n in ("a1", "b0", "c") for i in "345"], "abc"),
        ([f"{d}/{d}_en{n}5_{i}.wav" for d in "12" for n in ("ü9", "b0") for i in "3456"], ""),
        ([f"{d}/{d}_{n}4x_{i}.wav" for d in "12" for n in ("é1", "b0", "c") for i in "34"], "bcé"),
        ([f"{d}/0{n}/{i}.wav" for d in ("up", "on") for n in "123" for i in "345"], "000"),
        ([f"{d}/{n}{d}/{i}.wav" for d in "12" for n in ("al", "bo", "cy") for i in "345"], ""),
        ([f"{d}/{d}_{i}.wav" for d in ("up", "down", "left") for i in range(9)], ""),  # classes
        ([f"{d}/IMG_{i}.wav" for d in ("up", "down", "left") for i in range(9)], ""),
        ([f"{d}/{i}_x.wav" for d in ("up", "down", "left") for i in range(9)], ""),  # numbers
        ([f"{p}l/04-{p}{n}-f-{i}.wav" for p in "ik" for n in "123" for i in "45"], "000000"),
        ([f"{p}l/04-{p}{n}-f-{i}.wav" for p in "ik" for n in "12" for i in "456"], ""),  # too few
        ([f"{p}l/04-{p}{n}-f-4.wav" for p in "ik" for n in "123456789"], ""),  # one file each
        ([f"{d}/{d}{n}_trial{i}.wav" for d in "st" for n in "123" for i in "45"], "sssttt"),
        ([f"{d}/trial{i}_{d}.wav" for d in "st" for i in "12345"], ""),  # numbers
        (LANGUAGES, ""),  # the name stands in several folders, but of one class
    ],
)
def test_speakers_are_found_in_names_of_files(files: list[str], names: str) -> None:
    expression, speaker_names = speakers.find([(file, re.split("[/-]", file)[0]) for file in files])
    assert "".join(name[0] for name in speaker_names) == names
    assert (expression is None) == (not names)


def test_sessions_in_the_names_of_photos_are_told_until_the_value_is_set(folder: Path) -> None:
    """Nobody knows whether the numbers are sessions, so no group is proposed."""
    for number in range(32):
        label = ("hammer", "saw")[number % 2]
        photo(Path("tools") / label / f"train_{30 + number // 8}_{number % 8}.png", number)
    data = survey.survey(Path("tools"))
    assert (data.group, values(data)["preprocess.group"]) == (None, None)
    (note,) = data.ungrouped
    assert note.startswith(
        "the names of the files may say what belongs together (4 names, such as train_30 and "
        "train_31): if these are people, objects or sessions, set preprocess.group: '"
    )
    expression = note.split("'")[1]
    files = [
        row.file for row in image_folder.listed(Dataset.model_validate(data.values)).candidates
    ]
    assert len(set(groups.of_files(files, {}, expression))) == 4
    settings = params.override(params.load(Path("params.yaml")), values(data))
    assert survey.of_params(settings).ungrouped == [note]
    grouped = params.override(settings, {"preprocess.group": expression})
    assert survey.of_params(grouped).ungrouped == []
    assert not survey.survey(folder).ungrouped
