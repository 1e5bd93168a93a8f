"""The runtimes of devices behind one call: `open_model(name, data).probabilities(images)`."""

from __future__ import annotations

import os
import threading
import time
from typing import Any, Callable, Dict, Optional, Protocol, Tuple

import numpy as np

from serving.errors import RuntimeRefusalError, reason

DISTRIBUTIONS = {
    "tflite_runtime": "tflite-runtime",
    "litert": "ai-edge-litert",
    "onnxruntime": "onnxruntime",
    "tflite_micro": "tflite-micro",
}
SUFFIXES = {
    "tflite_runtime": ".tflite",
    "litert": ".tflite",
    "onnxruntime": ".onnx",
    "tflite_micro": ".tflite",
}
UNSTABLE = {"tflite_runtime"}  # crashes on damaged files, so runs in a child process by default
WARM_UP = 20  # predictions before those that are timed
ONNX_BATCH = 8  # images per call; 64 take 4 MB more and save 3 % of the time

# Since 1.31 ONNX Runtime tells Microsoft what runs on which device, also on Linux, unless this is
# set before it is imported: https://github.com/microsoft/onnxruntime/pull/29843
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


class Model(Protocol):
    """A model that threads may share; its input is of a kind in serving.inputs."""

    input_shape: Tuple[int, ...]
    input_type: str

    def probabilities(self, images: Any) -> Any:
        """Images (N, H, W, C), or ids (N, L) -> probabilities (N, K) float32."""


def version(runtime: str) -> Optional[str]:
    """The installed version of a runtime; None if it is missing or unknown to this package."""
    return installed(DISTRIBUTIONS[runtime]) if runtime in DISTRIBUTIONS else None


def installed(distribution: str) -> Optional[str]:
    """Its version; None if it is not installed."""
    import importlib.metadata  # slow to import, and a child process does not need it

    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def open_model(runtime: str, data: bytes) -> Model:
    """Opens a verified model file, `data`, on `runtime` with one thread.

    Raises RuntimeRefusalError.
    """
    openers: Dict[str, Callable[[bytes], Model]] = {
        "tflite_runtime": _TFLite.tflite_runtime,
        "litert": _TFLite.litert,
        "onnxruntime": _ONNX,
        "tflite_micro": Micro,
    }
    try:
        return openers[runtime](data)
    except RuntimeRefusalError:
        raise
    except ImportError as error:
        raise RuntimeRefusalError(
            f"{runtime} is not installed here ({error}); install {DISTRIBUTIONS[runtime]}"
        ) from None
    except Exception as error:  # on damaged files runtimes raise anything
        raise RuntimeRefusalError(f"{runtime} refuses the file: {reason(error)}") from None


def one_by_one(invoke: Callable[[Any], Any], images: Any) -> Any:
    """TensorFlow Lite files have a batch of 1, because microcontrollers need that."""
    if len(images) == 1:
        return invoke(images)
    return np.concatenate([invoke(images[index : index + 1]) for index in range(len(images))])


def latencies(predict: Callable[[Any], Any], images: Any, runs: int) -> Any:
    """Milliseconds (runs,) of `predict` on single images (1, H, W, C), after a warm-up."""
    for index in range(WARM_UP):
        predict(np.array(images[index % len(images)])[None])
    result = np.empty(runs)
    for index in range(runs):
        image = np.array(images[index % len(images)])[None]
        start = time.perf_counter()
        predict(image)
        result[index] = 1000 * (time.perf_counter() - start)
    return result


class _TFLite:
    def __init__(self, interpreter: Any) -> None:
        interpreter.allocate_tensors()
        self._interpreter = interpreter
        self._lock = threading.Lock()
        details = interpreter.get_input_details()[0]
        self.input_shape = tuple(int(size) for size in details["shape"][1:])
        self.input_type = np.dtype(details["dtype"]).name
        self._input = details["index"]
        self._output = interpreter.get_output_details()[0]["index"]

    @classmethod
    def tflite_runtime(cls, data: bytes) -> _TFLite:
        if int(np.__version__.split(".")[0]) >= 2:
            raise RuntimeRefusalError(
                f"tflite-runtime cannot work with numpy {np.__version__}; install numpy<2"
            )
        from tflite_runtime.interpreter import Interpreter

        return cls(Interpreter(model_content=data, num_threads=1))

    @classmethod
    def litert(cls, data: bytes) -> _TFLite:
        from ai_edge_litert.interpreter import Interpreter

        return cls(Interpreter(model_content=data, num_threads=1))

    def probabilities(self, images: Any) -> Any:
        return one_by_one(self._invoke, images)

    def _invoke(self, image: Any) -> Any:
        with self._lock:
            self._interpreter.set_tensor(self._input, image)
            self._interpreter.invoke()
            return self._interpreter.get_tensor(self._output)


class _ONNX:
    def __init__(self, data: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        # Silent: its messages quote names from the file, which may control the terminal.
        options.log_severity_level = 4
        self._session = onnxruntime.InferenceSession(
            data, options, providers=["CPUExecutionProvider"]
        )
        inputs = self._session.get_inputs()
        if not inputs:
            raise ValueError("it has no input")
        image = inputs[0]
        self.input_shape = tuple(image.shape[1:])
        name = image.type[len("tensor(") : -1]
        self.input_type = "float32" if name == "float" else name

    def probabilities(self, images: Any) -> Any:
        if len(images) <= ONNX_BATCH:
            return self._session.run(["probabilities"], {"image": images})[0]
        starts = range(0, len(images), ONNX_BATCH)
        batches = [self.probabilities(images[start : start + ONNX_BATCH]) for start in starts]
        return np.concatenate(batches)


class Micro:
    """TensorFlow Lite Micro, the interpreter of microcontrollers."""

    def __init__(self, data: bytes, arena_bytes: int = 1 << 20) -> None:
        from tflite_micro.python.tflite_micro import runtime

        self.interpreter = runtime.Interpreter.from_bytes(data, arena_size=arena_bytes)
        self._lock = threading.Lock()
        details = self.interpreter.get_input_details(0)
        self.input_shape = tuple(int(size) for size in details["shape"][1:])
        self.input_type = np.dtype(details["dtype"]).name

    def probabilities(self, images: Any) -> Any:
        return one_by_one(self._invoke, images)

    def _invoke(self, image: Any) -> Any:
        with self._lock:
            self.interpreter.set_input(image, 0)
            self.interpreter.invoke()
            return self.interpreter.get_output(0)
