"""MLServer with the same ONNX file, in one process, for `make bench-serve`: it looks its model's class up by module and name.

PYTHON -m benchmarks.serving_mlserver PORT MODEL.onnx      in an environment with mlserver and onnxruntime
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
        return InferenceResponse(
            model_name=self.name, outputs=[NumpyCodec.encode_output("probabilities", probabilities)]
        )


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
    asyncio.run(
        MLServer(settings).start([ModelSettings(name="mnist-digits", implementation=Digits)])
    )
