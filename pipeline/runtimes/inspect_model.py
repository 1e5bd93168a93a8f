"""Inspects a model file without a runtime: what it requires of a runtime, inputs and outputs."""

from __future__ import annotations

from pathlib import Path

import onnx
import tflite
from tflite.utils import opcode2name

from serving.inputs import KINDS
from serving.model_file import Requirements

RAW = " or ".join(f"{kind.type} {kind.noun}" for kind in KINDS.values())


def read(path: Path) -> tuple[Requirements, list[str]]:
    """The file's requirements, and its faults that no supported runtime accepts, with the cure."""
    return _read_onnx(path) if path.suffix == ".onnx" else _read_tflite(path)


def _read_tflite(path: Path) -> tuple[Requirements, list[str]]:
    model = tflite.Model.GetRootAsModel(path.read_bytes(), 0)
    graph = model.Subgraphs(0)
    codes = [model.OperatorCodes(index) for index in range(model.OperatorCodesLength())]
    names = [
        (code.CustomCode() or b"").decode()
        or opcode2name(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()))
        for code in codes
    ]
    image, probabilities = graph.Tensors(graph.Inputs(0)), graph.Tensors(graph.Outputs(0))
    requirements = Requirements(
        minimum_runtime_version=_metadata(model, b"min_runtime_version"),
        operators=[f"{name} v{code.Version()}" for name, code in zip(names, codes, strict=True)],
        weights=_weights(model, names),
        batch=str(image.Shape(0)),
        input_quantization=_quantization(image),
        output_quantization=_quantization(probabilities),
    )
    return requirements, _tflite_problems(names, image, probabilities)


def _tflite_problems(
    operators: list[str], image: tflite.Tensor, probabilities: tflite.Tensor
) -> list[str]:
    """What no supported runtime accepts, each with its cure."""
    batch = int(image.Shape(0))
    problems = [
        f"{name} needs TensorFlow's Flex delegate, which no device runtime has: use other layers"
        for name in operators
        if name.startswith("Flex")
    ]
    if type_name(image).lower() not in KINDS:
        problems.append(f"the input is {type_name(image)}: export with raw {RAW} in")
    if type_name(probabilities) != "FLOAT32":
        problems.append(
            f"the output is {type_name(probabilities)}: export with float32 probabilities out"
        )
    if batch != 1:
        problems.append(f"the batch is {batch}: export with a fixed batch of 1")
    if _quantization(image) not in (None, (1.0, 0)):
        problems.append(
            f"the input has scale and zero point {_quantization(image)}: "
            "calibrate with raw pixels, 0 to 255"
        )
    return problems


def _quantization(tensor: tflite.Tensor) -> tuple[float, int] | None:
    """(scale, zero point) of a quantized tensor: real value = scale * (stored - zero point)."""
    quantization = tensor.Quantization()
    if quantization is None or not quantization.ScaleLength():
        return None
    return float(quantization.Scale(0)), int(quantization.ZeroPoint(0))


def type_name(tensor: tflite.Tensor) -> str:
    names = {
        value: name for name, value in vars(tflite.TensorType).items() if isinstance(value, int)
    }
    return names[tensor.Type()]


def _metadata(model: tflite.Model, name: bytes) -> str | None:
    for index in range(model.MetadataLength()):
        entry = model.Metadata(index)
        if entry.Name() == name:
            return str(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes().rstrip(b"\0").decode())
    return None


def _weights(model: tflite.Model, names: list[str]) -> str:
    """The number types in which the operators with weights compute."""
    graph = model.Subgraphs(0)
    kinds = set()
    for index in range(graph.OperatorsLength()):
        operator = graph.Operators(index)
        if names[operator.OpcodeIndex()] not in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            continue
        activation = type_name(graph.Tensors(operator.Inputs(0)))
        weight = type_name(graph.Tensors(operator.Inputs(1)))
        if activation == "INT8":
            kinds.add("int8 activations")
        else:
            kinds.add(f"float32 activations and {weight.lower()} weights")
    if "DEQUANTIZE" in names and kinds == {"float32 activations and float32 weights"}:
        return "float16 weights"
    return ", ".join(sorted(kinds)) or "no weights"


def _read_onnx(path: Path) -> tuple[Requirements, list[str]]:
    model = onnx.load(path)
    graph = model.graph
    image, probabilities = graph.input[0], graph.output[0]
    types = onnx.TensorProto.DataType
    input_type = onnx.helper.tensor_dtype_to_np_dtype(image.type.tensor_type.elem_type).name
    output_type = types.Name(probabilities.type.tensor_type.elem_type).lower()
    batch = image.type.tensor_type.shape.dim[0]
    problems = []
    if image.name != "image" or input_type not in KINDS:
        problems.append(
            f"the input is {image.name} {input_type}: export with `image`, raw {RAW}, in"
        )
    if (probabilities.name, output_type) != ("probabilities", "float"):
        problems.append(
            f"the output is {probabilities.name} {output_type}: "
            "export with `probabilities`, float32, out"
        )
    if not batch.dim_param:
        problems.append(f"the batch is fixed to {batch.dim_value}: export with a dynamic batch")
    opset = next((entry.version for entry in model.opset_import if entry.domain == ""), 0)
    quantized = any(node.op_type == "DequantizeLinear" for node in graph.node)
    requirements = Requirements(
        minimum_runtime_version=f"opset {opset}",
        operators=sorted({f"{node.op_type} v{opset}" for node in graph.node}),
        weights="int8" if quantized else "float32",
        batch=batch.dim_param or str(batch.dim_value),
    )
    return requirements, problems
