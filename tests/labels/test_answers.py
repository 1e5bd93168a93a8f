"""Several labels at once: what is right, what is confused, and the baselines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.reporting import pictures
from pipeline.targets import _scores, labels
from serving import gate
from tests.labels.conftest import OUTPUTS, OWN, TRUE, drawn

pytestmark = pytest.mark.long


def test_an_answer_is_right_if_all_of_its_labels_are() -> None:
    answers = labels.answers(OUTPUTS)
    assert answers.tolist() == [[1, 0, 0], [1, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert labels.right(answers, TRUE).tolist() == [True, False, True, False]
    assert labels.losses(OUTPUTS, TRUE)[0] == pytest.approx(-np.log([0.9, 0.9, 0.8]).mean())
    assert labels.margins(OUTPUTS).tolist() == pytest.approx([0.3, 0.1, 0.2, 0])
    assert labels.confidences(OUTPUTS).tolist() == pytest.approx([0.8, 0.6, 0.7, 0.5])
    counts = labels.counts(answers, TRUE, 3)
    assert counts.images.tolist() == [2, 2, 1]
    assert counts.predicted.tolist() == [2, 1, 1]
    assert counts.right.tolist() == [2, 1, 0]
    assert labels.words(TRUE[1], OWN.class_names) == "a + b"
    assert labels.words(TRUE[2], OWN.class_names) == "none"


def test_a_label_is_confused_with_those_that_are_given_in_its_place() -> None:
    actual, predicted = labels.confused(labels.answers(OUTPUTS), TRUE)
    assert sorted(zip(actual.tolist(), predicted.tolist(), strict=True)) == [
        (0, 0),
        (0, 0),
        (1, 1),
        (1, 2),
    ]


def test_the_gate_pairs_answers_of_several_labels_by_image() -> None:
    file, keras = OUTPUTS.copy(), OUTPUTS.copy()
    keras[1], keras[3] = [0.9, 0.9, 0.1], [0.1, 0.9, 0.9]  # the Keras model is right on all
    comparison = gate.compare_answers(file, keras, TRUE, 0.1, 4)
    assert (comparison.lost, comparison.gained, comparison.accuracy) == (2, 0, 0.5)
    assert comparison.keras_accuracy == 1
    assert comparison.agreement == 0.5
    assert comparison.accuracy_lost_bound == gate.accuracy_lost_bound(2, 0, 4)


def test_the_baselines_answer_with_combinations_that_the_training_set_has(tmp_path: Path) -> None:
    images, present = drawn(300)
    present[:150] = [1, 0, 1]
    predict = labels.baseline(images[..., None], present, OWN, pictures, tmp_path / "means.png")
    answers = predict(images[..., None])
    assert set(answers) == {"rmse", "mae", "frequent"}
    assert (answers["frequent"] == [1, 0, 1]).all()
    for predictions in answers.values():
        assert {*map(tuple, predictions)} <= {*map(tuple, present)}
    score = _scores.baseline_score(answers["frequent"], present, OWN)
    assert score.accuracy == (present == [1, 0, 1]).all(1).mean()
    assert score.per_class == {"a": 1, "b": 0, "c": 1}


def test_a_baseline_tells_only_the_most_frequent_combinations_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labels, "COMBINATIONS", 2)
    images = np.random.default_rng(0).integers(0, 256, (9, 2, 2, 1), np.uint8)
    present = np.repeat(TRUE, [4, 3, 1, 1], axis=0)
    predict = labels.baseline(images, present, OWN, pictures, tmp_path / "means.png")
    assert {*map(tuple, predict(images)["rmse"].tolist())} == {(1, 0, 0), (1, 1, 0)}
