"""From which probability each of several labels holds."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from pipeline.files.artifacts import Array
from pipeline.files.predictions import Predictions
from pipeline.targets import _thresholds, labels
from serving import ModelCard, gate
from serving.errors import BundleError
from tests.test_photo import card


def f1(probabilities: Array, true: Array, threshold: float) -> float:
    held = probabilities >= threshold
    return float(2 * (held & (true == 1)).sum() / max(held.sum() + true.sum(), 1))


def drawn(seed: int, share: float, count: int = 500) -> tuple[Array, Array]:
    """Probabilities and labels (count,) of a label, of which a model says too low ones."""
    random = np.random.default_rng(seed)
    true = (random.random(count) < share).astype(int)
    scores = random.normal(2.5 * true - 3, 1)
    return (1 / (1 + np.exp(-scores))).astype(np.float32), true


@pytest.mark.parametrize("seed", range(5))
def test_the_candidates_are_all_answers_that_a_threshold_can_give(seed: int) -> None:
    probabilities, true = drawn(seed, 0.2)
    rounded = np.round(probabilities, 1)  # with many that are equal
    for values in (probabilities, rounded):
        thresholds, right, wrong = _thresholds.candidates(values, true)
        assert len(thresholds) == len(np.unique([0, *values, 1])) - 1
        for threshold, *counts in zip(thresholds, right, wrong, strict=True):
            held = values >= threshold
            assert counts == [(held & (true == 1)).sum(), (held & (true == 0)).sum()]
        best = _thresholds.best_threshold(values, true)
        assert f1(probabilities, true, best) >= f1(probabilities, true, gate.THRESHOLD)


@pytest.mark.parametrize(
    ("probabilities", "true", "threshold"),
    [
        ([0.9, 0.8, 0.2, 0.1], [1, 1, 0, 0], 0.5),  # of all that tell them apart, 0.5
        ([0.4, 0.3, 0.2, 0.1], [1, 1, 0, 0], 0.35),
        ([0.4, 0.3, 0.2, 0.1], [1, 0, 0, 0], 0.5),  # a single example moves nothing
        ([0.9, 0.6, 0.4, 0.1], [1, 1, 1, 0], 0.5),
        ([0.3, 0.3, 0.3, 0.3], [1, 1, 1, 0], 0.15),  # equal ones hold together
        ([0.9, 0.8, 0.7, 0.6, 0.1], [1, 0, 0, 0, 0], 0.75),  # three are wrong at 0.5, here one
        ([0.9, 0.2], [0, 0], 0.5),
        ([], [], 0.5),
    ],
)
def test_the_nearest_to_a_half_is_taken_within_one_standard_error_of_the_best(
    probabilities: list[float], true: list[int], threshold: float
) -> None:
    best = _thresholds.best_threshold(np.array(probabilities), np.array(true, int))
    assert best == pytest.approx(threshold)


@pytest.mark.parametrize("scale", [1e-7, 1e-40, 0.1])
def test_a_threshold_tells_apart_what_float32_can(scale: float) -> None:
    values = np.repeat(np.array([9, 8, 7, 3, 2, 1]) * scale, 200).astype(np.float32)
    true = np.repeat([1, 1, 1, 0, 0, 0], 200)
    thresholds = _thresholds.choose(values[:, None], true[:, None])
    assert (gate.holds(values[:, None], json.loads(json.dumps(thresholds)))[:, 0] == true).all()


def test_an_int8_file_can_give_each_label() -> None:
    """Also one of which the model is all but certain where it does not hold."""
    values = np.repeat(np.array([0.9995, 0.9985], np.float32), 200)
    true = np.repeat([1, 0], 200)
    assert _thresholds.choose(values[:, None], true[:, None]) == (255 / 256,)


def test_other_targets_have_no_thresholds_and_a_label_that_none_has_keeps_a_half() -> None:
    never = Predictions(np.full((9, 2), 0.3, np.float32), np.zeros((9, 2), int), np.arange(9))
    assert _thresholds.fitted(never, "labels") == (0.5, 0.5)
    assert _thresholds.fitted(never, "classes") is None


def test_chosen_thresholds_are_better_on_new_data_and_never_much_worse() -> None:
    """A label that is common, one that is rare, and one with hardly any positive example."""
    for share, least in ((0.3, 0.2), (0.05, 0.1), (0.004, -0.02)):
        gains = []
        for seed in range(20):
            validation, new = drawn(seed, share), drawn(1000 + seed, share, 20_000)
            (threshold,) = _thresholds.choose(*(part[:, None] for part in validation))
            gains.append(f1(*new, threshold) - f1(*new, gate.THRESHOLD))
        assert np.mean(gains) > least, share


def test_answers_confidences_and_margins_follow_the_thresholds() -> None:
    outputs, holds_from = np.array([[0.4, 0.6], [0.2, 0.9]], np.float32), (0.3, 0.7)
    assert labels.answers(outputs, holds_from).tolist() == [[1, 0], [0, 1]]
    assert labels.confidences(outputs, holds_from).tolist() == pytest.approx([0.4, 0.8])
    assert labels.margins(outputs, holds_from).tolist() == pytest.approx([0.1, 0.1])
    keras, true = np.array([[0.4, 0.8], [0.2, 0.9]], np.float32), np.array([[1, 1], [0, 1]])
    compared = gate.compare_answers(outputs, keras, true, 0.1, 2, holds_from=holds_from)
    assert (compared.lost, compared.accuracy, compared.keras_accuracy) == (1, 0.5, 1)


def test_a_probability_at_its_threshold_holds_in_float32_as_in_c() -> None:
    """0.3 as float32 is above the double 0.3, and 0.7 below it."""
    assert gate.holds(np.array([0.3, 0.7], np.float32), [0.3, 0.7]).all()


def of_labels(**values: object) -> bytes:
    values = {"target": "labels", **values}
    return dataclasses.replace(card("own", (8, 8, 1)), **values).dump()  # type: ignore[arg-type]


def test_a_card_has_a_threshold_for_each_label_or_none_as_older_ones() -> None:
    names = len(card("own", (8, 8, 1)).class_names)
    assert "holds_from" not in json.loads(of_labels())
    assert ModelCard.parse(of_labels()).holds_from is None
    thresholds = [0.25] * names
    assert ModelCard.parse(of_labels(holds_from=thresholds)).holds_from == thresholds
    for wrong in ({"holds_from": thresholds[1:]}, {"target": "classes", "holds_from": thresholds}):
        with pytest.raises(BundleError, match="holds_from is not one for each of several labels"):
            ModelCard.parse(of_labels(**wrong))
    with pytest.raises(BundleError, match=r"holds_from is 1\.5, expected 0 to 1"):
        ModelCard.parse(of_labels(holds_from=[1.5] * names))
