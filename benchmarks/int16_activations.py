"""What int16 activations with int8 weights are worth on the model in your folder, per runtime.

    python -m benchmarks.int16_activations [--images 1000]

The converter makes such files only with float32 or int16 inputs, and a model of this project takes
raw pixels. So it tries three files: with the converter's float32 input, with a CAST of the pixels
in front of it, and with two QUANTIZE operators, uint8 to int8 to int16. It prints a table of them
beside the exported files: accuracy on test images, mean difference from tflite_float32, and time.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from pipeline.config import params
from pipeline.files import artifacts, split_files
from pipeline.files.artifacts import Array
from pipeline.process import imports
from pipeline.process.words import percent
from pipeline.reporting.tables import table
from pipeline.runtimes import environments
from pipeline.runtimes.process import Interpreter, RuntimeProcess, Task

EXPORTED = ("tflite_float32", "tflite_dynamic", "tflite_int8")
RUNTIMES = ("tflite_runtime", "litert", "tflite_micro")
RUNS = 200  # single images that are timed
COLUMNS = ("runtime", "file", "bytes", "accuracy", "difference", "ms", "arena")


def converted(calibration: Array) -> bytes:
    """The model with int16 activations and int8 weights, and a float32 input."""
    with imports.keras_import():
        import tensorflow as tf

        from pipeline.formats import _tflite
        from pipeline.training import keras_files

    model = keras_files.load(artifacts.MODEL)
    with _tflite.converter(model, model.inputs[0].dtype) as converter:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = _tflite.representative(calibration, model)
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        ]
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
        return bytes(converter.convert())


def with_pixels(content: bytes, kind: str) -> bytes:
    """The file with uint8 pixels as input, and an operator more: `cast` or `quantize`."""
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    graph = model.subgraphs[0]
    first = graph.operators[0]  # QUANTIZE, from the float32 input to int16
    entry = graph.tensors[first.inputs[0]]
    between = copy.deepcopy(entry)
    between.name = b"between"
    model.buffers.append(schema.BufferT())
    between.buffer = len(model.buffers) - 1
    graph.tensors.append(between)
    added = copy.deepcopy(first)
    added.outputs = np.array([len(graph.tensors) - 1], np.int32)
    first.inputs = added.outputs
    graph.operators.insert(0, added)
    entry.type = schema.TensorType.UINT8
    if kind == "quantize":
        between.type = schema.TensorType.INT8
        entry.quantization, between.quantization = (_steps(schema, zero) for zero in (0, -128))
    else:
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CAST
        code.version = 1
        model.operatorCodes.append(code)
        added.opcodeIndex = len(model.operatorCodes) - 1
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _steps(schema: Any, zero_point: int) -> Any:
    """A scale of 1."""
    result = schema.QuantizationParametersT()
    result.scale = np.array([1], np.float32)
    result.zeroPoint = np.array([zero_point], np.int64)
    return result


@dataclass(frozen=True)
class Measurement:
    """A file on a runtime; `reason` is why it gives no answers."""

    probabilities: Array | None
    milliseconds: float | None
    arena_bytes: int | None
    reason: str | None


def measure(runtime: str, file: Path, images: Path) -> Measurement:
    with tempfile.TemporaryDirectory() as output:
        task = Task([file], [images], Path(output))
        process = RuntimeProcess(Interpreter.here(environments.python(runtime)), runtime, task)
        try:
            answer = process.answer()
            if answer.reason:
                return Measurement(None, None, None, answer.reason)
            times = process.milliseconds(RUNS)
        finally:
            process.close()
        assert not isinstance(times, str), times
        probabilities = np.load(Path(output) / f"{file.stem}.npy")
    return Measurement(probabilities, float(np.median(times)), answer.arena_bytes, None)


def row(
    runtime: str, file: Path, measurement: Measurement, float32: Array, labels: Array
) -> list[str]:
    start = [runtime, file.stem, f"{file.stat().st_size:,}"]
    if measurement.probabilities is None:
        return [*start, f"refused: {measurement.reason}", "", "", ""]
    accuracy = float((measurement.probabilities.argmax(1) == labels).mean())
    difference = float(np.abs(measurement.probabilities - float32).mean())
    arena = f"{measurement.arena_bytes:,}" if measurement.arena_bytes else ""
    return [
        *start,
        percent(accuracy),
        f"{difference:.6f}",
        f"{measurement.milliseconds:.3f}",
        arena,
    ]


def rows(folder: Path, count: int) -> list[list[str]]:
    split = split_files.load_split("test")
    images, labels = (np.asarray(part[:count]) for part in split)
    inputs = {name: folder / f"{name}.npy" for name in ("uint8", "float32")}
    for name, path in inputs.items():
        np.save(path, images.astype(name))
    train, _ = split_files.load_split("train")
    content = converted(np.asarray(train[: params.load().export.calibration_images]))
    contents = {"int16_float_input": content}
    contents |= {f"int16_{kind}": with_pixels(content, kind) for kind in ("cast", "quantize")}
    for name, data in contents.items():
        (folder / f"{name}.tflite").write_bytes(data)
    files = [Path("exported") / f"{name}.tflite" for name in EXPORTED]
    float32 = measure("litert", files[0], inputs["uint8"]).probabilities
    assert float32 is not None
    files += [folder / f"{name}.tflite" for name in contents]
    result = []
    for runtime in RUNTIMES:
        for file in files:
            taken = inputs["float32" if file.stem == "int16_float_input" else "uint8"]
            result.append(row(runtime, file, measure(runtime, file, taken), float32, labels))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.int16_activations")
    parser.add_argument("--images", type=int, default=1000)
    options = parser.parse_args()
    print(machine.sentence())
    with tempfile.TemporaryDirectory() as folder:
        print(table(COLUMNS, rows(Path(folder), options.images)))


if __name__ == "__main__":
    main()
