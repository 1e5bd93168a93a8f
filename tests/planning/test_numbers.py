"""`edgeproof start` on numbers, on what may be one, and on the data that have no numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import params
from pipeline.planning import numbers, outlook, problem, survey
from pipeline.planning.data import Given
from pipeline.planning.parts import Parts
from pipeline.process.errors import UserError
from tests.conftest import ROOT
from tests.planning.conftest import arrays, listed, values


def test_a_number_far_from_all_others_is_named_without_an_exponent(folder: Path) -> None:
    listed(folder, "id,age", lambda number: "99999" if number == 7 else f"{20 + number}")
    data = survey.survey(folder, Given(number="age", unit="years"))
    (line,) = numbers.remarks(data)
    assert line.startswith("1 number is far from all others, such as 99,999: if it marks a")
    limits = {choice.key: choice.value for choice in problem.propose(data, folder)}
    assert "between 20 and 99,999 years" in str(limits["problem.limits"])


def test_long_numbers_are_said_to_be_shown_with_an_exponent(folder: Path) -> None:
    listed(folder, "id,price", lambda number: f"{100_000 + 5_000 * number}")
    (line,) = numbers.remarks(survey.survey(folder, Given(number="price", unit="euros")))
    assert "so 345,000 is shown as 3.45e+05; a larger unit" in line


@pytest.mark.parametrize(
    ("number", "words", "has_float16"),
    [
        (lambda row: row, None, True),
        (lambda row: 1000 + 5 * row, None, True),
        (lambda row: 1975 + row, "subtract 2,000 from all", False),  # 13 years on average
        (lambda row: 990 + row / 2, "subtract 1,002 from all", False),
        (lambda row: row / 10 - 1013, "add 1,011 to all, and subtract it from each", False),
        (lambda row: 4000 * row, "a larger unit", False),  # above 65,504
        (lambda row: 1e-7 * row, "a smaller unit", False),
    ],
)
def test_numbers_of_another_scale_lose_no_file_without_a_word(
    folder: Path, number: Callable[[int], float], words: str | None, has_float16: bool
) -> None:
    """In TensorFlow Lite, int8 has steps from zero on, and float16 three digits up to 65,504."""
    listed(folder, "id,y", lambda row: f"{number(row):.9g}")
    data = survey.survey(folder, Given(number="y"))
    lines = numbers.remarks(data)
    assert [words in line for line in lines] == [True] if words else lines == []
    formats = values(data)["export.formats"]
    assert ("tflite_float16" in formats, len(formats)) == (has_float16, 5 + has_float16)


def test_numbers_that_float32_rounds_are_refused(folder: Path, tmp_path: Path) -> None:
    """As seconds since 1970: float32 has steps of 128 there."""
    listed(folder, "id,y", lambda row: f"{1_700_000_000 + row}")
    with pytest.raises(UserError, match=r"from 1700000000 to 1700000049, .* up to 49; subtract 17"):
        survey.survey(folder, Given(number="y"))
    with pytest.raises(UserError, match="float32 rounds them"):
        survey.survey(arrays(tmp_path / "n.npz", y_train=1.7e9 + np.arange(30.0)))
    listed_again = arrays(tmp_path / "n.npz", y_train=1.7e9 + 1e6 * np.arange(30.0))
    assert survey.survey(listed_again).target == "number"


def test_differences_that_are_errors_of_calculation_are_not_refused(tmp_path: Path) -> None:
    path = arrays(tmp_path / "n.npz", y_train=np.arange(30) / 7)
    with np.load(path) as data:
        test = {"x_test": data["x_train"][:2], "y_test": np.array([0.1, 0.1 + 1e-12])}
        np.savez(path, **{**data, **test})
    assert survey.survey(path).target == "number"


@pytest.mark.parametrize(("validation", "is_said"), [(58, True), (59, False)])
def test_too_few_numbers_for_an_interval_are_said(validation: int, is_said: bool) -> None:
    changes = {"problem.unit": "kg", "problem.target": 1.0, "problem.coverage": 0.95}
    settings = params.override(params.load(ROOT / "params.yaml"), changes)
    lines = outlook.splits(Parts(320, validation, 100), settings)
    assert [line.startswith("interval: 58 validation examples") for line in lines[1:]] == (
        [True] * is_said
    )


@pytest.mark.parametrize(("step", "is_said"), [(7, True), (3, False)])
def test_angles_that_go_round_are_said(folder: Path, step: int, is_said: bool) -> None:
    listed(folder, "id,angle", lambda number: f"{number * step}")
    lines = numbers.remarks(survey.survey(folder, Given(number="angle", unit="degrees")))
    assert [line.startswith("angles that go all the way round") for line in lines] == (
        [True] * is_said
    )


@pytest.mark.parametrize(
    ("label", "is_said"),
    [
        (str, True),  # 50 whole numbers
        (lambda number: f"{number % 4 / 2}", True),
        (lambda number: str(number % 5), False),  # as of digits and ratings
        (lambda number: f"{number:05}", False),  # names of classes
    ],
)
def test_classes_that_may_be_a_number_are_said(
    folder: Path, label: Callable[[int], str], is_said: bool
) -> None:
    lines = numbers.remarks(survey.survey(listed(folder, "id,label", label)))
    assert [line.endswith("--number with the name of its column") for line in lines] == (
        [True] * is_said
    )


def test_labels_without_names_are_no_number(tmp_path: Path) -> None:
    rows = np.eye(30, dtype=np.uint8)[np.arange(120) % 30]
    rows[:, 0] |= np.arange(120) % 3 == 0
    images = np.zeros((120, 8, 8), np.uint8)
    data = survey.survey(arrays(tmp_path / "n.npz", x_train=images, y_train=rows))
    assert (data.target, numbers.remarks(data)) == ("labels", [])


@pytest.mark.parametrize(
    ("y_train", "sentence"),
    [
        (np.arange(30) // 2 + 1, r"from 1 to 15; .* a number to predict, .* y_train\.astype\(flo"),
        (np.arange(30) * 9, r"labels up to 261 and 30 examples; .* store y_train\.astype\(float"),
        (np.arange(30) // 2 * 2, r"class 1 has no example .* store y_train\.astype\(float\)"),
        (np.where(np.eye(3, dtype=int)[np.arange(30) % 3], 1, -1), r"holds -1; expected 0 and 1"),
        (np.array(["a", "", "b"] * 10), "y_train has an empty text in number 1, counted from 0"),
        (np.ones((30, 2)) / 2, r"or floats of shape \(N,\) for one number"),
    ],
)
def test_what_may_be_a_number_or_labels_is_refused_with_its_cure(
    tmp_path: Path, y_train: np.ndarray, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        survey.survey(arrays(tmp_path / "n.npz", y_train=y_train))


def test_a_named_class_without_an_example_is_no_number(tmp_path: Path) -> None:
    names = np.array(["ant", "bee", "cat", "dog"])
    with pytest.raises(UserError, match=r"class dog has no example in x_train; expected some$"):
        survey.survey(arrays(tmp_path / "n.npz", class_names=names))


def test_floats_of_0_and_1_are_several_labels(tmp_path: Path) -> None:
    y_train = (np.arange(30)[:, None] >> np.arange(3) & 1).astype(np.float32)
    data = survey.survey(arrays(tmp_path / "n.npz", y_train=y_train))
    assert (data.target, data.class_names) == ("labels", ["0", "1", "2"])
    use = {choice.key: choice.value for choice in problem.propose(data, tmp_path)}["problem.use"]
    assert use == "Finding 0, 1 and 2 in images made like those of the training set."


def test_blanks_around_the_texts_of_labels_are_no_other_class(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = np.array(["a", "a ", "A"] * 10)
    assert survey.survey(arrays(tmp_path / "n.npz", y_train=texts)).class_names == ["A", "a"]
    assert "the classes 'A' and 'a' are two" in capsys.readouterr().out
    named = arrays(tmp_path / "n.npz", y_train=np.array(["a ", "b"] * 15), class_names=["b", "a "])
    assert survey.survey(named).class_names == ["b", "a"]


def test_texts_that_join_several_labels_are_said(tmp_path: Path) -> None:
    data = survey.survey(arrays(tmp_path / "n.npz", y_train=np.array(["a", "b", "a;b"] * 10)))
    assert [line.partition(" joins ")[0] for line in data.remarks] == ["the class a;b"]


@pytest.mark.parametrize("column", ["label", "speed"])
def test_recordings_have_the_mean_of_a_column_as_their_number(tmp_path: Path, column: str) -> None:
    rows = "\n".join(f"{row / 50},{row % 7},{row / 9:.2f}" for row in range(200))
    for number in range(4):
        (tmp_path / f"{number}.csv").write_text(f"time,ax,{column}\n{rows}\n")
    with pytest.raises(UserError, match=r"to predict a number, set dataset\.number to its"):
        survey.survey(tmp_path)
    data = survey.survey(tmp_path, Given(number=column, unit="m/s"))
    assert (data.target, data.class_names, data.channels) == ("number", [column], ("ax",))
    assert data.number is not None
    assert (data.number.unit, round(data.number.low, 2)) == ("m/s", 5.5)  # of rows 0 to 99
    assert data.values["number"] == column


def test_of_lists_of_a_competition_that_for_training_is_proposed(folder: Path) -> None:
    listed(folder, "id,age", lambda number: f"{number}.5")
    for name in ("sample_submission", "test"):
        (folder / f"{name}.csv").write_text("id,age\n1,0\n2,0\n")
    with pytest.raises(UserError, match=r"name one of them, such as .*train\.csv"):
        survey.survey(folder)
    (folder / "train").mkdir()
    for picture in folder.glob("*.png"):
        picture.rename(folder / "train" / picture.name)
    with pytest.raises(UserError, match=r"the columns file, age; .* `edgeproof start` --number"):
        survey.survey(folder / "train.csv")
    data = survey.survey(folder / "train.csv", Given(number="age"))
    names = {choice.key: choice.value for choice in problem.propose(data, folder / "train.csv")}
    assert names["problem.name"] == "my-pets"
