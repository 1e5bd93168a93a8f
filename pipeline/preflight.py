"""What a model file asks of a runtime, read from the file before any runtime sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import onnx
import tflite
from tflite.utils import opcode2name

TENSORFLOW_VERSION = {"tflite_runtime": None, "litert": (2, 18), "tflite_micro": None}  # None: the runtime's own version counts
ONNX_OPSETS = (7, 23)  # ONNX Runtime's compatibility page: every opset from 7 to the newest released
CAST_OPERATORS = {"CAST", "QUANTIZE", "DEQUANTIZE"}


@dataclass(frozen=True)
class Requirements:
    """What the file needs and offers; `operators` are NAME vVERSION."""

    minimum_runtime_version: str | None
    operators: list[str]
    input: str
    output: str
    batch: str
    weights: str
    problems: list[str] = field(default_factory=list)  # what no runtime of ours accepts, each with its cure


def read(path: Path) -> Requirements:
    return _read_onnx(path) if path.suffix == ".onnx" else _read_tflite(path)


def refusals(requirements: Requirements, runtime: str, runtime_version: str | None) -> list[str]:
    """Why `runtime` cannot run the file, each reason with its cure; empty where nothing speaks against it."""
    reasons = list(requirements.problems)
    if runtime == "tflite_micro" and requirements.weights != "int8 activations":
        reasons.append(f"TensorFlow Lite Micro does not run files with {requirements.weights}: export tflite_int8")
    if runtime == "onnxruntime" and requirements.minimum_runtime_version:
        opset = int(requirements.minimum_runtime_version.split()[1])
        if not ONNX_OPSETS[0] <= opset <= ONNX_OPSETS[1]:
            reasons.append(f"opset {opset} is not one of {ONNX_OPSETS[0]} to {ONNX_OPSETS[1]}: export with another opset")
    needed = _numbers(requirements.minimum_runtime_version)
    if runtime == "tflite_runtime" and needed and runtime_version and needed > _numbers(runtime_version):
        reasons.append(
            f"the file needs runtime {requirements.minimum_runtime_version}, here is {runtime_version} (operators "
            f"{', '.join(requirements.operators)}): use LiteRT, or export without per-channel dense layers"
        )
    return reasons


def _numbers(version: str | None) -> tuple[int, ...]:
    if not version or not version[0].isdigit():
        return ()
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())


def _read_tflite(path: Path) -> Requirements:
    model = tflite.Model.GetRootAsModel(path.read_bytes(), 0)
    graph = model.Subgraphs(0)
    codes = [model.OperatorCodes(index) for index in range(model.OperatorCodesLength())]
    names = [(code.CustomCode() or b"").decode() or opcode2name(max(code.BuiltinCode(), code.DeprecatedBuiltinCode())) for code in codes]
    image, probabilities = graph.Tensors(graph.Inputs(0)), graph.Tensors(graph.Outputs(0))
    batch = int(image.Shape(0))
    problems = [
        f"{name} needs TensorFlow's Flex delegate, which no device runtime has: use other layers"
        for name in names
        if name.startswith("Flex")
    ]
    if _type(image) != "UINT8":
        problems.append(f"the input is {_type(image)}: export with raw uint8 pixels in")
    if _type(probabilities) != "FLOAT32":
        problems.append(f"the output is {_type(probabilities)}: export with float32 probabilities out")
    if batch != 1:
        problems.append(f"the batch is {batch}: export with a fixed batch of 1")
    return Requirements(
        minimum_runtime_version=_metadata(model, b"min_runtime_version"),
        operators=[f"{name} v{code.Version()}" for name, code in zip(names, codes, strict=True)],
        input=f"uint8 {[int(size) for size in image.ShapeAsNumpy()]}" if _type(image) == "UINT8" else _type(image),
        output=_type(probabilities).lower(),
        batch=str(batch),
        weights=_weights(model, names),
        problems=problems,
    )


def _type(tensor: tflite.Tensor) -> str:
    names = {value: name for name, value in vars(tflite.TensorType).items() if isinstance(value, int)}
    return names[tensor.Type()]


def _metadata(model: tflite.Model, name: bytes) -> str | None:
    for index in range(model.MetadataLength()):
        entry = model.Metadata(index)
        if entry.Name() == name:
            return str(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes().rstrip(b"\0").decode())
    return None


def _weights(model: tflite.Model, names: list[str]) -> str:
    """How the graph computes, as its operators with weights show it."""
    graph = model.Subgraphs(0)
    kinds = set()
    for index in range(graph.OperatorsLength()):
        operator = graph.Operators(index)
        if names[operator.OpcodeIndex()] not in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            continue
        activation, weight = _type(graph.Tensors(operator.Inputs(0))), _type(graph.Tensors(operator.Inputs(1)))
        kinds.add("int8 activations" if activation == "INT8" else f"float32 activations and {weight.lower()} weights")
    if "DEQUANTIZE" in names and kinds == {"float32 activations and float32 weights"}:
        return "float16 weights"
    return ", ".join(sorted(kinds)) or "no weights"


def _read_onnx(path: Path) -> Requirements:
    model = onnx.load(path)
    graph = model.graph
    image, probabilities = graph.input[0], graph.output[0]
    types = onnx.TensorProto.DataType
    input_type = types.Name(image.type.tensor_type.elem_type).lower()
    output_type = types.Name(probabilities.type.tensor_type.elem_type).lower()
    batch = image.type.tensor_type.shape.dim[0]
    problems = []
    if (image.name, input_type) != ("image", "uint8"):
        problems.append(f"the input is {image.name} {input_type}: export with `image`, raw uint8 pixels, in")
    if (probabilities.name, output_type) != ("probabilities", "float"):
        problems.append(f"the output is {probabilities.name} {output_type}: export with `probabilities`, float32, out")
    if not batch.dim_param:
        problems.append(f"the batch is fixed to {batch.dim_value}: export with a dynamic batch")
    opset = next((entry.version for entry in model.opset_import if entry.domain == ""), 0)
    return Requirements(
        minimum_runtime_version=f"opset {opset}",
        operators=sorted({f"{node.op_type} v{opset}" for node in graph.node}),
        input=f"{input_type} {[dim.dim_value or dim.dim_param for dim in image.type.tensor_type.shape.dim]}",
        output=output_type,
        batch=batch.dim_param or str(batch.dim_value),
        weights="int8" if any(node.op_type == "DequantizeLinear" for node in graph.node) else "float32",
        problems=problems,
    )
