"""Runs files of somebody else on one runtime: raw pixels in, probabilities out.

    python -m pipeline.runtimes.foreign RUNTIME FILE ... --images IMAGES ... --output FOLDER

As `serving.measure`, but the file takes and gives what its maker chose, and its adapter lies beside
it, as JSON. It needs NumPy and the runtime alone.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pipeline.process import limits
from serving import measure, runtimes
from serving.errors import RuntimeRefusalError, reason

NHWC, NCHW = "NHWC", "NCHW"
SOFTMAX, SIGMOID = "softmax", "sigmoid"
ARENA_BYTES = 1 << 26  # for TensorFlow Lite Micro; what it takes of that is measured

Quantization = tuple[float, int]  # real value = scale * (stored - zero point)


@dataclass(frozen=True)
class Adapter:
    """What stands between raw pixels and a file, and between its outputs and probabilities.

    `shape` is that of one input, with its batch of 1. A pixel p becomes (p - mean) / deviation, for
    all channels or for each; with `bgr` the channels become blue, green, red first. `activation`
    makes probabilities of logits; None: they are. `order` has the output of each class; None: the
    outputs stay as they are.
    """

    layout: str
    shape: tuple[int, ...]
    dtype: str
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    input_quantization: Quantization | None = None
    output_quantization: Quantization | None = None
    activation: str | None = None
    order: tuple[int, ...] | None = None
    bgr: bool = False
    reference_kernels: bool = False  # plain loops, without kernels that are made for a processor

    @classmethod
    def beside(cls, file: Path) -> Adapter:
        return cls(**json.loads(file.with_suffix(".json").read_text(encoding="utf-8")))

    def save_beside(self, file: Path) -> None:
        text = json.dumps(asdict(self))
        file.with_suffix(".json").write_text(text, encoding="utf-8")

    def inputs(self, images: Any) -> Any:
        """Images (N, H, W, C) uint8 as the file takes them."""
        mean, deviation = (np.asarray(part, np.float32) for part in (self.mean, self.deviation))
        pixels = images[..., ::-1] if self.bgr else images
        values = (pixels.astype(np.float32) - mean) / deviation
        if self.layout == NCHW:
            values = values.transpose(0, 3, 1, 2)
        return stored(values, self.dtype, self.input_quantization).reshape(-1, *self.shape[1:])

    def outputs(self, given: Any) -> Any:
        """What the file gave for N images as probabilities (N, K) float32."""
        values = np.asarray(given).reshape(len(given), -1).astype(np.float32)
        if self.output_quantization:
            scale, zero_point = self.output_quantization
            values = np.float32(scale) * (values - zero_point)
        if self.order is None:
            return values
        return activated(values, self.activation)[:, list(self.order)]


def stored(values: Any, dtype: str, quantization: Quantization | None) -> Any:
    """Real values as a tensor of this type holds them."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return values.astype(kind)
    limits = np.iinfo(kind)
    scale, zero_point = quantization or (1.0, -128 if dtype == "int8" else 0)
    return np.clip(np.rint(values / scale) + zero_point, limits.min, limits.max).astype(kind)


def activated(values: Any, activation: str | None) -> Any:
    """Outputs (N, K) as probabilities; (N, 1) of two classes becomes (N, 2)."""
    if activation == SOFTMAX:
        powers = np.exp(values - values.max(1, keepdims=True))
        return powers / powers.sum(1, keepdims=True)
    if activation == SIGMOID:
        values = 0.5 + 0.5 * np.tanh(0.5 * values)
    return np.hstack([1 - values, values]) if values.shape[1] == 1 else values


class Adapted:
    """A file on a runtime, with what its adapter says around it."""

    def __init__(self, runtime: str, file: Path) -> None:
        self.runtime, self.adapter = runtime, Adapter.beside(file)
        self.input_shape, self.input_type = self.adapter.shape[1:], "uint8"
        self._printed = capture() if runtime == "tflite_micro" else None
        with self._refusing():
            self._run = opened(runtime, file.read_bytes(), self.adapter.reference_kernels)
        if isinstance(self._run, runtimes.Micro):
            self.interpreter = self._run.interpreter
            self._run = self._run.probabilities

    def probabilities(self, images: Any) -> Any:
        """Images (N, H, W, C) uint8 -> probabilities (N, K). Raises RuntimeRefusalError."""
        with self._refusing():
            return self.adapter.outputs(self._run(self.adapter.inputs(images)))

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except RuntimeRefusalError:
            raise
        except Exception as error:  # on damaged files runtimes raise anything
            printed = self._printed and said_by_micro(self._printed)
            raise RuntimeRefusalError(printed or reason(error)) from None


def capture() -> BinaryIO:
    """A file that gets what this process prints to file descriptor 2 from now on."""
    printed = tempfile.TemporaryFile()  # noqa: SIM115  open as long as the process
    os.dup2(printed.fileno(), 2)
    return printed


def said_by_micro(printed: BinaryIO) -> str:
    """The first line that TensorFlow Lite Micro printed, without the place in its source."""
    printed.seek(0)
    lines = printed.read().decode(errors="replace").splitlines()
    return re.sub(r"^tensorflow/\S+ ", "", lines[0]).rstrip(".") if lines else ""


def opened(runtime: str, data: bytes, reference_kernels: bool) -> Any:
    """What takes an input and gives the output, or for TensorFlow Lite Micro the model."""
    if runtime == "onnxruntime":
        return onnx_session(data, reference_kernels)
    if runtime == "tflite_micro":
        return runtimes.Micro(data, ARENA_BYTES)
    if reference_kernels:
        return reference_interpreter(data)
    return runtimes.open_model(runtime, data).probabilities


def reference_interpreter(data: bytes) -> Callable[[Any], Any]:
    """LiteRT with the reference kernels of TensorFlow Lite."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=data,
        num_threads=1,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
    )
    interpreter.allocate_tensors()
    entry, end = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def run(values: Any) -> Any:
        interpreter.set_tensor(entry["index"], values)
        interpreter.invoke()
        return interpreter.get_tensor(end["index"])

    return run


def onnx_session(data: bytes, reference_kernels: bool) -> Callable[[Any], Any]:
    """ONNX Runtime; as reference each node as the file has it, none fused with another."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # its messages quote names from the file
    if reference_kernels:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    names, entry = [session.get_outputs()[0].name], session.get_inputs()[0].name
    return lambda values: session.run(names, {entry: values})[0]


if __name__ == "__main__":
    limits.limit_memory()
    measure.main(Adapted)
