"""Layers without weights: pooling, arithmetic, and layers that move or scale values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pipeline.embedded._integer_c import hard_swish as hard_swish_table
from pipeline.embedded._integer_c import scaling, sigmoid
from pipeline.embedded._integer_c.layer import Call, Layer, same_scale
from pipeline.embedded._integer_c.network import Operator, Tensor
from pipeline.embedded._integer_c.weighted import window_fields
from pipeline.files.artifacts import Array

MOST_DIMENSIONS = 4
MOST_CLASSES = 4095  # more exponentials could overflow their sum
SPARE_BITS = 20  # of an addition, as in addition.c


def max_pooling(operator: Operator) -> Layer:
    return pooling(operator, "max_pooling")


def average_pooling(operator: Operator) -> Layer:
    return pooling(operator, "average_pooling")


def pooling(operator: Operator, function: str) -> Layer:
    same_scale(operator)
    options = operator.options
    fields = window_fields(operator, options.filterHeight, options.filterWidth)
    del fields["dilation"]
    least, most = scaling.limits(operator, options.fusedActivationFunction)
    return one_call(operator, function, "pooling", fields | {"least": least, "most": most})


def mean(operator: Operator) -> Layer:
    """Over neighbouring axes, with 1 / count as part of the factor."""
    source, axes = operator.inputs
    if axes.values is None:
        raise operator.refusal("has axes that are not constant")
    reduced = sorted({int(axis) % len(source.shape) for axis in np.atleast_1d(axes.values)})
    if reduced != list(range(reduced[0], reduced[-1] + 1)):
        raise operator.refusal("has axes that are not next to each other")
    count = math.prod(source.shape[axis] for axis in reduced)
    factor = scaling.factor(scaling.ratio(source, operator.output))
    bits = min(count.bit_length() - 1, 31 + factor.shift)
    fields = {
        "outer": math.prod(source.shape[: reduced[0]]),
        "count": count,
        "inner": math.prod(source.shape[reduced[-1] + 1 :]),
        "input_zero_point": source.zero_point,
        "multiplier": (factor.multiplier << bits) // count,
        "shift": factor.shift - bits,
        "output_zero_point": operator.output.zero_point,
    }
    return one_call(operator, "mean", "mean", fields)


def addition(operator: Operator) -> Layer:
    first, second = operator.inputs
    output = operator.output
    largest = 2 * float(max(first.scale, second.scale))

    def operand(tensor: Tensor) -> tuple[int, int, int]:
        factor = scaling.factor(float(tensor.scale) / largest)
        return tensor.zero_point, factor.multiplier, factor.shift

    factor = scaling.factor(largest / (2**SPARE_BITS * float(output.scale)))
    fields = {
        "grid": grid(operator),
        "first": operand(first),
        "second": operand(second),
        **scaled_output(operator, factor),
    }
    return one_call(operator, "addition", "addition", fields, elementwise=True)


def multiplication(operator: Operator) -> Layer:
    first, second = operator.inputs
    product = float(first.scale) * float(second.scale)
    fields = {
        "grid": grid(operator),
        "first_zero_point": first.zero_point,
        "second_zero_point": second.zero_point,
        **scaled_output(operator, scaling.factor(product / float(operator.output.scale))),
    }
    return one_call(operator, "multiplication", "multiplication", fields, elementwise=True)


def scaled_output(operator: Operator, factor: scaling.Factor) -> dict[str, int]:
    least, most = scaling.limits(operator, operator.options.fusedActivationFunction)
    return {
        "multiplier": factor.multiplier,
        "shift": factor.shift,
        "zero_point": operator.output.zero_point,
        "least": least,
        "most": most,
    }


def grid(operator: Operator) -> dict[str, tuple[int, ...]]:
    """`struct grid`: one run if the shapes are equal; otherwise inputs repeat along axes of 1."""
    first, second = operator.inputs
    if first.shape == second.shape:
        return {
            "counts": (1, 1, 1, first.size),
            "first_steps": (0, 0, 0, 1),
            "second_steps": (0, 0, 0, 1),
        }
    return {
        "counts": four_dimensions(operator, operator.output.shape),
        "first_steps": steps(four_dimensions(operator, first.shape)),
        "second_steps": steps(four_dimensions(operator, second.shape)),
    }


def four_dimensions(operator: Operator, shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) > MOST_DIMENSIONS:
        raise operator.refusal(f"has a tensor of {len(shape)} dimensions; expected at most 4")
    return (1,) * (MOST_DIMENSIONS - len(shape)) + shape


def steps(shape: tuple[int, ...]) -> tuple[int, ...]:
    """How far apart neighbours along each axis lie; 0 along axes of length 1."""
    return tuple(
        math.prod(shape[axis + 1 :]) if count > 1 else 0 for axis, count in enumerate(shape)
    )


def padding(operator: Operator) -> Layer:
    same_scale(operator)
    source, amounts = operator.inputs
    if amounts.values is None:
        raise operator.refusal("has amounts that are not constant")
    before = (int(amount) for amount in amounts.values[:, 0])
    fields = {
        "input": four_dimensions(operator, source.shape),
        "before": (0,) * (MOST_DIMENSIONS - len(source.shape)) + tuple(before),
        "output": four_dimensions(operator, operator.output.shape),
        "value": operator.output.zero_point,
    }
    return one_call(operator, "padding", "padding", fields)


def concatenation(operator: Operator) -> Layer:
    """A call for each input, which copies it to its place."""
    same_scale(operator)
    scaling.limits(operator, operator.options.fusedActivationFunction)
    shape = operator.output.shape
    axis = operator.options.axis % len(shape)
    calls, offset = [], 0
    for tensor in operator.inputs:
        length = math.prod(tensor.shape[axis:])
        fields = {
            "blocks": math.prod(shape[:axis]),
            "bytes": length,
            "offset": offset,
            "step": math.prod(shape[axis:]),
        }
        calls.append(Call("concatenation", "concatenation.c", "concatenation", fields, (tensor,)))
        offset += length
    return Layer(operator, tuple(calls))


def reshape(operator: Operator) -> Layer:
    same_scale(operator)
    return Layer(operator, ())


def logistic(operator: Operator) -> Layer:
    of_probabilities(operator)
    source = operator.inputs[0]
    return table(operator, sigmoid.table(source.scale, source.zero_point))


def hard_swish(operator: Operator) -> Layer:
    source, output = operator.inputs[0], operator.output
    if sentence := hard_swish_table.misfit(source, output):
        raise operator.refusal(sentence)
    return table(operator, hard_swish_table.table(source, output))


def table(operator: Operator, values: Array) -> Layer:
    fields = {"count": operator.output.size, "values": values}
    return one_call(operator, "table", "table", fields, elementwise=True)


def of_probabilities(operator: Operator) -> None:
    """Raises UserError unless the outputs are from 0 to 255/256."""
    if (operator.output.scale, operator.output.zero_point) != (np.float32(1 / 256), -128):
        raise operator.refusal("has an output whose scale is not 1/256")


def softmax(operator: Operator) -> Layer:
    source = operator.inputs[0]
    classes = source.shape[-1]
    if classes > MOST_CLASSES:
        raise operator.refusal(f"has {classes:,} classes; expected at most {MOST_CLASSES:,}")
    of_probabilities(operator)
    real = min(operator.options.beta * float(source.scale) * 2**26, 2**31 - 1)
    factor = scaling.factor(real)
    fields = {
        "rows": source.size // classes,
        "classes": classes,
        "multiplier": factor.multiplier,
        "shift": factor.shift,
        "least": -((31 * 2**26) >> factor.shift),
    }
    return one_call(operator, "softmax", "softmax", fields)


def normalization(operator: Operator) -> Layer:
    """Measurements to int8: factors and offsets in float32, as TensorFlow Lite Micro computes."""
    source, output = operator.inputs[0], operator.output
    factors = operator.options["MUL"]
    fields = {
        "count": source.size,
        "channels": len(factors),
        "factors": factors,
        "offsets": operator.options["ADD"],
        "scale": output.scale,
        "zero_point": output.zero_point,
    }
    return one_call(operator, "normalization", "normalization", fields)


def quantization(operator: Operator) -> Layer:
    source, output = operator.inputs[0], operator.output
    functions = {
        ("int8", "int8"): "quantization",
        ("uint8", "int8"): "quantization_from_uint8",
        ("int8", "uint8"): "quantization_to_uint8",
    }
    types = source.dtype, output.dtype
    if types not in functions:
        raise operator.refusal("changes uint8 to uint8; expected int8 inside the network")
    factor = scaling.factor(scaling.ratio(source, output))
    fields = {
        "count": source.size,
        "input_zero_point": source.zero_point,
        "multiplier": factor.multiplier,
        "shift": factor.shift,
        "zero_point": output.zero_point,
    }
    return one_call(operator, functions[types], "quantization", fields, elementwise=True)


def one_call(
    operator: Operator,
    function: str,
    struct: str,
    fields: dict[str, Any],
    elementwise: bool = False,
) -> Layer:
    """A layer whose C function stands in the file that is named like its struct.

    Its inputs are all but those that became constants of the struct, such as axes.
    """
    operands = tuple(tensor for tensor in operator.inputs if tensor.dtype != "int32")
    call = Call(function, f"{struct}.c", struct, fields, operands)
    return Layer(operator, (call,), elementwise)
