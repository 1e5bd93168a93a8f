"""BentoML with the same ONNX file, in one process, for `make bench-serve`.

    MODEL=MODEL.onnx PYTHON -m bentoml serve benchmarks.serving_bentoml:Digits --port PORT

PYTHON is that of an environment with bentoml and onnxruntime. BentoML looks up its service by
module and name, so it needs a module of its own.
"""

from __future__ import annotations

import os
from typing import Any

import bentoml
import numpy as np

from benchmarks.serving_peers import outputs, predictor


@bentoml.service(workers=1)
class Digits:
    def __init__(self) -> None:
        self.probabilities = predictor(os.environ["MODEL"])

    @bentoml.api(route="/v2/models/mnist-digits/infer")  # type: ignore[untyped-decorator]
    def infer(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        tensor = inputs[0]
        probabilities = self.probabilities(
            np.array(tensor["data"], np.uint8).reshape(tensor["shape"])
        )
        return outputs(probabilities, data=probabilities.ravel().tolist())
