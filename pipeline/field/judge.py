"""The verdict on one model in use: its accuracy, the classes that suffer, drift."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.bundle import drift_reference
from pipeline.config.params import InTheField
from pipeline.field import comparison
from pipeline.field.observations import UNKNOWN, Observations
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError
from pipeline.reporting import statistics
from serving import input_statistics
from serving.model_card import Histogram, Reference

FEWEST_MISTAKES = 3  # for a verdict against the model: one or two may as well be labels that are wrong, or sent because they are rare


def judge(observed: Observations, chosen: InTheField) -> dict[str, Any]:
    """The report on one model: what a program reads."""
    card = observed.card
    if card.reference is None:
        raise UserError(
            f"the card of {card.name} {card.version} has no reference; make the bundle again with `dvc repro`"
        )
    proof = next(proof for proof in observed.file.proofs if proof.runtime == observed.runtime)
    test_right, known = round(proof.accuracy * proof.images), observed.labels != UNKNOWN
    right = (observed.predicted == observed.labels)[known]
    return {
        "model": card.name,
        "version": card.version,
        "model_sha256": card.provenance["model_sha256"],
        "format": observed.file.format,
        "runtime": observed.runtime,
        "predictions": len(known),
        "labels": int(known.sum()),
        "test_accuracy": proof.accuracy,
        "test_images": proof.images,
        "unreadable": observed.unreadable,
        "accuracy": accuracy(right, test_right, proof.images, chosen.max_accuracy_drop),
        "classes": classes(observed.labels[known], right, card.reference, card.class_names),
        "drift": drift(observed, card.reference, chosen.false_alarms),
        "least_drift": least_drift(observed, card.reference, chosen.false_alarms),
    }


def accuracy(right: Array, test_right: int, test_images: int, max_drop: float) -> dict[str, Any]:
    """The verdict on answers that were right or not (N,): holds, worse, open, or no labels; and the labels that it lacks."""
    count, hits, test_accuracy = len(right), int(right.sum()), test_right / test_images
    needed = comparison.labels_needed(test_accuracy, test_right, test_images, max_drop)
    if not count:
        return {"verdict": "no labels", "max_accuracy_drop": max_drop, "labels_needed": needed}
    found = comparison.difference(hits, count, test_right, test_images)
    if found.interval[0] > -max_drop:
        verdict = "holds"
    elif (
        found.p_value < comparison.SIGNIFICANCE
        and found.difference < 0
        and count - hits >= FEWEST_MISTAKES
    ):
        verdict = "worse"
    else:
        verdict = "open"
    if (
        needed is not None and count >= needed and verdict == "open"
    ):  # so the field is probably a little worse than the test
        needed = comparison.labels_needed(hits / count, test_right, test_images, max_drop)
    return {
        "verdict": verdict,
        "field_accuracy": hits / count,
        "interval": statistics.accuracy_interval(hits, count),
        "difference": found.difference,
        "difference_interval": found.interval,
        "p_value": found.p_value,
        "max_accuracy_drop": max_drop,
        "labels_needed": needed if verdict == "open" else None,
    }


def classes(
    labels: Array, right: Array, expected: Reference, class_names: list[str]
) -> list[dict[str, Any]]:
    """What the field shows of each class, and whether it recognises fewer of it than the test did: Fisher's exact test, after Holm."""
    shown = np.bincount(labels, minlength=len(class_names)).tolist()
    hits = np.bincount(labels[right], minlength=len(class_names)).tolist()
    tested = [row for row in range(len(class_names)) if shown[row] and expected.images[row]]
    p_values = [
        comparison.fewer(hits[row], shown[row], expected.right[row], expected.images[row])
        for row in tested
    ]
    adjusted = dict(zip(tested, comparison.holm(p_values), strict=True))
    return [
        {
            "class": name,
            "labels": shown[row],
            "right": hits[row],
            "test_images": expected.images[row],
            "test_right": expected.right[row],
            "p_value": adjusted.get(row),
            "suffers": adjusted.get(row, 1.0) < comparison.SIGNIFICANCE
            and shown[row] - hits[row] >= FEWEST_MISTAKES,
        }
        for row, name in enumerate(class_names)
    ]


def drift(observed: Observations, expected: Reference, false_alarms: float) -> list[dict[str, Any]]:
    """Whether inputs and answers are distributed as on the test set, no label needed; adjusted together after Holm."""
    card = observed.card
    names = input_statistics.names(card.input_shape, card.input.type)
    ordered: dict[str, tuple[Array, Histogram]] = {
        name: (
            drift_reference.count(observed.statistics[:, column], expected.inputs[name].edges),
            expected.inputs[name],
        )
        for column, name in enumerate(names)
    }
    medians = {
        name: (
            float(np.median(observed.statistics[:, column])),
            drift_reference.median(expected.inputs[name]),
        )
        for column, name in enumerate(names)
    }
    ordered["confidence"] = (
        drift_reference.count(observed.confidence, expected.confidence.edges),
        expected.confidence,
    )
    tests = [
        (name, counts, np.array(histogram.counts), comparison.kolmogorov_smirnov)
        for name, (counts, histogram) in ordered.items()
    ]
    predicted = np.bincount(observed.predicted, minlength=len(card.class_names))
    tests.append(
        ("predicted class", predicted, np.array(expected.predicted), comparison.class_shares)
    )
    adjusted = comparison.holm([test(counts, before) for _, counts, before, test in tests])
    return [
        {
            "of": name,
            "p_value": p_value,
            "alarm": p_value < false_alarms,
            "population_stability": comparison.population_stability(counts, before),
            "medians": medians.get(name),
            "edges": ordered[name][1].edges if name in ordered else None,
            "field": counts.tolist(),
            "test": before.tolist(),
        }
        for (name, counts, before, _), p_value in zip(tests, adjusted, strict=True)
    ]


def least_drift(observed: Observations, expected: Reference, false_alarms: float) -> float:
    """The share of the predictions that a drift must concern, at least, for an alarm at this number of them."""
    respects = len(expected.inputs) + 2  # confidence and predicted class
    return comparison.least_distance(
        len(observed.predicted), sum(expected.predicted), false_alarms / respects
    )


def figures(facts: dict[str, Any]) -> dict[str, float]:
    """What one compares between evaluations."""
    found: dict[str, float] = {
        "field_predictions": facts["predictions"],
        "field_labels": facts["labels"],
    }
    accuracy = facts["accuracy"]
    if "field_accuracy" in accuracy:
        low, high = accuracy["interval"]
        found |= {
            "field_accuracy": accuracy["field_accuracy"],
            "field_accuracy_low": low,
            "field_accuracy_high": high,
        }
        found |= {
            "field_accuracy_difference": accuracy["difference"],
            "field_p_value": accuracy["p_value"],
        }
    found["field_drift_alarms"] = sum(test["alarm"] for test in facts["drift"])
    return found | {
        f"field_stability.{test['of'].replace(' ', '_')}": test["population_stability"]
        for test in facts["drift"]
    }
