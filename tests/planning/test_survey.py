"""`edgeproof start` looks at the data."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.config import params
from pipeline.datasets import image_list
from pipeline.datasets.reading import part_folders
from pipeline.files.pictures import picture_file
from pipeline.planning import lists, outlook, start, survey
from pipeline.planning.data import Given
from pipeline.process.errors import UserError
from tests.planning.conftest import arrays, listed, one_folder, strangers, values


def test_a_survey_counts_classes_sizes_and_colours(folder: Path) -> None:
    data = survey.survey(folder)
    assert data.values == {"name": "image_folder", "path": "My Pets", "other": params.NONE}
    assert (data.examples, data.counts) == ({"train": 50}, {"cat": 30, "dog": 20})
    assert (data.side, data.colour, data.opened) == (30, True, 50)


def test_a_survey_of_grey_pictures_saved_in_colour_says_grey(folder: Path) -> None:
    for path in folder.rglob("*.png"):
        Image.open(path).convert("L").convert("RGB").save(path)
    assert not survey.survey(folder).colour


def test_a_survey_opens_a_bounded_number_of_pictures_of_every_class(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "SAMPLE", 10)
    for number in range(29):  # only the last picture of the class can be read
        (folder / "cat" / f"{number}.png").write_bytes(b"broken")
    data = survey.survey(folder)
    assert data.opened < 10
    assert data.counts["cat"] >= 1


def test_copies_stay_together_but_not_across_parts_that_the_user_made(folder: Path) -> None:
    shutil.copy(folder / "cat/0.png", folder / "cat/again.png")
    (remark,) = survey.survey(folder).remarks
    assert remark.startswith("2 pictures are copies or near copies, such as cat/0.png and cat/")
    assert remark.endswith("each group of them stays in one split")
    (folder / "train").mkdir()
    for kind in ("cat", "dog"):
        shutil.copytree(folder / kind, folder / "test" / kind)
        (folder / kind).rename(folder / "train" / kind)
    (remark,) = survey.survey(folder).remarks
    assert remark.endswith("remove those that are in two of your parts")


def test_copies_with_different_labels_are_named(folder: Path) -> None:
    shutil.copy(folder / "cat/0.png", folder / "cat/again.png")
    shutil.copy(folder / "cat/0.png", folder / "dog/again.png")
    _, remark = survey.survey(folder).remarks
    assert remark.startswith(
        "1 group of copies with different labels, such as cat/0.png and dog/again.png; one"
    )


def test_a_list_beside_the_pictures_is_used_with_its_groups(folder: Path) -> None:
    rows = [
        f"{path.parent.name}/{path.name},{path.parent.name},{number % 7}"
        for number, path in enumerate(sorted(folder.rglob("*.png")))
    ]
    text = "\n".join(["file,label,sender_id", *rows])
    (folder / "people.csv").write_text(text)
    data = survey.survey(folder)
    assert (data.values["name"], data.values["labels"]) == ("image_list", "people.csv")
    assert (data.group, data.groups, data.groups_of_class) == ("sender_id", 7, 7)
    assert values(data)["preprocess.group"] == "sender_id"


def test_a_list_is_used_if_folders_do_not_name_classes_or_if_it_is_given(folder: Path) -> None:
    (folder / "sizes.csv").write_text("image,label\n0.png,large\n1.png,small\n")
    assert survey.survey(folder).values["name"] == "image_folder"
    (folder / "sizes.csv").unlink()
    one_folder(folder)
    assert survey.survey(folder).counts == {"cat": 30, "dog": 20}
    (folder / "sample.csv").write_text("image,label\n0,cat\n40,dog\n")
    with pytest.raises(
        UserError, match=r"several lists: sample\.csv, train\.csv; name one of them"
    ):
        survey.survey(folder)
    data = survey.survey(folder / "sample.csv")
    assert (data.values["path"], data.values["labels"]) == (str(folder), "sample.csv")
    assert data.counts == {"cat": 1, "dog": 1}
    assert survey.survey(folder, dataset=params.Dataset.model_validate(data.values)) == data


@pytest.mark.parametrize(
    ("header", "given", "target"),
    [
        ("image,category", Given(), "classes"),
        ("image,cat,dog", Given(), "labels"),
        ("image,age", Given(number="age"), "number"),
    ],
)
def test_a_list_beside_the_folders_counts_before_one_in_them_or_a_tsv(
    header: str, given: Given, target: str, folder: Path
) -> None:
    def rows(header: str, mark: str = ",") -> str:
        columns = header.count(",")
        cells = ((number, *[number % 2] * columns) for number in range(50))
        return "\n".join([header.replace(",", mark), *(mark.join(map(str, row)) for row in cells)])

    (one_folder(folder) / "train.csv").write_text(rows(header))
    (folder / "images" / "old.csv").write_text(rows("file,label"))
    (folder / "old.tsv").write_text(rows("file,label", "\t"))
    data = survey.survey(folder, given)
    assert (data.values["labels"], data.target) == ("train.csv", target)


@pytest.mark.parametrize("packed", [False, True])
def test_of_a_csv_that_is_no_list_only_the_beginning_is_read(folder: Path, packed: bool) -> None:
    with (folder / "log.csv").open("wb") as file:
        file.write(b"time,event\n0,on\n")
        file.truncate(picture_file.LARGEST_BYTES + 1)
    path = Path(shutil.make_archive("pets", "zip", folder)) if packed else folder
    assert survey.survey(path).counts == {"cat": 30, "dog": 20}


def test_only_a_list_whose_pictures_lie_above_is_of_the_folder_above(folder: Path) -> None:
    one_folder(folder)
    (folder / "lists").mkdir()
    (folder / "train.csv").rename(folder / "lists" / "train.csv")
    text = (folder / "lists" / "train.csv").read_text()
    for begin in ("images/", "../images/", ""):
        rows = [f"{begin}{row.replace(',', '.png,')}" for row in text.split("\n")[1:]]
        (folder / "lists" / "train.csv").write_text("\n".join(["image,label", *rows]))
        assert lists.folder_of(folder / "lists" / "train.csv") == (folder, "lists/train.csv")
    for absent in ("elsewhere/0.png", "0" * 300, ""):
        (folder / "lists" / "train.csv").write_text(f'image,label\n"{absent}",cat\n')
        assert lists.folder_of(folder / "lists" / "train.csv") == (folder / "lists", "train.csv")


def test_a_note_on_class_folders_is_printed_once(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(folder / "dog", folder / "Dog")
    survey.survey(folder)
    assert capsys.readouterr().out.count("note: the classes 'Dog' and 'dog' are two") == 1


def test_a_list_of_several_labels_gets_its_own_recipe(folder: Path) -> None:
    data = survey.survey(listed(folder, "id,tags", lambda number: "old;cat" if number % 2 else ""))
    assert (data.target, data.counts) == ("labels", {"cat": 25, "old": 25})
    assert values(data)["train.loss"] == "BinaryCrossentropy"
    assert outlook.classes(data) == []


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_a_board_takes_several_labels(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed(folder, "id,tags", lambda number: "old;cat" if number % 2 else "")
    start.start(folder, "esp32-s3", folder / "params.yaml", force=True)
    assert "\nesp32-s3 takes it\n" in capsys.readouterr().out


def test_a_list_that_is_no_text_is_refused_in_a_sentence(folder: Path) -> None:
    (one_folder(folder) / "train.csv").write_text("id,label\n1,a\n2,b\n", encoding="utf-16")
    for path in (folder, folder / "train.csv"):
        with pytest.raises(UserError, match=r"train\.csv is not UTF-8; save it as CSV in UTF-8"):
            survey.survey(path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_a_list_of_numbers_gets_its_own_recipe_and_params(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    listed(folder, "id,age", lambda number: f"{number / 2}")
    start.start(folder, None, Path("params.yaml"), True, Given(number="age", unit="years"))
    settings = params.load(Path("params.yaml"))
    assert (settings.problem.unit, settings.problem.target) == ("years", 3.1)
    assert settings.dataset.options(image_list.Options).number == "age"
    assert (settings.train.loss, settings.train.augmentation) == ("Huber", [])
    out = capsys.readouterr().out
    assert "50 images (50 for train), with age from 0 to 24.5 years" in out
    assert "accuracy" not in out
    start.estimate(settings)
    assert "with age from 0 to 24.5 years" in capsys.readouterr().out
    monkeypatch.setattr(survey, "SAMPLE", 10)
    assert survey.of_params(settings).opened == 10


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (Given(number="age"), "of the columns of My Pets/train.csv: file, weight"),
        (Given(unit="years"), "--unit is years, and the data ask for classes; name the column"),
    ],
)
def test_a_number_that_the_data_do_not_have_is_refused(
    folder: Path, given: Given, sentence: str
) -> None:
    if given.number:
        listed(folder, "id,weight", str)
    with pytest.raises(UserError, match=sentence):
        start.start(folder, None, Path("params.yaml"), True, given)


def test_numbers_in_an_array_get_a_recipe(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="as y_train, so leave --number out"):
        survey.survey(arrays(tmp_path / "n.npz"), Given(number="age"))
    data = survey.survey(arrays(tmp_path / "n.npz", y_train=np.arange(30) / 2))
    assert data.number
    assert (data.number.low, data.number.high, data.number.deviation) == (0, 14.5, 3.75)
    assert values(data)["problem.target"] == 1.9


def test_a_survey_of_arrays_knows_their_kind(tmp_path: Path) -> None:
    data = survey.survey(
        arrays(
            tmp_path / "own.npz", x_test=np.zeros((9, 28, 28), np.uint8), y_test=np.arange(9) % 3
        )
    )
    assert (data.size, data.examples) == ((28, 28, 1), {"train": 30, "test": 9})
    assert values(data)["train.augmentation"] == "digits"
    series = survey.survey(arrays(tmp_path / "s.npz", x_train=np.zeros((30, 50, 2), np.float32)))
    assert (values(series)["train.architecture"], series.remarks) == ("series_cnn", [])


@pytest.mark.parametrize(
    ("x_train", "remark"),
    [
        (np.ones((30, 28, 28), np.float32), "28 measurements over time from 28 sensors; if it "),
        (np.full((30, 28, 20), 255.0), "28 measurements over time from 20 sensors; if it holds "),
        (np.full((30, 8, 8), 16.0), r"store np.rint\(255 / 16 \* x_train\).astype\(np.uint8\)"),
        (np.full((30, 784), 9), r"taken for 784 words or other ids; if .*reshape\(-1, 28, 28\)"),
        (
            np.full((30, 8, 8), 16, np.uint8),
            "pixel is 16 of 255; photos .* multiply yours by 15.94, and round them$",
        ),
        (np.full((30, 8, 8), 32, np.uint8), None),
        (np.full((30, 784), 256), None),
        (np.full((30, 784 + 1), 9), None),
        (np.full((30, 28, 28), 0.3) * 5, None),
        (np.ones((30, 28, 6), np.float32), None),
    ],
)
def test_arrays_that_may_be_images_are_named(
    tmp_path: Path, x_train: np.ndarray, remark: str | None
) -> None:
    remarks = survey.survey(arrays(tmp_path / "i.npz", x_train=x_train)).remarks
    assert len(remarks) == (remark is not None)
    assert remark is None or re.search(remark, remarks[0])


def test_series_sorted_by_class_are_not_split_in_their_order(tmp_path: Path) -> None:
    x_train, labels = np.zeros((30, 50, 2), np.float32), np.arange(30)
    mixed = survey.survey(arrays(tmp_path / "mixed.npz", x_train=x_train, y_train=labels % 3))
    assert values(mixed)["preprocess.order"] == "first"
    data = survey.survey(arrays(tmp_path / "sorted.npz", x_train=x_train, y_train=labels // 10))
    assert values(data)["preprocess.order"] == "stratified"
    assert any(line.startswith("in the order of the data a part") for line in data.remarks)
    tested = {"x_test": x_train, "y_test": labels // 10}
    more = arrays(tmp_path / "t.npz", x_train=x_train, y_train=labels // 10, **tested)
    assert values(survey.survey(more))["preprocess.order"] == "stratified"


def test_channels_before_steps_are_named(tmp_path: Path) -> None:
    turned = arrays(tmp_path / "t.npz", x_train=np.zeros((30, 3, 50), np.float32))
    [remark] = survey.survey(turned).remarks
    assert "taken for 3 steps of 50 channels" in remark
    assert "store x_train.transpose(0, 2, 1)" in remark


@pytest.mark.parametrize(
    ("name", "part"),
    [
        *[("Train Data", "train"), ("training-dataset", "train"), ("dev", "validation")],
        *[("val_split", "validation"), ("TEST_DATA", "test"), ("testing_set", "test")],
        *[("data", None), ("trainer", None), ("contest", None)],
    ],
)
def test_parts_have_many_spellings(name: str, part: str | None) -> None:
    assert part_folders.part_of(name) == part


def test_a_class_may_be_called_trainers(folder: Path) -> None:
    assert set(survey.survey(strangers(folder, "trainers", "boots")).counts) == {
        "trainers",
        "boots",
    }
