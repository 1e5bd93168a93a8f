"""Whether inputs and predictions are distributed as in the test set; needs no labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.bundle import drift_reference
from pipeline.field import comparison
from pipeline.field.observations import Observations
from pipeline.files.artifacts import Array
from pipeline.files.reports.field import FieldDrift
from pipeline.process.errors import UserError
from serving import ModelCard, inputs
from serving.reference import Histogram, Reference, Spread


@dataclass(frozen=True)
class DriftTest:
    """One property of inputs or predictions, counted in bins (B,) in the field and in the test.

    Of several labels, which may come together, `totals` are the predictions of each.
    """

    name: str
    field: Array
    test: Array
    p_value: float
    edges: list[float] | None = None
    medians: tuple[float, float | None] | None = None
    totals: tuple[int, int] | None = None

    @property
    def population_stability(self) -> float:
        """Of several labels, that of the label whose share changed most."""
        if self.totals is None:
            return comparison.population_stability(self.field, self.test)
        with_and_without = (
            np.column_stack([counts, total - counts])
            for counts, total in zip((self.field, self.test), self.totals, strict=True)
        )
        labels = zip(*with_and_without, strict=True)
        return max(comparison.population_stability(field, test) for field, test in labels)


def judge(
    observed: Observations, expected: Reference | Spread, false_alarms: float
) -> list[FieldDrift]:
    """A test for each property of inputs and predictions.

    The p-values are adjusted together after Holm.
    """
    tests = _drift_tests(observed, expected)
    adjusted = comparison.holm([test.p_value for test in tests])
    return [
        FieldDrift(
            of=test.name,
            p_value=p_value,
            alarm=p_value < false_alarms,
            population_stability=test.population_stability,
            medians=test.medians,
            edges=test.edges,
            field=test.field.tolist(),
            test=test.test.tolist(),
            totals=test.totals,
        )
        for test, p_value in zip(tests, adjusted, strict=True)
    ]


def _drift_tests(observed: Observations, expected: Reference | Spread) -> list[DriftTest]:
    card, predicted = observed.card, observed.predicted
    names = inputs.statistic_names(card.input_shape, card.input.type)
    tests = []
    for name, values in zip(names, observed.statistics.T, strict=True):
        tests.append(_with_medians(name, values, _of(expected.inputs, name, card)))
    if isinstance(expected, Spread):
        return [*tests, _with_medians("predicted number", predicted, expected.answers)]
    tests.append(_distribution_test("confidence", observed.confidence, expected.confidence))
    before = np.array(expected.predicted)
    if predicted.ndim == 2:
        return [*tests, _labels_test(predicted, before, card.test_images)]
    counts = np.bincount(predicted, minlength=len(card.class_names))
    p_value = comparison.class_shares(counts, before)
    return [*tests, DriftTest("predicted class", counts, before, p_value)]


def _of(histograms: Mapping[str, Histogram], name: str, card: ModelCard) -> Histogram:
    if name not in histograms:
        raise UserError(
            f"the card of {card.name} {card.version} is damaged: it has no histogram of {name}; "
            "rebuild the bundle with `dvc repro`"
        )
    return histograms[name]


def _labels_test(predicted: Array, before: Array, test_images: int) -> DriftTest:
    """Whether each label is given as often as in the test, by Fisher's exact test (Bonferroni)."""
    counts, totals = predicted.sum(0), (len(predicted), test_images)
    p_value = comparison.shares(counts, before, totals)
    return DriftTest("predicted labels", counts, before, p_value, totals=totals)


def _with_medians(name: str, values: Array, histogram: Histogram) -> DriftTest:
    medians = float(np.median(values)), drift_reference.median(histogram)
    return _distribution_test(name, values, histogram, medians)


def _distribution_test(
    name: str,
    values: Array,
    histogram: Histogram,
    medians: tuple[float, float | None] | None = None,
) -> DriftTest:
    counts = drift_reference.count(values, histogram.edges)
    before = np.array(histogram.counts)
    p_value = comparison.kolmogorov_smirnov(counts, before)
    return DriftTest(name, counts, before, p_value, histogram.edges, medians)


def least(observed: Observations, expected: Reference | Spread, false_alarms: float) -> float:
    """The smallest share of predictions that must drift to raise an alarm at this sample size."""
    answers = 1 if isinstance(expected, Spread) else 2  # the number, or confidence and answer
    return comparison.least_distance(
        len(observed.predicted),
        observed.card.test_images,
        false_alarms / (len(expected.inputs) + answers),
    )
