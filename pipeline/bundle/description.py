"""What a model is and what input it takes, known before export.

It is stored inside every model file, and the model card begins with it.
"""

from __future__ import annotations

from typing import Any

from pipeline import inputs
from pipeline.config.problem import Problem
from pipeline.files.artifacts import Description
from serving.inputs import TYPES

LARGEST_NUMBER = 2**31 - 1  # the widest range of a card: of a number none is known


def describe(problem: Problem, data: Description, model_sha256: str) -> dict[str, Any]:
    """The fields of the model card that need no measurement, named as in `serving.model_card`."""
    kind = inputs.kind(data.kind)
    output_range = [0, 1] if data.unit is None else [-LARGEST_NUMBER, LARGEST_NUMBER]
    return {
        "card_version": 2,
        "name": problem.name,
        "version": problem.version,
        "statement": problem.statement,
        "use": problem.use,
        "limits": problem.limits,
        "target": data.target,
        "class_names": data.class_names,
        "input": {
            "name": "image",
            "type": TYPES[data.kind],
            "shape": list(data.input_shape),
            "range": list(data.range),
        },
        "output": {
            "name": "probabilities",
            "type": "float32",
            "shape": [len(data.class_names)],
            "range": output_range,
        },
        "preprocessing": kind.preprocessing(data),
        "provenance": {
            "dataset": data.name,
            "data_sha256": data.sha256,
            "model_sha256": model_sha256,
        },
    }
