"""Corrected labels: which examples a line names, what it changes, and what is refused."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import download, preprocess
from pipeline.config import params
from pipeline.config.params import NONE
from pipeline.files import artifacts, corrections, raw, split_files
from pipeline.files.corrections import COLUMNS
from pipeline.files.reports.preprocess import PreprocessReport
from pipeline.process.errors import UserError
from pipeline.search import cached_training, labels, labels_page
from tests.settings import configure

FILE = "corrections.csv"
NAMES = ["cat", "dog"]
OWN = {"dataset.name": "npz", "dataset.path": "mine.npz"}


@pytest.fixture
def arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Sixty images of two classes without a test set of their own, in the working directory."""
    monkeypatch.chdir(tmp_path)
    images = np.random.default_rng(0).integers(0, 255, (60, 4, 4, 1), np.uint8)
    np.savez("mine.npz", x_train=images, y_train=np.arange(60) % 2, class_names=np.array(NAMES))
    configure(OWN)
    download.main()
    return {**OWN, "preprocess.corrections": FILE}


def line(row: int | str, decision: str, label: str = "", **cells: str) -> dict[str, str]:
    given = NAMES[int(row) % 2] if str(row).isdigit() else "cat"
    values = {"row": str(row), "set": "training", "given": given, "decision": decision}
    return {**dict.fromkeys(COLUMNS, ""), **values, "label": label, **cells}


def write(*lines: dict[str, str], delimiter: str = ",", mark: str = "") -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, delimiter=delimiter)
    writer.writeheader()
    writer.writerows(lines)
    Path(FILE).write_text(mark + text.getvalue(), encoding="utf-8", newline="")


def split_labels(split: str) -> list[int]:
    return list(map(int, split_files.load_split(split)[1]))


def rows() -> dict[str, list[int]]:
    """The rows of each split, before corrections."""
    configure(OWN)
    return {
        split: part.rows.tolist()
        for split, part in preprocess.select(raw.description(), params.load()).items()
    }


def test_blanks_and_capitals_in_cells_change_nothing(arrays: dict[str, str]) -> None:
    row = rows()["train"][0]
    write(line(row, "Change ", f"{NAMES[1 - row % 2].title()} ", given=f"{NAMES[row % 2]} "))
    configure(arrays)
    preprocess.main()
    assert split_labels("train")[0] == 1 - row % 2


def test_a_label_that_two_classes_differ_from_in_case_is_the_exact_one() -> None:
    names = ["Cat", "cat", "dog"]
    assert corrections._class("line 2", "label", "cat ", names) == 1
    with pytest.raises(UserError, match="'CAT', which is not a class"):
        corrections._class("line 2", "label", "CAT", names)


def test_corrections_change_and_drop_what_they_name_and_leave_the_splits_alone(
    arrays: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    split = rows()
    preprocess.main()
    before = {name: split_labels(name) for name in split}
    assert PreprocessReport.load().corrected is None
    changed, kept = split["train"][:2]
    dropped, validated, tested = split["train"][2], split["validation"][0], split["test"][0]
    other = {row: NAMES[1 - row % 2] for row in range(60)}
    write(
        line(changed, "change", other[changed]),
        line(kept, "keep"),
        line(dropped, "drop"),
        line(validated, "change", other[validated]),
        line(tested, "change", other[tested], set="test"),
        line(split["train"][3], "", other[split["train"][3]]),  # nobody has decided
    )
    configure(arrays)
    preprocess.main()
    expected = [1 - before["train"][0], before["train"][1], *before["train"][3:]]
    assert split_labels("train") == expected
    assert split_labels("validation") == [1 - before["validation"][0], *before["validation"][1:]]
    assert split_labels("test") == [1 - before["test"][0], *before["test"][1:]]
    report = PreprocessReport.load().corrected
    assert report is not None
    assert report.relabelled == {"train": 1, "validation": 1, "test": 1}
    assert report.dropped == {"train": 1, "validation": 0, "test": 0}
    assert report.unused == 0
    assert "labels changed: 1 of the train set, 1 of the validation set" in capsys.readouterr().out


def test_a_test_label_changes_only_if_the_file_names_the_test_set(arrays: dict[str, str]) -> None:
    split = rows()
    tested, trained = split["test"][0], split["train"][0]
    preprocess.main()
    before = {name: split_labels(name) for name in split}
    write(
        line(tested, "change", NAMES[1 - tested % 2]),
        line(trained, "drop", set="test"),
    )
    configure(arrays)
    preprocess.main()
    assert {name: split_labels(name) for name in split} == before
    report = PreprocessReport.load().corrected
    assert report is not None
    assert report.unused == 2
    assert "2 are of examples that are in another set than the file says" in report.sentence


def test_a_test_set_of_its_own_has_rows_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    images = np.random.default_rng(0).integers(0, 255, (30, 4, 4, 1), np.uint8)
    np.savez(
        "mine.npz",
        x_train=images,
        y_train=np.arange(30) % 2,
        x_test=images[:6],
        y_test=np.arange(6) % 2,
        class_names=np.array(NAMES),
    )
    configure({**OWN, "preprocess.corrections": FILE})
    download.main()
    write(line(0, "change", "dog", set="test"), line(2, "drop", set="test"), line(3, "drop"))
    preprocess.main()
    assert split_labels("test") == [1, 1, 1, 0, 1]
    assert len(split_labels("train")) + len(split_labels("validation")) == 29


def test_the_analyses_train_on_the_corrected_labels(arrays: dict[str, str]) -> None:
    cached_training.data_digests.cache_clear()
    digests = cached_training.data_digests()
    split = rows()
    changed, dropped = split["train"][:2]
    write(line(changed, "change", NAMES[1 - changed % 2]), line(dropped, "drop"))
    configure(arrays)
    cached_training.data_digests.cache_clear()
    train, validation = cached_training.split_rows(params.load())
    assert train.tolist() == [row for row in split["train"] if row != dropped]
    assert validation.tolist() == split["validation"]
    assert raw.rows(train)[1][0] == cached_training.strata()[changed] == 1 - changed % 2
    assert cached_training.data_digests() != digests
    cached_training.data_digests.cache_clear()


def test_pictures_are_named_by_their_file_and_box_whatever_their_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    listed = ["file,label,left,top,right,bottom"]
    for number in range(24):
        noise = np.random.default_rng(number).integers(0, 255, (16, 16), np.uint8)
        Image.fromarray(noise).save(f"photos/{number}.png")
        box = f"{number % 3},0,12,12" if number else "1,2,9,9"
        listed.append(f"{number}.png,{NAMES[number % 2]},{box}")
    listed.append("0.png,dog,4,4,16,16")
    Path("photos/labels.csv").write_text("\n".join(listed))
    configure(
        {
            "dataset.name": "image_list",
            "dataset.path": "photos",
            "dataset.height": 8,
            "dataset.width": 8,
            "dataset.channels": 1,
            "preprocess.corrections": FILE,
        }
    )
    download.main()
    write(
        line("", "change", "dog", given="cat", file="0.png", box="1 2 9 9"),
        line(99, "drop", given="dog", file="3.png", box="0 0 12 12"),
    )
    edits = raw.edits("training")
    keys = corrections.keys(raw.load("train")[0])  # type: ignore[arg-type]
    assert {keys[row]: label for row, label in edits.changed.items()} == {("0.png", "1 2 9 9"): 1}
    assert [keys[row] for row in edits.dropped] == [("3.png", "0 0 12 12")]
    row = next(iter(edits.changed))
    suspects = [labels.Suspect(row, 0, 1, 0.9, 0.1, True)]
    (cells,) = labels.cells(suspects, NAMES)
    assert (cells["file"], cells["box"], cells["given"]) == ("0.png", "1 2 9 9", "cat")
    labels_page.write(labels.PAGE, "labels-1", suspects, [cells], labels.earlier_decisions(FILE))
    page = labels.PAGE.read_text(encoding="utf-8")
    assert page.count('src="data:image/png;base64,') == 1
    assert "also holds the 2 earlier decisions" in page
    write(line(0, "drop", given="cat", file="0.png"))
    with pytest.raises(UserError, match=r"line 2 of .* names 0.png, which is not in the data"):
        raw.edits("training")


@pytest.mark.parametrize(("delimiter", "mark"), [(";", "\ufeff"), ("\t", "")])
def test_a_file_as_spreadsheets_save_it_is_read(
    arrays: dict[str, str], delimiter: str, mark: str
) -> None:
    write(line(3, "change", "cat"), delimiter=delimiter, mark=mark)
    configure(arrays)
    assert raw.edits("training").changed == {3: 0}


WRONG = {
    "line 2 of corrections.csv names the row '60'; expected 0 to 59": [line(60, "drop")],
    "line 2 of corrections.csv names the row '-1'": [line("-1", "drop")],
    "has the label 'cow', which is not a class of the data; expected one of cat, dog": [
        line(0, "change", "cow")
    ],
    "has the label '', which is not a class": [line(0, "change")],
    "was made when the label was 'dog', and now the data say 'cat'": [line(0, "drop", given="dog")],
    "line 3 of corrections.csv names the same example as an earlier line": [
        line(0, "keep"),
        line(0, "drop"),
    ],
    "has the decision 'yes'; expected change or drop or keep or an empty cell": [line(0, "yes")],
    "has the set 'train'; expected training or test": [line(0, "drop", set="train")],
}


@pytest.mark.parametrize("sentence", WRONG)
def test_a_line_that_does_not_fit_the_data_is_refused_in_one_sentence(
    arrays: dict[str, str], sentence: str
) -> None:
    write(*WRONG[sentence])
    configure(arrays)
    with pytest.raises(UserError) as refused:
        preprocess.main()
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not artifacts.PREPARED.exists()


def test_a_file_that_is_no_such_table_is_refused(arrays: dict[str, str]) -> None:
    configure(arrays)
    for content, sentence in (
        (b"row,label\n", "has no column file; expected row, file, set, given, decision, label"),
        (b"\xff\xfe", "is not UTF-8; save it as CSV in UTF-8"),
        (",".join(COLUMNS).encode() + b"\n1,2\n", "row 2 of corrections.csv has more or fewer"),
    ):
        Path(FILE).write_bytes(content)
        with pytest.raises(UserError, match=sentence):
            raw.edits("training")


def test_several_labels_at_once_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = np.array([[0, 1], [1, 0], [1, 1], [0, 0]] * 6)
    np.savez("mine.npz", x_train=np.zeros((24, 4, 4, 1), np.uint8), y_train=rows)
    configure({**OWN, "preprocess.corrections": FILE})
    download.main()
    write(line(0, "drop"))
    with pytest.raises(UserError, match=f"expected {NONE} with labels"):
        raw.edits("training")
