"""What a log holds of each target, and the figures of each of several labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from pipeline.field import labels, page
from pipeline.field.sentences import sentences
from pipeline.files.reports.field import (
    FieldAccuracy,
    FieldError,
    FieldReport,
    InUse,
    NumberFieldReport,
)
from pipeline.targets import Counts
from serving import logged_answers
from serving.errors import InputError
from serving.logged_answers import is_right, truth
from serving.prediction_log import LoggedModel
from serving.reference import Histogram, Reference
from serving.server.label_bodies import decode_labels

NOTHING = Histogram([], [1])
SEVERAL = LoggedModel("blocks", "1.0.0", "labels", ["a", "b", "c"])
NUMBER = LoggedModel("angles", "1.0.0", "number", ["angle"])
CLASSES = LoggedModel("digits", "1.0.0", "classes", ["0", "1"])


def test_a_truth_is_held_as_the_answers_are() -> None:
    assert truth("1", CLASSES) == 1
    assert truth(["c", "a", "c"], SEVERAL) == b"\1\0\1"
    assert truth([], SEVERAL) == b"\0\0\0"
    assert (truth(3, NUMBER), type(truth(3, NUMBER))) == (3.0, float)


@pytest.mark.parametrize(
    ("label", "model", "sentence"),
    [
        (["1"], CLASSES, r"\['1'\] is not a class of digits; expected one of 0, 1"),
        (1, CLASSES, "1 is not a class of digits"),
        (["d"], SEVERAL, "'d' is not a label of blocks; expected one of a, b, c"),
        ([[]], SEVERAL, r"\[\] is not a label of blocks"),
        ("ab", SEVERAL, r'is \'ab\'; expected an array of those that hold, such as \["a", "b"\]'),
        (True, NUMBER, "angles gives a number, and the label is True; expected a number"),
        (10**400, NUMBER, "angles gives a number, and the label is 1000"),
        (float("nan"), NUMBER, "the label is nan; expected a number"),
        ([1.0], NUMBER, r"the label is \[1.0\]; expected a number"),
    ],
)
def test_a_label_of_another_kind_is_one_sentence(
    label: logged_answers.Label, model: LoggedModel, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence) as refused:
        truth(label, model)
    assert len(str(refused.value)) < 200


def test_a_number_is_right_if_its_interval_holds_the_truth() -> None:
    assert is_right(3.0, 4.5, 1.5, "number") is True
    assert is_right(3.0, 4.6, 1.5, "number") is False
    assert is_right(3.0, 3.0, 0.0, "number") is None
    assert is_right(b"\1\0", b"\1\1", 0.9, "labels") is False


def test_the_test_of_f1_is_that_of_hits_among_hits_misses_and_false_alarms() -> None:
    field = Counts(*(np.array(part) for part in ([40, 50, 0], [30, 50, 0], [20, 50, 0])))
    expected = Reference({}, NOTHING, [100, 80, 5], [100, 80, 5], [95, 80, 4])
    first, second, third = labels.judge(field, expected, ["a", "b", "c"])
    lower = stats.fisher_exact(np.array([[20, 30], [95, 10]]), alternative="less").pvalue
    assert first.p_value == pytest.approx(2 * lower), "Holm's factor of two labels"
    assert (first.suffers, second.suffers, third.suffers) == (True, False, False)
    assert (first.field.precision, first.field.recall) == (20 / 30, 0.5)
    assert first.field.f1 == pytest.approx(stats.hmean([20 / 30, 0.5]))
    assert first.field.f1_interval
    low, high = first.field.f1_interval
    exact = stats.binomtest(20, 50).proportion_ci(0.95)
    assert (low, high) == pytest.approx([2 * end / (1 + end) for end in (exact.low, exact.high)])
    assert second.field.f1 == 1
    assert (third.field.f1, third.field.precision, third.p_value) == (None, None, None)


FACTS: dict[str, Any] = {
    "model": "blocks",
    "version": "1.0.0",
    "model_sha256": "0",
    "format": "tflite",
    "runtime": "litert",
    "predictions": 20,
    "labels": 20,
    "test_images": 100,
    "unreadable": [],
    "drift": [],
    "least_drift": 1.0,
}
OPEN: dict[str, Any] = {
    "verdict": "open",
    "difference": 0.0,
    "difference_interval": (-0.2, 0.2),
    "p_value": 1.0,
    "labels_needed": 50,
}


def of_labels(counts: list[int], name: str) -> FieldReport:
    held = Counts(*(np.array(counts) for _ in range(3)))
    expected = Reference({}, NOTHING, [10], [10], [9])
    return FieldReport(
        **FACTS,
        score="exact match",
        test_accuracy=0.9,
        accuracy=FieldAccuracy(
            **OPEN, field_accuracy=1.0, interval=(0.8, 1.0), max_accuracy_drop=0.01
        ),
        classes=[],
        per_label=labels.judge(held, expected, [name]),
    )


def test_without_any_label_f1_is_unknown() -> None:
    lines = sentences(of_labels([0], "a"))
    assert lines[1] == "No label occurs in the labelled predictions, so F1 is unknown."
    assert sentences(of_labels([3], "a"))[1].startswith("Macro F1 of the labels is 100.00 %")


def test_a_class_may_be_named_as_a_field_of_a_report_of_numbers(tmp_path: Path) -> None:
    of_labels([3], "test_error").save(tmp_path / "field.json")
    assert isinstance(InUse.load(tmp_path / "field.json"), FieldReport)


def test_an_open_verdict_on_numbers_says_what_its_figure_is() -> None:
    report = NumberFieldReport(
        **FACTS,
        unit="deg",
        test_error=1.5,
        error=FieldError(**OPEN, field_error=1.75, interval=(0.0, 4.0), max_increase=1.0),
        coverage=None,
    )
    assert "will probably be enough: mean absolute error 1.75 deg (95 %" in sentences(report)[0]
    assert "wrong" not in page._render(report, "")
    assert "no labelled prediction is wrong" in page._render(of_labels([3], "a"), "")


@pytest.mark.parametrize(
    ("images", "predicted", "right"),
    [
        ([5, 5], [5], [5, 5]),
        ([5, 5], [5, 10**7], [5, 5]),
        ([-5, 5], [5, 5], [-5, 5]),
        ([5, 5], [5, 5], [5, 6]),
        ([5, 5], [5, 5], [-1, 5]),
    ],
)
def test_a_reference_that_no_test_set_has_is_refused(
    images: list[int], predicted: list[int], right: list[int]
) -> None:
    Reference({}, NOTHING, [6, 4], [5, 5], [5, 4]).check(2, 10)
    with pytest.raises(ValueError, match=r"reference has .*, expected"):
        Reference({}, NOTHING, predicted, images, right).check(2, 10)


def test_a_thousand_predictions_may_have_many_labels_each() -> None:
    names = [str(row) for row in range(60)]
    sent = [{"id": str(row), "label": names} for row in range(1000)]
    assert len(decode_labels(json.dumps(sent).encode(), 1000)) == 1000
