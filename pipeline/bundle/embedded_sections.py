"""The sections of MODEL_CARD.md on targets without Python: what `embed` measured for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.files.reports.embed import LABELS
from pipeline.process.words import percent
from pipeline.reporting.tables import table
from serving.model_card import ModelCard


def render(card: ModelCard) -> list[str]:
    """A section for each target with what was measured; lists of rows become tables."""
    sections = []
    for entry in card.embedded:
        tables = {name: value for name, value in entry.measured.items() if isinstance(value, list)}
        measurements = facts(entry.measured)
        summary = entry.refused or (
            f"`embedded/{entry.target}`, generated from {entry.format}; "
            "its README explains how to use it."
        )
        sections.append(f"## Without Python: {entry.target}\n\n{summary}")
        sections += [table(("measured", "value"), measurements)] if measurements else []
        sections += [
            table(
                [_label(name) for name in rows[0]],
                [[_value(value) for value in row.values()] for row in rows],
            )
            for rows in tables.values()
        ]
    return sections


def facts(measured: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was measured for a target and how much, without lists of rows."""
    return [
        (_label(name), _value(value, name))
        for name, value in measured.items()
        if not isinstance(value, list)
    ]


def _label(name: str) -> str:
    return LABELS.get(name, name.replace("_", " "))


def _value(value: Any, name: str = "") -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_value(inner)}" for name, inner in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name.startswith(("agreement", "accuracy")):
        return percent(value)
    if isinstance(value, float):
        return np.format_float_positional(value, precision=3, fractional=False, trim="-")
    return f"{value:,}" if isinstance(value, int) else str(value)
