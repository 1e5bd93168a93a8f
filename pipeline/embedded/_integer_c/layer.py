"""A layer of the generated C: calls of functions in `layers/`, with constant structs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipeline.embedded._integer_c.network import Operator, Tensor


@dataclass(frozen=True)
class Call:
    """A call `layer_<function>(&constants, inputs..., [scratch], output)`; `source` defines it.

    `fields` are those of `struct <struct>` in layers.h: integers, arrays, tuples and further dicts.
    """

    function: str
    source: str
    struct: str
    fields: dict[str, Any]
    inputs: tuple[Tensor, ...]


@dataclass(frozen=True)
class Layer:
    """What an operator becomes. Without calls, its output is its input's memory.

    An elementwise layer may write its output over an input that nobody needs afterwards.
    """

    operator: Operator
    calls: tuple[Call, ...]
    elementwise: bool = False
    scratch: int = 0  # bytes of int16_t values that it needs while it runs


def same_scale(operator: Operator) -> None:
    """Raises UserError if an operator that only moves values would also have to scale them."""
    output = operator.output
    moved = [tensor for tensor in operator.inputs if tensor.dtype in ("int8", "uint8")]
    for tensor in moved:
        if (tensor.scale, tensor.zero_point) != (output.scale, output.zero_point):
            raise operator.refusal("has an input and an output of different scales")


def only_int8(operator: Operator) -> None:
    """Raises UserError if an operator computes with uint8."""
    if any(tensor.dtype != "int8" for tensor in (*operator.variable, operator.output)):
        raise operator.refusal("computes with uint8; expected int8")


def map_fields(operator: Operator, tensor: Tensor) -> tuple[int, int, int]:
    """`struct map` of a tensor (1, H, W, C). Raises UserError for another shape."""
    if len(tensor.shape) != 4 or tensor.shape[0] != 1:
        raise operator.refusal(
            f"has a tensor of shape {tensor.shape}; expected (1, height, width, channels)"
        )
    _, height, width, channels = tensor.shape
    return height, width, channels
