"""What every report on a model in use has: which model, how many predictions, and their drift."""

from __future__ import annotations

from typing import Any

from pipeline.field import drift
from pipeline.field.observations import Observations
from pipeline.process.errors import UserError
from serving.reference import Reference, Spread


def in_use(
    observed: Observations, expected: Reference | Spread | None, false_alarms: float
) -> dict[str, Any]:
    """The fields of an InUse; `expected` is what the card says of the test, None if nothing.

    Raises UserError.
    """
    card, labelled = observed.card, observed.labelled
    model_sha256 = card.provenance.get("model_sha256")
    if not isinstance(model_sha256, str):
        raise UserError(
            f"the card of {card.name} {card.version} does not name its model; "
            "rebuild the bundle with `dvc repro`"
        )
    return {
        "model": card.name,
        "version": card.version,
        "model_sha256": model_sha256,
        "format": observed.file.format,
        "runtime": observed.runtime,
        "predictions": len(labelled),
        "labels": int(labelled.sum()),
        "unreadable": observed.unreadable,
        "drift": drift.judge(observed, expected, false_alarms) if expected else [],
        "least_drift": drift.least(observed, expected, false_alarms) if expected else 1.0,
    }
