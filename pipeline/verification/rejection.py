"""When a file answers "none of these": its threshold, and what that does on the test set.

An answer is accepted if its probability is at least the threshold, which is fitted on the
validation set with the outputs of the very file: an int8 file gives other probabilities than the
Keras model. The test set, which had no part in that, shows whether the promise is kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import numpy as np
from scipy import stats

from pipeline.config.problem import Problem
from pipeline.files.artifacts import Array
from pipeline.files.reports.verify import ComparedPair, Others, Rejection
from pipeline.process.words import counted, percent
from pipeline.reporting import calibration, statistics
from pipeline.targets import Recognition
from pipeline.verification.material import Material
from pipeline.verification.pair import Pair, outputs_by_format
from serving.gate import CERTAIN, NOT_SHOWN, PROVEN, VERDICTS, WORSE

RISK = 0.05  # that a threshold does not keep its promise


def judge(pairs: Sequence[Pair], material: Material, problem: Problem) -> dict[str, str]:
    """Adds to each report from this processor how true its confidences are, and its rejection.

    Returns for each format without a threshold the reason.
    """
    thresholds, reasons = fitted(pairs, material, problem)
    for pair in pairs:
        report = pair.report
        if not isinstance(report, ComparedPair) or pair.probabilities is None:
            continue
        rows = material.test_rows(report.images, pair.micro)
        probabilities, labels = pair.probabilities[: len(rows)], material.labels[rows]
        threshold = thresholds.get(pair.format)
        facts: dict[str, object] = {"calibration_error": calibration.error(probabilities, labels)}
        if threshold is not None:
            confidences, right = answers(material, probabilities, labels)
            facts["accept_from"] = threshold
            facts["rejection"] = rejection(confidences, right, threshold, problem)
            if material.others:
                facts["others"] = rejected_others(pair, material, threshold)
        pair.report = report.changed(**facts)
    return reasons


def fitted(
    pairs: Sequence[Pair], material: Material, problem: Problem
) -> tuple[dict[str, float], dict[str, str]]:
    """The threshold of each format, from the first runtime that ran it, or why it has none."""
    thresholds: dict[str, float] = {}
    reasons: dict[str, str] = {}
    if (problem.coverage or problem.max_error) is None or material.labels.ndim > 1:
        return thresholds, reasons
    labels = material.labels[material.tests :]
    for name, outputs in outputs_by_format(pairs).items():
        validation = outputs[material.tests : len(material.labels)]
        threshold = fit(*answers(material, validation, labels), problem)
        if threshold is None:
            reasons[name] = too_few(len(labels), problem, material.noun, material.others)
        else:
            thresholds[name] = threshold
    return thresholds, reasons


def answers(material: Material, probabilities: Array, labels: Array) -> tuple[Array, Array]:
    """The confidence (N,) of each answer, and whether it is right (N,)."""
    target = cast(Recognition, material.target)
    return target.confidences(probabilities), target.right(target.answers(probabilities), labels)


def fit(confidences: Array, right: Array, problem: Problem) -> float | None:
    """The least confidence that is accepted; None if so few answers support no threshold."""
    if problem.coverage is not None:
        return for_coverage(confidences, problem.coverage)
    assert problem.max_error is not None
    return for_error(confidences, right, problem.max_error)


def for_coverage(confidences: Array, coverage: float) -> float | None:
    """The highest threshold that accepts this share of new inputs, but for a risk of RISK.

    Below the k-th of N confidences lies a share of new ones that follows a beta distribution with
    k and N - k + 1 (Wilks, 1941, Determination of Sample Sizes for Setting Tolerance Limits). It is
    at most 1 - coverage unless fewer than k of N draws with that probability succeed.
    """
    rank = int(stats.binom.ppf(RISK, len(confidences), 1 - coverage))
    return float(np.sort(confidences)[rank - 1]) if rank else None


def for_error(confidences: Array, right: Array, max_error: float) -> float | None:
    """The lowest threshold at which at most this share of accepted answers is wrong, but for RISK.

    A binary search over the ranks, each step with its share of the risk (Geifman and El-Yaniv,
    2017, Selective Classification for Deep Neural Networks, algorithm 1).
    """
    order = np.argsort(-confidences, kind="stable")
    ordered, wrong = confidences[order], np.cumsum(~right[order])
    steps = max(1, math.ceil(math.log2(len(order))))
    low, high, threshold = 0, len(order), None
    for _ in range(steps):
        middle = (low + high + 1) // 2
        # Equal confidences are accepted together.
        accepted = int(np.searchsorted(-ordered, -ordered[middle - 1], side="right"))
        if upper(int(wrong[accepted - 1]), accepted, RISK / steps) <= max_error:
            low, threshold = middle, float(ordered[middle - 1])
        else:
            high = middle - 1
        if low >= high:
            break
    return threshold


def upper(count: int, total: int, risk: float) -> float:
    """The one-sided upper bound of a proportion (Clopper and Pearson, 1934)."""
    return float(stats.beta.ppf(1 - risk, count + 1, total - count)) if count < total else 1.0


def fewest(coverage: float) -> int:
    """The fewest validation images for which `for_coverage` gives a threshold."""
    return math.ceil(math.log(RISK) / math.log(coverage))


def too_few(count: int, problem: Problem, noun: str = "images", others: int = 0) -> str:
    """Why there is no threshold, and that no test picture of none of the classes is judged."""
    unjudged = ""
    if others:
        unjudged = f"; so {counted(others, 'test picture')} of none of the classes cannot be judged"
    if problem.coverage is not None:
        needed = fewest(problem.coverage)
        return (
            f"{count:,} validation {noun} are too few to reject any and still accept "
            f"{percent(problem.coverage)} of new ones; expected at least {needed:,}, "
            f"so everything is accepted{unjudged}"
        )
    assert problem.max_error is not None
    return (
        f"no threshold keeps the errors of accepted answers within problem.max_error "
        f"{problem.max_error:g}, as far as {count:,} validation {noun} can show; "
        f"use more of them, a better model or a higher max_error{unjudged}"
    )


def rejection(confidences: Array, right: Array, threshold: float, problem: Problem) -> Rejection:
    """What the threshold does to the answers of the test set."""
    accepted = confidences >= np.float32(threshold)
    count, wrong = int(accepted.sum()), int((accepted & ~right).sum())
    total = len(confidences)
    facts = {
        "images": total,
        "accepted": count,
        "wrong": wrong,
        "coverage": count / total,
        "coverage_bound": statistics.accuracy_interval(count, total, 0.9)[0],
        "error": wrong / max(count, 1),
        "error_bound": statistics.accuracy_interval(wrong, count, 0.9)[1] if count else 1.0,
        "state": verdict(count, wrong, total, problem),
    }
    return Rejection.model_validate(facts)


def rejected_others(pair: Pair, material: Material, threshold: float) -> Others:
    """How many of the test's pictures of none of the classes get that answer.

    The threshold was fitted without any of them, so it promises nothing about them.
    """
    assert pair.probabilities is not None
    first = len(material.sample if pair.micro else material.labels)
    outputs = pair.probabilities[first : first + material.others]
    target = cast(Recognition, material.target)
    rejected = int((target.confidences(outputs) < np.float32(threshold)).sum())
    return Others(
        images=len(outputs),
        rejected=rejected,
        share=rejected / len(outputs),
        interval=statistics.accuracy_interval(rejected, len(outputs)),
    )


def verdict(accepted: int, wrong: int, total: int, problem: Problem) -> str:
    """The worse verdict on the two promises in params.yaml, coverage and max_error."""
    states = []
    if problem.coverage is not None:
        states.append(share_verdict(total - accepted, total, 1 - problem.coverage))
    if problem.max_error is not None:
        states.append(share_verdict(wrong, accepted, problem.max_error))
    return max(states, key=VERDICTS.index)


def share_verdict(failed: int, among: int, allowed: float) -> str:
    """Whether at most the allowed share fails: at a risk of RISK, and of CERTAIN for worse."""
    if upper(failed, among, RISK) <= allowed:
        return PROVEN
    # As likely as CERTAIN if exactly the allowed share failed: many pairs are tried
    return WORSE if stats.binom.sf(failed - 1, among, allowed) < CERTAIN else NOT_SHOWN
