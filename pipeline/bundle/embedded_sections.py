"""The sections of MODEL_CARD.md on targets without Python: what `embed` measured for each."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.files.reports.embed import Measured
from pipeline.process.words import percent
from pipeline.reporting.tables import table
from serving.model_card import ModelCard

# Labels for the keys of what `embed` measured.
LABELS = {
    "wasm_bytes": "WebAssembly module, bytes",
    "page_bytes": "whole page, bytes",
    "program_bytes": "programs, bytes",
    "constant_bytes": "constants in flash, bytes",
    "stack_bytes": "stack for one input, bytes",
    "model_bytes": "flash for the model, bytes",
    "flash_bytes_with_runtime": "flash for the model and the runtime, bytes",
    "arena_bytes_measured": "arena measured, bytes (largest of the builds tried)",
    "arena_bytes_margin": "arena margin for optimised kernels, bytes",
    "arena_bytes": "arena to reserve, bytes",
    "arena_bytes_esp32": "arena to reserve on an ESP32, bytes",
    "multiply_accumulates": "multiply-accumulate operations per input",
    "test_images": "test examples",
    "agreement_with_litert": "same answer as with LiteRT",
    "largest_difference": "largest difference of an output",
    "state": "verdict on all test examples",
    "accuracy": "accuracy",
    "accuracy_lost_bound": "accuracy lost at most (95 % bound)",
    "agreement": "same answer as the trained model",
    "error": "mean absolute error",
    "error_added_bound": "added to the mean absolute error at most (95 % bound)",
    "images_equal_to_micro": "outputs equal to TensorFlow Lite Micro's, byte for byte",
    "median_milliseconds": "median time per input, ms",
    "ram_bytes": "RAM available to the model, bytes",
    "flash_bytes": "flash, bytes",
}


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


def facts(measured: Measured) -> list[tuple[str, str]]:
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
