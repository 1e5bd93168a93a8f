"""Folders that are people or places, and names of files that hold the labels."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.planning import named_folders, survey
from pipeline.planning.data import Given
from pipeline.process.errors import UserError
from tests.planning.conftest import photo, values
from tests.recordings.conftest import as_csv, rows
from tests.sounds.conftest import tone, wav

ACTORS = [
    f"Actor_{actor:02}/03-01-{emotion:02}-01-01-01-{actor:02}.wav"
    for actor in range(1, 5)
    for emotion in range(1, 9)
]


@pytest.mark.parametrize(
    ("files", "named"),
    [
        (ACTORS, "the classes are the folders Actor_01, Actor_02 and so on: if the folders name"),
        ([f"train/camera {n}/IMG_{i}.jpg" for n in "12" for i in "12"], "camera 1, camera 2"),
        ([f"2024-03-0{n}/{i}.jpg" for n in "12" for i in "12"], "2024-03-01, 2024-03-02"),
        ([f"{n}/{k}_{i}.jpg" for n in ("al", "bo") for k in "xy" for i in "12"], "such as x and y"),
        ([f"{n}/{k}_{i}.jpg" for n in ("al", "bo") for k in ("IMG", "x") for i in "12"], ""),
        ([f"{n}/{n}_{k}_{i}.jpg" for n in ("al", "bo") for k in "xy" for i in "12"], ""),
        ([f"class_{n}/{i}.jpg" for n in "123" for i in "12"], ""),
        ([f"c{n}/img_{i}.jpg" for n in "123" for i in "12"], ""),
        ([f"up/{n}_{i}.wav" for n in "123" for i in "12"], ""),
    ],
)
def test_folders_that_may_be_people_are_named(files: list[str], named: str) -> None:
    labelled = [(file, file.removeprefix("train/").split("/")[0]) for file in files]
    note = "".join(named_folders.remarks(labelled))
    assert named in note
    assert note.endswith("write a list with the columns file, label and group") == bool(named)
    of_list = [(file, f"of {label}") for file, label in labelled]
    assert named_folders.remarks(of_list) == [], "the folders are not the classes"


def test_actors_are_no_classes_of_sounds(folder: Path) -> None:
    """RAVDESS, whose files have the label in the third field."""
    for file in ACTORS:
        path = Path("ravdess") / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(wav(tone()))
    data = survey.survey(Path("ravdess"))
    assert any("if the folders name people, places or days" in remark for remark in data.remarks)
    lines = [f"{file},{file.split('-')[2]},{file.split('/')[0]}" for file in ACTORS]
    Path("ravdess/labels.csv").write_text("\n".join(["file,label,group", *lines]))
    data = survey.survey(Path("ravdess"))
    assert data.class_names == [f"{emotion:02}" for emotion in range(1, 9)]
    assert values(data)["preprocess.group"] == "group"
    assert not any("people, places or days" in remark for remark in data.remarks)


def test_people_are_no_labels_of_recordings(folder: Path) -> None:
    for name in ("anna", "ben", "carl"):
        for label in ("walk", "run"):
            for number in range(2):
                path = Path("moves") / name / f"{label}_{number}.csv"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(as_csv(rows(300)))
    data = survey.survey(Path("moves"), Given(rate=50))
    assert any("such as run and walk, lie in anna, ben and so on" in x for x in data.remarks)


def test_labels_as_folders_and_people_in_the_names_of_files_give_one_note(folder: Path) -> None:
    """The layout that the documentation recommends."""
    for label in ("walk", "run", "sit"):
        for person in ("anna", "ben", "carl", "dora"):
            for number in range(2):
                path = Path("moves") / label / f"{person}_{number}.csv"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(as_csv(rows(300)))
    data = survey.survey(Path("moves"), Given(rate=50))
    (note,) = [line for line in data.remarks if "anna" in line]
    assert note.startswith("the files name 4 speakers or places, such as anna and ben")
    assert note.endswith("write a list with the columns file, label and group")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("{}_{:03}.jpg", "may hold the labels, such as cat and dog"),
        ("train/{}.{}.jpg", "may hold the labels, such as cat and dog"),
        ("images/big_{}_{}.jpg", "may hold the labels, such as big_cat and big_dog"),
        ("{1}{0}.jpg", None),
    ],
)
def test_photos_in_one_folder_that_name_their_class(
    folder: Path, name: str, words: str | None
) -> None:
    for number in range(8):
        photo(Path("flat") / name.format(("cat", "dog")[number % 2], number), number)
    with pytest.raises(UserError, match="write a CSV with the columns file and label") as error:
        survey.survey(Path("flat"))
    assert ("the names of the files" in str(error.value)) == (words is not None)
    assert re.search(words or "", str(error.value))
