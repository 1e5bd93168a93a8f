"""The predictions that are none of the classes: their share, by day, and what the card promises."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Self

import numpy as np
from pydantic import BaseModel, Field, NonNegativeInt, PositiveInt, ValidationError, model_validator

from pipeline.field import comparison
from pipeline.field.observations import Observations
from pipeline.files.artifacts import Array
from pipeline.files.reports.field import FieldDay, FieldRejection
from pipeline.process.errors import UserError
from pipeline.reporting import statistics


class AcceptedInTest(BaseModel):
    """How many test images a file accepted on a runtime."""

    format: str
    runtime: str
    images: PositiveInt
    accepted: NonNegativeInt

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.accepted > self.images:
            raise ValueError("more images are accepted than there are")
        return self


class Promise(BaseModel):
    """What `rejection` of a model card says of the test set."""

    test: list[AcceptedInTest] = []
    coverage: float | None = Field(None, ge=0, le=1)


def judge(observed: Observations, false_alarms: float) -> FieldRejection | None:
    """None if the file rejects nothing.

    The field is compared with the test images by Fisher's exact test.
    """
    least, count = observed.file.accept_from, len(observed.confidence)
    if least is None:
        return None
    rejected = observed.confidence < float(np.float32(least))
    total, expected = int(rejected.sum()), in_the_test(observed)
    p_value = expected and comparison.difference(total, count, *expected).p_value
    return FieldRejection(
        rejected=total,
        share=total / count,
        interval=statistics.accuracy_interval(total, count),
        expected_share=expected and expected[0] / expected[1],
        p_value=p_value,
        departs=p_value is not None and p_value < false_alarms,
        days=days(observed.times, rejected) if observed.times is not None else [],
    )


def in_the_test(observed: Observations) -> tuple[int, int] | None:
    """How many test images the file rejected, of how many, by the card; None if it does not say.

    If the card has no counts for this file and runtime, they come from the coverage it promises.
    Raises UserError if the card says what cannot be.
    """
    card, pair = observed.card, (observed.file.format, observed.runtime)
    try:
        promise = Promise.model_validate(card.rejection or {})
    except ValidationError as error:
        place = ".".join(str(key) for key in ("rejection", *error.errors()[0]["loc"]))
        raise UserError(
            f"the card of {card.name} {card.version} is damaged at {place}; "
            "rebuild the bundle with `dvc repro`"
        ) from None
    for row in promise.test:
        if (row.format, row.runtime) == pair:
            return row.images - row.accepted, row.images
    if promise.coverage is None:
        return None
    return round((1 - promise.coverage) * card.test_images), card.test_images


def days(times: Array, rejected: Array) -> list[FieldDay]:
    """The predictions of each day, in UTC, from `times` (N,) in seconds since 1970."""
    dates = [datetime.fromtimestamp(time, UTC).date().isoformat() for time in times.tolist()]
    every = Counter(dates)
    none = Counter(date for date, is_none in zip(dates, rejected, strict=True) if is_none)
    return [
        FieldDay(day=date, predictions=every[date], rejected=none[date]) for date in sorted(every)
    ]
