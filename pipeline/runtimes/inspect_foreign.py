"""Reads what a .tflite or .onnx file of somebody else takes and gives, without running it.

Whatever no runtime here could do is refused in a sentence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import tflite

from pipeline.process import git_lfs
from pipeline.process.errors import UserError
from pipeline.runtimes import inspect_model
from serving.errors import printable
from serving.model_file import Requirements

SUFFIXES = (".tflite", ".onnx")
MOST_BYTES = 2**31  # of a protocol buffer, and of a flat buffer
OWN_DOMAINS = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft"}  # that ONNX Runtime knows
NUMBERS = {"float32", "float16", "float64", "uint8", "int8", "int16", "int32", "int64"}

Size = int | None  # None: any


@dataclass(frozen=True)
class Interface:
    """The input of a file: its shape without the batch, its type, and what the file requires."""

    shape: tuple[Size, ...]
    dtype: str
    requirements: Requirements


def read(path: Path) -> Interface:
    """Raises UserError, with the operator if it is one that no runtime has."""
    if not path.is_file():
        raise UserError(f"{path} is not a file; expected one that ends in {' or '.join(SUFFIXES)}")
    git_lfs.refuse(path)
    if path.stat().st_size >= MOST_BYTES:
        raise UserError(f"{path} has more than 2 GB; expected a smaller model")
    try:
        return _read_onnx(path) if path.suffix == ".onnx" else _read_tflite(path)
    except UserError:
        raise
    except Exception as error:  # a damaged file can make its reader raise anything
        format_name = "an ONNX" if path.suffix == ".onnx" else "a TensorFlow Lite"
        reason = printable(" ".join(str(error).split()))[:150]
        raise UserError(
            f"{path} is not {format_name} file, or a part of it is missing ({reason}); "
            "expected the whole file, as its maker gave it"
        ) from None


def _read_tflite(path: Path) -> Interface:
    data = path.read_bytes()
    if data[4:8] != b"TFL3":
        raise ValueError("it does not have TFL3 at byte 4")
    model = tflite.Model.GetRootAsModel(data, 0)
    for index in range(model.BuffersLength()):
        model.Buffers(index).DataAsNumpy()  # raises if the file ends before
    graph = model.Subgraphs(0)
    _check_count(path, "input", graph.InputsLength())
    _check_count(path, "output", graph.OutputsLength())
    _check_custom(path, _custom_operators(model))
    entry = graph.Tensors(graph.Inputs(0))
    shape, dtype = [int(size) for size in entry.ShapeAsNumpy()], inspect_model.type_name(entry)
    _check_input(path, shape[0], dtype.lower())
    if entry.ShapeSignatureLength() and -1 in entry.ShapeSignatureAsNumpy()[1:]:
        raise UserError(
            f"{path} has an input of a size that is left open; expected a fixed one: convert the "
            "model again with the height and width of your images"
        )
    return Interface(tuple(shape[1:]), dtype.lower(), inspect_model.read(path)[0])


def _custom_operators(model: tflite.Model) -> list[str]:
    codes = [model.OperatorCodes(index) for index in range(model.OperatorCodesLength())]
    custom = [code for code in codes if code.BuiltinCode() == tflite.BuiltinOperator.CUSTOM]
    return [(code.CustomCode() or b"without a name").decode(errors="replace") for code in custom]


def _read_onnx(path: Path) -> Interface:
    model = onnx.load_model_from_string(path.read_bytes())  # without files that it names
    if not model.graph.node:
        raise ValueError("it has no operator")
    graph, constants = model.graph, {tensor.name for tensor in model.graph.initializer}
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in _tensors(model)):
        raise UserError(
            f"{path} keeps weights in another file; expected one file: save it with its weights "
            "inside, as onnx.save does by default"
        )
    inputs = [entry for entry in graph.input if entry.name not in constants]
    _check_count(path, "input", len(inputs))
    _check_count(path, "output", len(graph.output))
    own = {(function.domain, function.name) for function in model.functions}
    unknown = [
        node.op_type if node.domain in OWN_DOMAINS else f"{node.domain}.{node.op_type}"
        for node in _parts(model, onnx.NodeProto)
        if not _is_known(node, own)
    ]
    _check_custom(path, unknown)
    tensor = inputs[0].type.tensor_type
    shape = [size.dim_value or None for size in tensor.shape.dim]
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    _check_input(path, shape[0], dtype)
    return Interface(tuple(shape[1:]), dtype, inspect_model.read(path)[0])


def _tensors(model: onnx.ModelProto) -> Iterator[Any]:
    return _parts(model, onnx.TensorProto)


def _parts(message: Any, kind: type) -> Iterator[Any]:
    """Every message of this kind in a protocol buffer, also in graphs within graphs."""
    if isinstance(message, kind):
        yield message
    if isinstance(message, onnx.TensorProto):
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for item in [value] if hasattr(value, "ListFields") else value:
                yield from _parts(item, kind)


def _is_known(node: Any, own: set[tuple[str, str]]) -> bool:
    """Whether it is an operator of ONNX, of ONNX Runtime's own, or a function of the file."""
    if (node.domain, node.op_type) in own:
        return True
    if node.domain in ("", "ai.onnx"):
        return bool(onnx.defs.has(node.op_type))
    return node.domain in OWN_DOMAINS


def _check_count(path: Path, noun: str, count: int) -> None:
    if count != 1:
        raise UserError(
            f"{path} has {count} {noun}s; expected one: images in and a value for each class out"
        )


def _check_custom(path: Path, names: Sequence[str]) -> None:
    if names:
        shown = ", ".join(dict.fromkeys(printable(name)[:60] for name in names))
        raise UserError(
            f"{path} needs the custom operator {shown}, which no runtime here has; expected "
            "operators of TensorFlow Lite or ONNX alone: convert the model without it"
        )


def _check_input(path: Path, batch: Size, dtype: str) -> None:
    if batch not in (1, None):
        raise UserError(
            f"{path} takes {batch} images at a time; expected 1, or any number: convert the model "
            "again with a batch of 1"
        )
    if dtype not in NUMBERS:
        raise UserError(f"{path} takes values of type {dtype}; expected numbers of images")
