"""What a model is and how it is fed, known before it is exported: it travels inside every file and opens the model card."""

from __future__ import annotations

from typing import Any

from pipeline.config.params import Problem
from pipeline.files.artifacts import Description

# How a photo becomes the input, by dataset; `resize` for all others. LeCun, Cortes and Burges tell how MNIST was made:
# digits fitted into a 20 x 20 box with their aspect ratio kept, the centre of mass at the centre of the 28 x 28 image.
PREPROCESSING: dict[str, dict[str, Any]] = {
    "mnist": {
        "method": "mnist",
        "box": 20,
        "description": (
            "the background is taken away (top-hat) and the ink made light on black, be it darker or lighter than the paper; the "
            "drawing is cropped, fitted into a 20 x 20 box with its aspect ratio kept, and centred by its centre of mass"
        ),
    },
}
RESIZE = {
    "method": "resize",
    "box": None,
    "description": "resized to height and width with Lanczos' filter, transparency laid on white",
}


TEXT = {
    "method": "words",
    "box": None,
    "description": "`serving.text.Vocabulary` turns texts into ids: the different known words",
}
IDS = {
    "method": "ids",
    "box": None,
    "description": "the ids as `vocabulary.txt` numbers them, from 1; 0 fills up",
}


def describe(problem: Problem, data: Description, model_sha256: str) -> dict[str, Any]:
    """The part of the model card that no measurement is needed for, as `serving.model_card` names its fields."""
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
