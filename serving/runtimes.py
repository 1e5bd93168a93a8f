"""The runtimes that devices have, behind one call: `open_model(name, data).probabilities(image)`."""

from __future__ import annotations

import importlib.metadata
import os
import re
import tempfile
from typing import Any, Callable, Protocol

import numpy as np

from serving.errors import RuntimeRefusalError

DISTRIBUTIONS = {
    "tflite_runtime": "tflite-runtime",
    "litert": "ai-edge-litert",
    "onnxruntime": "onnxruntime",
    "tflite_micro": "tflite-micro",
}
SUFFIXES = {"tflite_runtime": ".tflite", "litert": ".tflite", "onnxruntime": ".onnx", "tflite_micro": ".tflite"}


class Model(Protocol):
    def probabilities(self, image: Any) -> Any:
        """One image (1, H, W, C) uint8 -> probabilities (1, K) float32."""


def version(runtime: str) -> str | None:
    """The installed version of a runtime, or None."""
    try:
        return importlib.metadata.version(DISTRIBUTIONS[runtime])
    except importlib.metadata.PackageNotFoundError:
        return None


def open_model(runtime: str, data: bytes) -> Model:
    """`data`, the bytes of a file already verified, on `runtime` with one thread. Raises RuntimeRefusalError."""
    openers: dict[str, Callable[[bytes], Model]] = {
        "tflite_runtime": _TFLite.tflite_runtime,
        "litert": _TFLite.litert,
        "onnxruntime": _ONNX,
        "tflite_micro": _Micro,
    }
    try:
        return openers[runtime](data)
    except ImportError as error:
        raise RuntimeRefusalError(f"{runtime} is not installed here ({error}); install {DISTRIBUTIONS[runtime]}") from None
    except (ValueError, RuntimeError, SystemError) as error:
        raise RuntimeRefusalError(f"{runtime} refuses the file: {' '.join(str(error).split())[:300]}") from None


class _TFLite:
    def __init__(self, interpreter: Any) -> None:
        interpreter.allocate_tensors()
        self.interpreter = interpreter
        self.input = interpreter.get_input_details()[0]["index"]
        self.output = interpreter.get_output_details()[0]["index"]

    @classmethod
    def tflite_runtime(cls, data: bytes) -> _TFLite:
        if int(np.__version__.split(".")[0]) >= 2:
            raise RuntimeRefusalError(f"tflite-runtime cannot work with numpy {np.__version__}; install numpy<2")
        from tflite_runtime.interpreter import Interpreter

        return cls(Interpreter(model_content=data, num_threads=1))

    @classmethod
    def litert(cls, data: bytes) -> _TFLite:
        from ai_edge_litert.interpreter import Interpreter

        return cls(Interpreter(model_content=data, num_threads=1))

    def probabilities(self, image: Any) -> Any:
        self.interpreter.set_tensor(self.input, image)
        self.interpreter.invoke()
        return self.interpreter.get_tensor(self.output)


class _ONNX:
    def __init__(self, data: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions share no base class
            raise RuntimeRefusalError(f"onnxruntime refuses the file: {' '.join(str(error).split())[:300]}") from None

    def probabilities(self, image: Any) -> Any:
        return self.session.run(["probabilities"], {"image": image})[0]


class _Micro:
    """TensorFlow Lite Micro, the interpreter that microcontrollers run."""

    def __init__(self, data: bytes, arena_bytes: int = 1 << 20) -> None:
        from tflite_micro.python.tflite_micro import runtime

        self.interpreter = runtime.Interpreter.from_bytes(data, arena_size=arena_bytes)

    def probabilities(self, image: Any) -> Any:
        self.interpreter.set_input(image, 0)
        self.interpreter.invoke()
        return self.interpreter.get_output(0)

    def arena_bytes(self) -> int:
        """The arena that the model takes, which the interpreter tells on the file descriptor of stderr alone."""
        with tempfile.TemporaryFile() as file:
            stderr = os.dup(2)
            os.dup2(file.fileno(), 2)
            try:
                self.interpreter.print_allocations()
            finally:
                os.dup2(stderr, 2)
                os.close(stderr)
            file.seek(0)
            text = file.read().decode(errors="replace")
        found = re.search(r"Arena allocation total (\d+) bytes", text)
        if found is None:
            raise RuntimeRefusalError("tflite_micro does not tell the size of its arena")
        return int(found.group(1))
