"""KServe's Python server with the same ONNX file, in one process, for `make bench-serve`.

    PYTHON -m benchmarks.serving_kserve PORT MODEL.onnx

PYTHON is that of an environment with kserve and onnxruntime.
"""

from __future__ import annotations

import sys
from typing import Any

from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer

from benchmarks.serving_peers import predictor


class Digits(Model):  # type: ignore[misc]
    def __init__(self, path: str) -> None:
        super().__init__("mnist-digits")
        self.probabilities = predictor(path)
        self.ready = True

    def predict(
        self, payload: InferRequest, headers: Any = None, response_headers: Any = None
    ) -> InferResponse:
        probabilities = self.probabilities(payload.inputs[0].as_numpy())
        output = InferOutput("probabilities", list(probabilities.shape), "FP32")
        output.set_data_from_numpy(probabilities, binary_data=False)
        return InferResponse(payload.id or "1", self.name, [output])


if __name__ == "__main__":
    port, path = int(sys.argv[1]), sys.argv[2]
    server = ModelServer(http_port=port, enable_grpc=False, workers=1, access_log_format=None)
    server.start([Digits(path)])
