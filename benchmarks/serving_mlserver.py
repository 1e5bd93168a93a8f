"""MLServer with the same ONNX file, in one process, for `make bench-serve`.

    PYTHON -m benchmarks.serving_mlserver PORT MODEL.onnx

PYTHON is that of an environment with mlserver and onnxruntime. MLServer looks up its model's class
by module and name, so it needs a module of its own.
"""

from __future__ import annotations

import asyncio
import sys

from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.serving_peers import predictor


class Digits(MLModel):  # type: ignore[misc]
    async def load(self) -> bool:
        self.probabilities = predictor(sys.argv[2])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        probabilities = self.probabilities(NumpyCodec.decode_input(payload.inputs[0]))
        output = NumpyCodec.encode_output("probabilities", probabilities)
        return InferenceResponse(model_name=self.name, outputs=[output])


if __name__ == "__main__":
    port = int(sys.argv[1])
    settings = Settings(
        host="127.0.0.1",
        http_port=port,
        grpc_port=port + 1,
        metrics_port=port + 2,
        parallel_workers=0,
        debug=False,
    )
    model = ModelSettings(name="mnist-digits", implementation=Digits)
    asyncio.run(MLServer(settings).start([model]))
