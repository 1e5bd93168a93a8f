"""The gate by another metric than accuracy: what a file loses of it, and the verdict."""

from __future__ import annotations

from typing import Any, Dict, Optional, Sequence, Tuple

import numpy as np

from serving import gate, metric
from serving.gate import CERTAIN, MOST_IMAGES, NOT_SHOWN, PROVEN, SIGNIFICANT, WORSE

ROUNDING = 1e-12


def compare(  # noqa: PLR0913
    name: str,
    outputs: Tuple[Any, Any],
    labels: Any,
    allowed: float,
    test_images: Optional[int] = None,
    *,
    holds_from: Optional[Sequence[float]] = None,
) -> Dict[str, Any]:
    """The facts of `gate.compare`, judged by the metric of this name, whose figures they hold.

    `outputs` are those of the file and of the reference.
    `lost_at_least` is the one-sided lower 99 % bound of what is lost, `largest_effect` the most
    that one image can take.
    """
    probabilities, reference = outputs
    facts = gate.compare(
        probabilities, reference, labels, allowed, test_images, holds_from=holds_from
    )
    if name == metric.ACCURACY:
        return facts
    measure, classes, tested = metric.METRICS[name], np.shape(reference)[1], facts["test_images"]
    answers, expected = probabilities.argmax(1), reference.argmax(1)
    lost = metric.loss(measure, answers, expected, labels, classes)
    facts["metric"] = {
        "name": name,
        "value": measure.value(answers[:tested], labels[:tested], classes),
        "keras_value": measure.value(expected[:tested], labels[:tested], classes),
        "lost": lost.total,
        "lost_bound": lost.bounds(SIGNIFICANT)[1],
        "lost_at_least": lost.bounds(CERTAIN)[0],
        "largest_effect": lost.largest,
    }
    facts["state"] = _verdict(lost, allowed) if np.isfinite(probabilities).all() else WORSE
    facts.pop("images_needed", None)
    if facts["state"] == NOT_SHOWN:
        facts["images_needed"] = metric.images_needed(lost, allowed, MOST_IMAGES)
    return facts


def _verdict(lost: metric.Loss, allowed: float) -> str:
    """As `gate.verdict`: a single image never makes a file worse."""
    if lost.bounds(SIGNIFICANT)[1] <= allowed:
        return PROVEN
    significant = lost.bounds(SIGNIFICANT / 2)[0] > 0
    return WORSE if significant or lost.total > max(lost.largest, allowed) + ROUNDING else NOT_SHOWN
