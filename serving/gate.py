"""The gate: what a file loses against its Keras model, image by image, and the verdict.

That is accuracy, or for a model that answers with a number the mean absolute error that it adds.

Verification and the device share this code, so they cannot disagree. It needs only NumPy, because a
device has nothing else.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any, Dict, Optional, Sequence, Tuple

import numpy as np

from serving.comparison import AnyComparison, Comparison, NumberComparison
from serving.distributions import fewest, incomplete_beta, root, t_quantile

PROVEN, NOT_SHOWN, WORSE, COULD_NOT_RUN = "proven", "not shown", "worse", "could not run"
VERDICTS = (PROVEN, NOT_SHOWN, WORSE, COULD_NOT_RUN)  # from best to worst

Z = 1.6448536269514722  # the 95 % quantile of the normal distribution
THRESHOLD = 0.5  # of a label, in a card that says nothing of it
SIGNIFICANT = 0.05
CERTAIN = 0.01  # stricter on other processors, because many of them are tried
MOST_IMAGES = 10**9  # no larger number of images is suggested


def figures(comparison: AnyComparison) -> Dict[str, Any]:
    """For JSON: only where `images_needed` was computed may it be None."""
    known = given(comparison)
    if comparison.state == NOT_SHOWN:
        known["images_needed"] = comparison.images_needed
    return known


def given(model: Any) -> Dict[str, Any]:
    """The fields of a dataclass that are not None."""
    return {name: value for name, value in asdict(model).items() if value is not None}


def compare(  # noqa: PLR0913
    probabilities: Any,
    reference: Any,
    labels: Any,
    max_accuracy_drop: float,
    test_images: Optional[int] = None,
    *,
    holds_from: Optional[Sequence[float]] = None,
) -> AnyComparison:
    """Compares a file with the reference on the same images, and gives the verdict.

    `probabilities` and `reference` are (N, K), `labels` (N,), or (N, K) if there are several at
    once, which hold from `holds_from` and must all be right. The first `test_images` of the N are
    the test set (default: all). Only they count for the accuracy; the loss is judged on all images.
    Labels that are floats are compared as numbers.
    """
    tested = len(labels) if test_images is None else test_images
    if labels.dtype.kind == "f":
        return compare_numbers(probabilities, reference, labels, max_accuracy_drop, tested)
    allowed = max_accuracy_drop
    return compare_answers(probabilities, reference, labels, allowed, tested, holds_from=holds_from)


def compare_answers(  # noqa: PLR0913
    probabilities: Any,
    reference: Any,
    labels: Any,
    max_accuracy_drop: float,
    tested: int,
    *,
    holds_from: Optional[Sequence[float]] = None,
) -> Comparison:
    """`compare`, for answers that are right or wrong."""
    predictions, expected = (
        answers(part, labels, holds_from) for part in (probabilities, reference)
    )
    labels = labels.reshape(len(labels), -1)
    right, reference_right = (predictions == labels).all(1), (expected == labels).all(1)
    lost, gained = int((reference_right & ~right).sum()), int((right & ~reference_right).sum())
    total, needed = len(labels), None
    difference = np.abs(np.asarray(probabilities, np.float64) - reference)
    correct, reference_correct = int(right[:tested].sum()), int(reference_right[:tested].sum())
    finite = bool(np.isfinite(probabilities).all())
    state = verdict(lost, gained, total, max_accuracy_drop) if finite else WORSE
    if state == NOT_SHOWN:
        needed = images_needed(max_accuracy_drop, lost / total, gained / total)
    return Comparison(
        state=state,
        images=total,
        test_images=tested,
        accuracy=correct / tested,
        accuracy_interval=accuracy_interval(correct, tested),
        keras_accuracy=reference_correct / tested,
        keras_accuracy_interval=accuracy_interval(reference_correct, tested),
        lost=lost,
        gained=gained,
        mcnemar_p_value=mcnemar(lost, gained),
        accuracy_lost=(lost - gained) / total,
        accuracy_lost_bound=accuracy_lost_bound(lost, gained, total),
        max_accuracy_drop=max_accuracy_drop,
        agreement=float((predictions == expected).all(1).mean()),
        largest_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        images_needed=needed,
    )


def compare_numbers(
    numbers: Any, reference: Any, labels: Any, max_error_added: float, tested: int
) -> NumberComparison:
    """`compare`, for numbers and reference (N, 1) and labels (N,), all in one unit.

    The error of an answer is its distance from the label. What a file adds to it is the mean of
    the paired differences, whose bounds are those of Student's t.
    """
    total = len(labels)
    true = labels.astype(np.float64).reshape(-1, 1)
    numbers, reference = numbers.astype(np.float64), reference.astype(np.float64)
    errors, reference_errors = (np.abs(part - true)[:, 0] for part in (numbers, reference))
    added, difference = errors - reference_errors, np.abs(numbers - reference)
    mean, deviation = float(added.mean()), _deviation(added)
    margin = _margin(deviation, total, SIGNIFICANT)
    state, needed = NOT_SHOWN, None
    if mean + margin <= max_error_added:
        state = PROVEN
    elif mean - margin > 0 or mean > max_error_added or not np.isfinite(numbers).all():
        state = WORSE
    else:
        needed = math.ceil((Z * deviation / (max_error_added - mean)) ** 2)
        needed = max(needed, total + 1)
    return NumberComparison(
        state=state,
        images=total,
        test_images=tested,
        error=float(errors[:tested].mean()),
        error_interval=mean_interval(errors[:tested]),
        keras_error=float(reference_errors[:tested].mean()),
        keras_error_interval=mean_interval(reference_errors[:tested]),
        error_added=mean,
        error_added_deviation=deviation,
        error_added_bound=mean + margin,
        max_error_added=max_error_added,
        largest_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        images_needed=needed,
    )


def _deviation(values: Any) -> float:
    """The standard deviation of values (N,); of a single one it is taken to be its size."""
    return float(values.std(ddof=1)) if len(values) > 1 else abs(float(values[0]))


def _margin(deviation: float, total: int, risk: float) -> float:
    """How far the one-sided bound of a mean is from it at this risk, by Student's t."""
    return t_quantile(risk, total) * deviation / math.sqrt(total)


def mean_interval(values: Any) -> Tuple[float, float]:
    """The 95 % interval of a mean of values (N,)."""
    mean = float(values.mean())
    margin = _margin(_deviation(values), len(values), SIGNIFICANT / 2)
    return mean - margin, mean + margin


def answers(probabilities: Any, labels: Any, holds_from: Optional[Sequence[float]]) -> Any:
    """The class (N, 1) of each row, or which of several labels at once hold (N, K)."""
    if labels.ndim == 2:
        return holds(probabilities, holds_from)
    return probabilities.argmax(1)[:, None]


def holds(probabilities: Any, holds_from: Optional[Sequence[float]] = None) -> Any:
    """Which of K labels hold, by probabilities (..., K); `holds_from` as in the card."""
    # Both as float32: C and the page compare the same numbers.
    return np.asarray(probabilities, np.float32) >= np.asarray(holds_from or THRESHOLD, np.float32)


def least_certain(probabilities: Any, holds_from: Optional[Sequence[float]] = None) -> Any:
    """The probability (N,) of the least certain label of each answer."""
    return np.where(holds(probabilities, holds_from), probabilities, 1 - probabilities).min(1)


def verdict(lost: int, gained: int, total: int, max_accuracy_drop: float) -> str:
    """`proven`, `worse` or `not shown`.

    Proven: the upper bound of the loss is within the allowed loss. Worse: the loss is significant,
    or exceeds the allowed loss itself. A single lost image never makes a file worse, however few
    images there are.
    """
    if accuracy_lost_bound(lost, gained, total) <= max_accuracy_drop:
        return PROVEN
    significant = lost > gained and mcnemar(lost, gained) < SIGNIFICANT
    if significant or lost - gained > max(1.0, max_accuracy_drop * total):
        return WORSE
    return NOT_SHOWN


def elsewhere(
    comparison: AnyComparison, golden_difference: float, golden_tolerance: float, maker: str
) -> str:
    """The verdict on another processor; `maker` is the verdict on the maker's processor.

    The comparison is of a sample there, which may be small. So the maker's verdict holds, unless
    the file does not reproduce the golden vectors there or loses significantly more than allowed.
    If the maker could not show it but the sample does, the file is proven.
    """
    finite = math.isfinite(comparison.largest_difference)
    reproduced = finite and golden_difference <= golden_tolerance
    if not reproduced or _exceeded(comparison):
        return WORSE
    shown = comparison.bound <= comparison.allowed
    return PROVEN if maker == NOT_SHOWN and shown else maker


def _exceeded(comparison: AnyComparison) -> bool:
    """Is the loss significantly more than allowed?"""
    allowed = comparison.allowed
    if isinstance(comparison, NumberComparison):
        margin = _margin(comparison.error_added_deviation, comparison.images, CERTAIN)
        return comparison.error_added - margin > allowed
    metric = comparison.metric
    if metric:
        return metric.lost_at_least > allowed and metric.lost > metric.largest_effect
    return exceeds(comparison.lost, comparison.gained, comparison.images, allowed)


def exceeds(lost: int, gained: int, total: int, allowed: float) -> bool:
    """Is the loss significantly more than allowed (exact binomial test) and above one image?"""
    net = lost - gained
    return net > 1 and incomplete_beta(net, total - net + 1, allowed) < CERTAIN


def accuracy_lost_bound(lost: float, gained: float, total: int) -> float:
    """The one-sided upper 95 % bound of the accuracy lost, from paired predictions.

    Only the reference is right on the `lost` images, only the file on the `gained` ones. This is
    the score bound of a difference of paired proportions (Tango, 1998, Statistics in Medicine
    17:891-908, equation 7), which is too low for small counts, with the second-order correction for
    skewness and discreteness (Cai, 2005, Journal of Statistical Planning and Inference 131:63-88).
    Its coverage is then at least 95 % for 200 to 10,000 images with up to 1 % disagreement;
    `tests/test_gate.py` computes that exactly.
    """
    estimate = (lost - gained) / total
    if estimate >= 1:
        return 1.0

    def excess(loss: float) -> float:
        # maximum-likelihood estimate of P(gained) where P(lost) - P(gained) = loss
        b = -lost - gained + (2 * total - lost + gained) * loss
        c = -gained * loss * (1 - loss)
        p_gained = (math.sqrt(max(b * b - 8 * total * c, 0.0)) - b) / (4 * total)
        disagreeing = 2 * p_gained + loss
        skewness = loss / disagreeing if disagreeing > 0 else 0.0
        correction = 0.5 - (Z * Z - 1) / 6 * skewness
        deviation = math.sqrt(max(total * (disagreeing - loss * loss), 0.0))
        return lost - gained + correction - total * loss + Z * deviation

    return root(excess, max(estimate, -1.0), 1.0)


def images_needed(
    max_accuracy_drop: float, lost_rate: float = 0.0, gained_rate: float = 0.0
) -> Optional[int]:
    """How many images would prove a file with these rates of lost and gained; None if none.

    A gain that is no more than chance on few images is not counted on: at most as many as are lost.
    """
    gained_rate = min(gained_rate, lost_rate)

    def shown(total: int) -> bool:
        bound = accuracy_lost_bound(lost_rate * total, gained_rate * total, total)
        return bound <= max_accuracy_drop

    return fewest(shown, 1, MOST_IMAGES)


def accuracy_interval(correct: int, total: int, confidence: float = 0.95) -> Tuple[float, float]:
    """The exact interval of a proportion (Clopper and Pearson, 1934).

    Each end of the 0.9 interval is a one-sided 95 % bound.
    """
    tail = (1 - confidence) / 2
    low, high = 0.0, 1.0
    if correct > 0:
        low = root(lambda p: tail - incomplete_beta(correct, total - correct + 1, p), 0.0, 1.0)
    if correct < total:
        wrong = total - correct
        high = root(lambda p: 1 - tail - incomplete_beta(correct + 1, wrong, p), 0.0, 1.0)
    return low, high


def mcnemar(lost: int, gained: int) -> float:
    """The two-sided p-value of the exact McNemar test on discordant pairs."""
    fewer, all_pairs = min(lost, gained), lost + gained
    if fewer == all_pairs:
        return 1.0
    return min(1.0, 2 * incomplete_beta(all_pairs - fewer, fewer + 1, 0.5))
