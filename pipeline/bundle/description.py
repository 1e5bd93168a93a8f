"""What a model is and what input it takes, known before export.

It is stored inside every model file, and the model card begins with it.
"""

from __future__ import annotations

from typing import Any

from pipeline.config.params import Problem
from pipeline.files.artifacts import Description

# How a photo becomes the input, by dataset; `resize` for all others. LeCun, Cortes and Burges
# describe how MNIST was made: each digit was fitted into a 20 x 20 box with its aspect ratio kept,
# and its centre of mass was placed at the centre of the 28 x 28 image.
PREPROCESSING: dict[str, dict[str, Any]] = {
    "mnist": {
        "method": "mnist",
        "box": 20,
        "description": (
            "the background is removed (top-hat) and the ink becomes light on black, whether it "
            "was darker or lighter than the paper; the drawing is cropped, fitted into a 20 x 20 "
            "box with its aspect ratio kept, and centred by its centre of mass"
        ),
    },
}
RESIZE = {
    "method": "resize",
    "box": None,
    "description": "resized to the model's height and width with a Lanczos filter; "
    "transparent areas become white",
}
TEXT = {
    "method": "words",
    "box": None,
    "description": "`serving.text.Vocabulary` turns a text into ids of its distinct known words",
}
IDS = {
    "method": "ids",
    "box": None,
    "description": "ids as numbered in `vocabulary.txt`, from 1; zero-padded",
}


def describe(problem: Problem, data: Description, model_sha256: str) -> dict[str, Any]:
    """The fields of the model card that need no measurement, named as in `serving.model_card`."""
    return {
        "card_version": 2,
        "name": problem.name,
        "version": problem.version,
        "statement": problem.statement,
        "use": problem.use,
        "limits": problem.limits,
        "class_names": data.class_names,
        "input": {
            "name": "image",
            "type": data.input_dtype,
            "shape": list(data.input_shape),
            "range": [0, data.highest],
        },
        "output": {
            "name": "probabilities",
            "type": "float32",
            "shape": [len(data.class_names)],
            "range": [0, 1],
        },
        "preprocessing": preprocessing(data),
        "provenance": {
            "dataset": data.name,
            "data_sha256": data.sha256,
            "model_sha256": model_sha256,
        },
    }


def preprocessing(data: Description) -> dict[str, Any]:
    if data.holds_ids:
        return TEXT if data.examples else IDS
    return PREPROCESSING.get(data.name, RESIZE)
