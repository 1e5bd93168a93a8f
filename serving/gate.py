"""The gate: what a file loses against the model that it was made from, image by image, and the verdict.

Verification and the device ask the same questions of the same code, so they cannot differ. Plain Python and
NumPy: the device has nothing else.
"""

from __future__ import annotations

import math
from typing import Any, Callable, Dict, Optional, Tuple

import numpy as np

PROVEN, NOT_SHOWN, WORSE, COULD_NOT_RUN = "proven", "not shown", "worse", "could not run"
VERDICTS = (PROVEN, NOT_SHOWN, WORSE, COULD_NOT_RUN)  # from best to worst

Z = 1.6448536269514722  # the 95 % quantile of the normal distribution
SIGNIFICANT = 0.05
CERTAIN = 0.01  # of a sample on another processor, since so many of them are tried
MOST_IMAGES = 10**9  # beyond which nobody is told how many images would do


def compare(
    probabilities: Any,
    reference: Any,
    labels: Any,
    max_accuracy_drop: float,
    test_images: Optional[int] = None,
) -> Dict[str, Any]:
    """What a file answered, against the reference on the same images, and the verdict.

    `probabilities` and `reference` are (N, K), `labels` (N,). The first `test_images` of the N are
    the test set (default: all), which alone gives the accuracy; what the file loses is judged on all.
    """
    predictions, expected = probabilities.argmax(1), reference.argmax(1)
    right, reference_right = predictions == labels, expected == labels
    lost, gained = int((reference_right & ~right).sum()), int((right & ~reference_right).sum())
    total, tested = len(labels), len(labels) if test_images is None else test_images
    difference = np.abs(np.asarray(probabilities, np.float64) - reference)
    correct, reference_correct = int(right[:tested].sum()), int(reference_right[:tested].sum())
    finite = bool(np.isfinite(probabilities).all())
    state = verdict(lost, gained, total, max_accuracy_drop) if finite else WORSE
    facts = {
        "state": state,
        "images": total,
        "test_images": tested,
        "accuracy": correct / tested,
        "accuracy_interval": accuracy_interval(correct, tested),
        "keras_accuracy": reference_correct / tested,
        "keras_accuracy_interval": accuracy_interval(reference_correct, tested),
        "lost": lost,
        "gained": gained,
        "mcnemar_p_value": mcnemar(lost, gained),
        "accuracy_lost": (lost - gained) / total,
        "accuracy_lost_bound": accuracy_lost_bound(lost, gained, total),
        "max_accuracy_drop": max_accuracy_drop,
        "agreement": float((predictions == expected).mean()),
        "largest_difference": float(difference.max()),
        "mean_difference": float(difference.mean()),
    }
    if state == NOT_SHOWN:
        facts["images_needed"] = images_needed(max_accuracy_drop, lost / total, gained / total)
    if not finite:
        facts["reason"] = "some of its probabilities are not finite numbers"
    elif state != PROVEN:
        facts["reason"] = sentence(facts)
    return facts


def verdict(lost: int, gained: int, total: int, max_accuracy_drop: float) -> str:
    """`proven`, `worse` or `not shown`.

    Proven: the upper bound of the loss is within the allowed one. Worse: the loss is significant, or
    is itself more than allowed. One image is the least that can be lost, so that one alone never
    makes a file worse, however few images there are.
    """
    if accuracy_lost_bound(lost, gained, total) <= max_accuracy_drop:
        return PROVEN
    significant = lost > gained and mcnemar(lost, gained) < SIGNIFICANT
    if significant or lost - gained > max(1.0, max_accuracy_drop * total):
        return WORSE
    return NOT_SHOWN


def elsewhere(
    facts: Dict[str, Any], golden_difference: float, golden_tolerance: float, maker: str
) -> str:
    """The verdict on another processor than the maker's, whose own verdict on the file is `maker`.

    `facts` are those of `compare` on a sample there, which may be small. So what the maker found
    holds, unless the file answers the golden vectors otherwise there or loses more than is allowed
    beyond chance. A sample that proves by itself what the maker's images could not show is enough.
    """
    lost, gained, images = facts["lost"], facts["gained"], facts["images"]
    alike = math.isfinite(facts["largest_difference"]) and golden_difference <= golden_tolerance
    if not alike or exceeds(lost, gained, images, facts["max_accuracy_drop"]):
        return WORSE
    if maker == NOT_SHOWN and facts["accuracy_lost_bound"] <= facts["max_accuracy_drop"]:
        return PROVEN
    return maker


def exceeds(lost: int, gained: int, total: int, allowed: float) -> bool:
    """Whether more is lost than is allowed, beyond chance: by the exact binomial test, and never by one image."""
    net = lost - gained
    return net > 1 and incomplete_beta(net, total - net + 1, allowed) < CERTAIN


def sentence(facts: Dict[str, Any]) -> str:
    """Why a file is not proven, and what would help; `facts` are those of `compare`."""
    counted = f"{facts['lost']} of {facts['images']:,} images lost, {facts['gained']} gained"
    allowed = f"{100 * facts['max_accuracy_drop']:.2g} %"
    if facts["state"] == WORSE:
        return (
            f"{counted}: a loss of {100 * facts['accuracy_lost']:.2f} %, more than chance or more than the {allowed} allowed; "
            "take this format out of export.formats, or allow more"
        )
    needed = facts["images_needed"]
    cure = (
        f"{needed:,} images like these would show {allowed}"
        if needed
        else f"{allowed} can be shown only if less is lost"
    )
    return f"{counted}: no significant loss, but so few images show only that it is at most {100 * facts['accuracy_lost_bound']:.2f} %; {cure}"


def accuracy_lost_bound(lost: float, gained: float, total: int) -> float:
    """The one-sided upper 95 % bound of the accuracy lost, from paired predictions.

    `lost` images only the reference has right, `gained` only the file. It is the score bound of a
    difference of paired proportions (Tango, 1998, Statistics in Medicine 17:891-908, equation 7),
    which on its own is too low for small counts, with the second-order correction for skewness and
    for counts being whole numbers (Cai, 2005, Journal of Statistical Planning and Inference
    131:63-88). So corrected, its coverage is at least 95 % for 200 to 10,000 images of which up to
    1 % disagree; `tests/test_gate.py` computes that without simulation.
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

    return _root(excess, max(estimate, -1.0), 1.0)


def images_needed(
    max_accuracy_drop: float, lost_rate: float = 0.0, gained_rate: float = 0.0
) -> Optional[int]:
    """How many images show that no more is lost, if images go on being lost and gained at these rates; None if none do."""

    def shown(total: int) -> bool:
        return (
            accuracy_lost_bound(lost_rate * total, gained_rate * total, total) <= max_accuracy_drop
        )

    if not shown(MOST_IMAGES):
        return None
    low, high = 1, MOST_IMAGES
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if shown(middle) else (middle + 1, high)
    return low


def accuracy_interval(correct: int, total: int, confidence: float = 0.95) -> Tuple[float, float]:
    """The exact interval of a proportion (Clopper and Pearson, 1934); each end of that of 0.9 is a one-sided 95 % bound."""
    tail = (1 - confidence) / 2
    low, high = 0.0, 1.0
    if correct > 0:
        low = _root(lambda p: tail - incomplete_beta(correct, total - correct + 1, p), 0.0, 1.0)
    if correct < total:
        high = _root(
            lambda p: 1 - tail - incomplete_beta(correct + 1, total - correct, p), 0.0, 1.0
        )
    return low, high


def mcnemar(lost: int, gained: int) -> float:
    """The two-sided p-value of the exact McNemar test on discordant pairs."""
    fewer, all_pairs = min(lost, gained), lost + gained
    if fewer == all_pairs:
        return 1.0
    return min(1.0, 2 * incomplete_beta(all_pairs - fewer, fewer + 1, 0.5))


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularized incomplete beta function I_x(a, b), to some 1e-13.

    By its continued fraction (DLMF 8.17.22), which Lentz's method evaluates from the front.
    """
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(b, a, 1 - x)
    log_factor = (
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    fraction = numerator = 1.0
    denominator = 0.0
    for step in range(10_000):
        m = step // 2
        if step == 0:
            coefficient = 1.0
        elif step % 2:
            coefficient = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            coefficient = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        denominator = 1 / _not_zero(1 + coefficient * denominator)
        numerator = _not_zero(1 + coefficient / numerator)
        fraction *= numerator * denominator
        if abs(numerator * denominator - 1) < 1e-15:
            break
    return math.exp(log_factor) * (fraction - 1) / a


def _not_zero(value: float) -> float:
    return value if abs(value) > 1e-300 else 1e-300


def _root(falling: Callable[[float], float], low: float, high: float) -> float:
    """Where a function that falls from `low` to `high` is zero, to 1e-13."""
    while high - low > 1e-13:
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return high
