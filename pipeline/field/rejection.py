"""The predictions that are none of the classes: their share, by day, and what the card promises."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import numpy as np

from pipeline.field import comparison
from pipeline.field.observations import Observations
from pipeline.files.artifacts import Array
from pipeline.files.reports.field import FieldDay, FieldRejection
from pipeline.reporting import statistics
from serving.model_card import ModelCard


def judge(observed: Observations, false_alarms: float) -> FieldRejection | None:
    """None if the file rejects nothing.

    The field is compared with the test images by Fisher's exact test, as the promised coverage is a
    share of these.
    """
    least, count = observed.file.accept_from, len(observed.confidence)
    if least is None:
        return None
    rejected = observed.confidence < float(np.float32(least))
    total, promised = int(rejected.sum()), promised_share(observed.card)
    p_value = None
    if promised is not None:
        tested = observed.card.test_images
        p_value = comparison.difference(total, count, round(promised * tested), tested).p_value
    return FieldRejection(
        rejected=total,
        share=total / count,
        interval=statistics.accuracy_interval(total, count),
        promised_share=promised,
        p_value=p_value,
        departs=p_value is not None and p_value < false_alarms,
        days=days(observed.times, rejected) if observed.times is not None else [],
    )


def promised_share(card: ModelCard) -> float | None:
    """The share that the file rejected in the test: what its coverage leaves. None if unknown."""
    coverage = (card.rejection or {}).get("coverage")
    if not isinstance(coverage, int | float) or not 0 <= coverage <= 1:
        return None
    return 1 - coverage


def days(times: Array, rejected: Array) -> list[FieldDay]:
    """The predictions of each day, in UTC, from `times` (N,) in seconds since 1970."""
    dates = [datetime.fromtimestamp(time, UTC).date().isoformat() for time in times.tolist()]
    every = Counter(dates)
    none = Counter(date for date, is_none in zip(dates, rejected, strict=True) if is_none)
    return [
        FieldDay(day=date, predictions=every[date], rejected=none[date]) for date in sorted(every)
    ]
