"""`edgeproof start` on lists of pictures, and on parts that lack a class."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.planning import survey
from pipeline.process.errors import UserError
from tests.planning.conftest import one_folder, strangers


def test_a_list_beside_files_of_other_programs_is_of_the_pictures_above(folder: Path) -> None:
    one_folder(folder)
    (folder / "lists").mkdir()
    (folder / "lists" / "train.record").touch()
    text = (folder / "train.csv").read_text().replace("image,", "filename,")
    (folder / "train.csv").unlink()
    named = text.replace(",cat", ".png,cat").replace(",dog", ".png,dog")
    (folder / "lists" / "labels.csv").write_text(named)
    data = survey.survey(folder / "lists" / "labels.csv")
    assert data.counts == {"cat": 30, "dog": 20}
    assert (data.values["path"], data.values["labels"]) == (str(folder), "lists/labels.csv")


def test_a_part_of_the_user_that_lacks_a_class_is_refused_before_anything_runs(
    folder: Path,
) -> None:
    strangers(folder, "train", "val", "test")
    shutil.rmtree(folder / "val" / "dog")
    with pytest.raises(
        UserError, match="class 'dog' has no example in the validation part of your"
    ):
        survey.survey(folder)
    shutil.rmtree(folder / "val")
    assert survey.survey(folder).examples == {"train": 50, "test": 50}


def test_a_list_of_pictures_is_no_recording(folder: Path, tmp_path: Path) -> None:
    one_folder(folder)
    (folder / "train.csv").write_text("filename,cell_type\n0.png,red\n1.png,white\n")
    with pytest.raises(UserError, match="columns file, cell_type; expected a column label"):
        survey.survey(folder / "train.csv")
    (tmp_path / "lists").mkdir()
    alone = tmp_path / "lists" / "train.csv"
    alone.write_text("filename,label\nfar/0.png,red\nfar/1.png,white\n")
    with pytest.raises(UserError, match=r"names pictures such as far/0\.png, which are not in"):
        survey.survey(alone)
    text = tmp_path / "lists" / "train.txt"
    text.write_text("far/0.png, 0\nfar/1.png, 1\n")
    with pytest.raises(
        UserError, match=r"write file,label as its first row and rename it to \.csv"
    ):
        survey.survey(text)


@pytest.mark.parametrize("head", ["profile_name,x,label", "mask_filename,photo_filename,label"])
def test_a_column_names_files_by_whole_words_and_alone(head: str) -> None:
    from pipeline.datasets import image_list

    assert image_list.file_of(dict.fromkeys(head.split(","), "a.png")) is None
    assert image_list.file_of({"cough_filename": "a.mp3", "label": "yes"}) == "a.mp3"


@pytest.mark.parametrize(
    ("name", "text"), [("coco.json", '{"file": "a.jpg"}'), ("a.txt", "x.jpgs")]
)
def test_what_only_mentions_pictures_is_no_list(tmp_path: Path, name: str, text: str) -> None:
    from pipeline.planning import unreadable

    (tmp_path / name).write_text(text)
    assert "rename it to .csv" not in unreadable.cure_of(tmp_path / name)


def test_a_list_beside_annotations_is_of_the_pictures_above(folder: Path) -> None:
    one_folder(folder)
    (folder / "lists" / "xml").mkdir(parents=True)
    (folder / "lists" / "xml" / "0.xml").touch()
    text = (folder / "train.csv").read_text().replace(",cat", ".png,cat")
    (folder / "train.csv").unlink()
    (folder / "lists" / "train.csv").write_text(text.replace(",dog", ".png,dog"))
    assert survey.survey(folder / "lists" / "train.csv").values["path"] == str(folder)


def test_a_table_without_files_does_not_hide_what_is_wrong_with_the_folders(folder: Path) -> None:
    strangers(folder)
    (folder / "classes.csv").write_text("Class Name,Class ID\ncat,0\ndog,1\n")
    with pytest.raises(UserError, match="hold folders of the same names"):
        survey.survey(folder)
