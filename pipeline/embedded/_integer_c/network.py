"""A full-integer TensorFlow Lite file as typed objects. Raises UserError for anything else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError
from pipeline.runtimes import four_bits

INSTEAD = "use another architecture, or remove the target from embed.targets"
DTYPES = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.UINT8: np.uint8,
    schema.TensorType.INT8: np.int8,
}
NORMALIZE = "NORMALIZE"  # no operator of TensorFlow Lite
OPERATORS = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)
}


@dataclass(frozen=True)
class Tensor:
    """A tensor of the file. `values` has its shape, and is None unless they are constant.

    Those of an int4 tensor, which is packed in the file, are int8.

    A value q of an integer tensor stands for scale * (q - zero_point). `scales` (C,) float32 has
    one element, or one for each output channel; it is empty if the tensor is not quantized.
    """

    index: int
    shape: tuple[int, ...]
    dtype: str
    scales: Array
    zero_point: int
    values: Array | None

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def scale(self) -> np.float32:
        return np.float32(self.scales[0])


@dataclass(frozen=True)
class Operator:
    """One operator, its inputs without those left out, and its options as in TFLite's schema."""

    name: str
    inputs: tuple[Tensor, ...]
    output: Tensor
    options: Any

    @property
    def variable(self) -> tuple[Tensor, ...]:
        """The inputs that are not constant."""
        return tuple(tensor for tensor in self.inputs if tensor.values is None)

    def refusal(self, fault: str) -> UserError:
        return UserError(f"its {self.name} {fault}; {INSTEAD}")


@dataclass(frozen=True)
class Network:
    """Operators in the order they run. Input and output are uint8 or int8.

    Measurements are float32, and the first operator, NORMALIZE, makes int8 of them.
    """

    operators: tuple[Operator, ...]
    input: Tensor
    output: Tensor


def read(data: bytes) -> Network:
    """The network in a file for one image at a time.

    A DEQUANTIZE at the end is left out, so that the output stays integer. Raises UserError.
    """
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    graph = model.subgraphs[0]
    if len(model.subgraphs) > 1 or len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise UserError(f"it does not have exactly one input and one output; {INSTEAD}")
    tensors = [tensor(model, graph, index) for index in range(len(graph.tensors))]
    operators = [operator(model, entry, tensors) for entry in graph.operators]
    output = tensors[graph.outputs[0]]
    if operators[-1].name == "DEQUANTIZE":
        output = operators.pop().inputs[0]
    network = Network(normalized(tuple(operators)), tensors[graph.inputs[0]], output)
    check_types(network)
    return network


def tensor(model: Any, graph: Any, index: int) -> Tensor:
    stored = graph.tensors[index]
    quantization = stored.quantization
    scales = getattr(quantization, "scale", None)
    zero_points = getattr(quantization, "zeroPoint", None)
    shape = tuple(map(int, stored.shape)) if stored.shape is not None else ()
    dtype = DTYPES.get(stored.type)
    data = model.buffers[stored.buffer].data
    values = None
    if data is not None and len(data):
        if stored.type == schema.TensorType.INT4:
            values = four_bits.unpacked(bytes(data), shape)
        elif dtype:
            values = np.frombuffer(bytes(data), dtype).reshape(shape)
    return Tensor(
        index=index,
        shape=shape,
        dtype=type_name(stored.type),
        scales=np.asarray(scales if scales is not None else [], np.float32),
        zero_point=int(zero_points[0]) if zero_points is not None and len(zero_points) else 0,
        values=values,
    )


def type_name(code: int) -> str:
    if code == schema.TensorType.INT4:
        return "int4"
    return np.dtype(DTYPES[code]).name if code in DTYPES else "another type"


def operator(model: Any, entry: Any, tensors: list[Tensor]) -> Operator:
    code = model.operatorCodes[entry.opcodeIndex]
    return Operator(
        name=OPERATORS[max(code.builtinCode, code.deprecatedBuiltinCode)],
        inputs=tuple(tensors[index] for index in entry.inputs if index >= 0),
        output=tensors[entry.outputs[0]],
        options=entry.builtinOptions,
    )


def normalized(operators: tuple[Operator, ...]) -> tuple[Operator, ...]:
    """The operators, with one NORMALIZE for those that scale float32 measurements and quantize.

    They are one MUL and one ADD with a constant, or less. Raises UserError for others.
    """
    names = [entry.name for entry in operators]
    if operators[0].variable[0].dtype != "float32" or "QUANTIZE" not in names:
        return operators
    end = names.index("QUANTIZE")
    computing = [entry for entry in operators[:end] if entry.name != "RESHAPE"]
    channels = operators[end].inputs[0].shape[-1]
    constants = {"MUL": np.ones(channels, np.float32), "ADD": np.zeros(channels, np.float32)}
    if [entry.name for entry in computing] not in ([], ["MUL"], ["ADD"], ["MUL", "ADD"]):
        raise computing[0].refusal("is one of several float32 operators at the input")
    for entry in computing:
        constants[entry.name] = of_channels(entry, channels)
    entry = Operator(NORMALIZE, operators[0].variable, operators[end].output, constants)
    return (entry, *operators[end + 1 :])


def of_channels(entry: Operator, channels: int) -> Array:
    """The constant (C,) of an operator. Raises UserError unless it has one for each channel."""
    constants = [tensor.values for tensor in entry.inputs if tensor.values is not None]
    if len(constants) != 1 or constants[0].size not in (1, channels):
        raise entry.refusal("has no constant for each channel")
    return np.broadcast_to(constants[0].reshape(-1), (channels,)).astype(np.float32)


def check_types(network: Network) -> None:
    """Raises UserError unless every tensor between input and output is quantized to 8 bits."""
    for entry in network.operators:
        if entry.name == NORMALIZE:
            continue
        for variable in (*entry.variable, entry.output):
            if variable.dtype not in ("int8", "uint8") or not variable.scales.size:
                raise entry.refusal(
                    f"computes with {variable.dtype} and not with quantized 8-bit integers"
                )
