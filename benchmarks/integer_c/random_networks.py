"""Random small networks of all operators.

Most scales fit their outputs, as a saturated value would hide a wrong one; a tenth are far off.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from benchmarks.integer_c.tflite_builder import Builder, Quantized
from pipeline.files.artifacts import Array

SPREAD = 74.0  # the standard deviation of uniformly distributed int8 values
MOST_VALUES = 2000  # in a tensor


class RandomNetwork:
    """A network that grows at its end, `last`.

    `pick(least, most)` chooses its structure, `dice` its weights and scales.
    """

    def __init__(self, pick: Callable[[int, int], int]) -> None:
        self.pick = pick
        self.dice = np.random.default_rng(pick(0, 2**32 - 1))
        self.builder = Builder()
        shape = (1, self.pick(1, 8), self.pick(1, 8), self.pick(1, 6))
        dtype = self.one_of(["uint8", "int8"])
        zero_point = 0 if dtype == "uint8" else self.zero_point()
        self.source = self.builder.tensor(shape, dtype, [self.scale(1 / SPREAD)], zero_point)
        self.last = self.source
        self.earlier: list[Quantized] = []
        if dtype == "uint8":
            self.quantize()

    def one_of(self, choices: Sequence[Any]) -> Any:
        return choices[self.pick(0, len(choices) - 1)]

    def flag(self) -> bool:
        return bool(self.pick(0, 1))

    def zero_point(self) -> int:
        return int(self.dice.choice([-128, -1, 0, 127, int(self.dice.integers(-128, 128))]))

    def scale(self, fitting: float) -> float:
        far = 30.0 if self.dice.random() < 0.1 else 2.0
        return float(fitting * far ** self.dice.uniform(-1, 1))

    def values(self, *shape: int) -> Array:
        return self.dice.integers(-127, 128, shape, np.int8)

    def output(
        self, shape: tuple[int, ...], scale: float, zero_point: int | None = None
    ) -> Quantized:
        zero = self.zero_point() if zero_point is None else zero_point
        return self.builder.tensor(shape, "int8", [scale], zero)

    def alike(self, shape: tuple[int, ...]) -> Quantized:
        """An output with the scale of the last tensor."""
        return self.output(shape, self.last.scale, self.last.zero_point)

    def append(self, name: str, inputs: list[Quantized], output: Quantized, **options: Any) -> None:
        self.last = self.builder.operator(name, inputs, output, **options)
        self.earlier.append(self.last)

    def grow(self) -> None:
        """Appends one of the operators that fit the last tensor."""
        operators = [self.reshape, self.fully_connected, self.softmax, self.logistic]
        operators += [self.hard_swish, self.quantize, self.mean, self.arithmetic, self.arithmetic]
        operators += [self.pad, self.concatenate]
        if len(self.last.shape) == 4:
            operators += [self.convolution] * 3 + [self.depthwise] * 3 + [self.pool] * 2
        self.one_of(operators)()

    def activation(self) -> int:
        return self.pick(0, 3)

    def weights(
        self, shape: tuple[int, ...], axis: int, products: int, filters: int
    ) -> tuple[Quantized, Quantized, float]:
        """Weights of four or eight bits, biases, and a fitting scale of the output."""
        count = shape[axis] if self.flag() else 1
        scales = [self.scale(0.01) for _ in range(count)]
        values, largest = self.values(*shape), float(np.float32(max(scales)))
        if (len(shape) > 2 or count == 1) and self.flag():  # Micro takes no others in four bits
            kernel = self.builder.four_bits(values >> 4, scales, axis)
            largest /= 16
        else:
            kernel = self.builder.constant(values, scales, 0, axis)
        product = self.last.scale * largest
        # Large biases need small factors, whose last bit then matters.
        large = 2**30 if self.dice.random() < 0.2 else 0
        spread = large or SPREAD * SPREAD * math.sqrt(products)
        sizes = self.dice.integers(-(large or 5000), large or 5000, filters, np.int32)
        bias_scales = [float(np.float32(self.last.scale) * np.float32(scale)) for scale in scales]
        bias = self.builder.constant(sizes, bias_scales)
        return kernel, bias, self.scale(product * spread / SPREAD)

    def window(self, dilation: int = 1) -> dict[str, Any]:
        """A random filter, stride and padding for the last tensor, and the shape of the output."""
        _, *sizes, _ = self.last.shape
        same = self.flag()
        most = [3 if same else min(3, (size - 1) // dilation + 1) for size in sizes]
        window = [self.pick(1, limit) for limit in most]
        strides = [self.pick(1, 3) for _ in sizes]
        covered = [0 if same else (length - 1) * dilation for length in window]
        output = [
            -(-(size - part) // stride)
            for size, part, stride in zip(sizes, covered, strides, strict=True)
        ]
        padding = schema.Padding.SAME if same else schema.Padding.VALID
        return {"window": window, "strides": strides, "output": output, "padding": padding}

    def convolution(self) -> None:
        dilation, channels = self.pick(1, 2), self.last.shape[3]
        window = self.window(dilation)
        groups = self.one_of([n for n in (1, 2, 3) if channels % n == 0])
        filters, depth = groups * self.pick(1, 4), channels // groups
        shape = (filters, *window["window"], depth)
        kernel, bias, scale = self.weights(shape, 0, math.prod(shape[1:]), filters)
        inputs = [self.last, kernel, bias] if self.flag() else [self.last, kernel]
        output = self.output((1, *window["output"], filters), scale)
        options = self.window_options(window, dilation)
        self.append("CONV_2D", inputs, output, kind="Conv2DOptions", **options)

    def depthwise(self) -> None:
        dilation, multiplier = self.pick(1, 2), self.pick(1, 3)
        window = self.window(dilation)
        channels = self.last.shape[3] * multiplier
        shape = (1, *window["window"], channels)
        kernel, bias, scale = self.weights(shape, 3, math.prod(window["window"]), channels)
        output = self.output((1, *window["output"], channels), scale)
        options = self.window_options(window, dilation) | {"depthMultiplier": multiplier}
        kind = "DepthwiseConv2DOptions"
        self.append("DEPTHWISE_CONV_2D", [self.last, kernel, bias], output, kind=kind, **options)

    def window_options(self, window: dict[str, Any], dilation: int) -> dict[str, int]:
        height, width = window["strides"]
        return {
            "padding": window["padding"],
            "strideH": height,
            "strideW": width,
            "dilationHFactor": dilation,
            "dilationWFactor": dilation,
            "fusedActivationFunction": self.activation(),
        }

    def pool(self) -> None:
        window = self.window()
        filter_height, filter_width = window["window"]
        height, width = window["strides"]
        self.append(
            self.one_of(["MAX_POOL_2D", "AVERAGE_POOL_2D"]),
            [self.last],
            self.alike((1, *window["output"], self.last.shape[3])),
            kind="Pool2DOptions",
            padding=window["padding"],
            filterHeight=filter_height,
            filterWidth=filter_width,
            strideH=height,
            strideW=width,
            fusedActivationFunction=self.activation(),
        )

    def fully_connected(self) -> None:
        *rows, inputs = self.last.shape
        units = self.pick(1, 8)
        kernel, bias, scale = self.weights((units, inputs), 0, inputs, units)
        operands = [self.last, kernel, bias] if self.flag() else [self.last, kernel]
        output = self.output((*rows, units), scale)
        self.append(
            "FULLY_CONNECTED",
            operands,
            output,
            kind="FullyConnectedOptions",
            fusedActivationFunction=self.activation(),
            keepNumDims=len(rows) > 1,
        )

    def mean(self) -> None:
        shape = self.last.shape
        first = self.pick(1, len(shape) - 1)
        last = self.pick(first, len(shape) - 1)
        keep = self.flag() or last - first == len(shape) - 2
        reduced = [1 if first <= axis <= last else size for axis, size in enumerate(shape)]
        others = [size for axis, size in enumerate(shape) if not first <= axis <= last]
        axes = self.builder.constant(np.arange(first, last + 1, dtype=np.int32))
        scale = self.last.scale if self.flag() else self.scale(self.last.scale)
        output = self.output(tuple(reduced if keep else others), scale)
        self.append("MEAN", [self.last, axes], output, kind="ReducerOptions", keepDims=keep)

    def arithmetic(self) -> None:
        """ADD or MUL with an earlier tensor or a constant, of the same shape or broadcast."""
        name = self.one_of(["ADD", "MUL"])
        other = self.other_operand()
        operands = [self.last, other] if self.flag() else [other, self.last]
        product = other.scale * self.last.scale * SPREAD
        total = math.hypot(other.scale, self.last.scale)
        output = self.output(self.last.shape, self.scale(total if name == "ADD" else product))
        kind = f"{name.title()}Options"
        self.append(name, operands, output, kind=kind, fusedActivationFunction=self.activation())

    def other_operand(self) -> Quantized:
        shape = self.last.shape
        fitting = [
            tensor
            for tensor in self.earlier
            if len(tensor.shape) == len(shape)
            and all(size in (1, full) for size, full in zip(tensor.shape, shape, strict=True))
        ]
        if fitting and self.flag():
            return fitting[self.pick(0, len(fitting) - 1)]
        repeated = tuple(1 if self.flag() else size for size in shape)
        other_shape = self.one_of([shape, repeated, shape[-1:]])
        return self.builder.constant(
            self.values(*other_shape), [self.scale(0.01)], self.zero_point()
        )

    def pad(self) -> None:
        amounts = [(0, 0), *((self.pick(0, 2), self.pick(0, 2)) for _ in self.last.shape[1:])]
        shape = [
            before + size + after
            for size, (before, after) in zip(self.last.shape, amounts, strict=True)
        ]
        if math.prod(shape) > MOST_VALUES:
            return
        constant = self.builder.constant(np.array(amounts, np.int32))
        output = self.alike(tuple(shape))
        self.append("PAD", [self.last, constant], output, kind="PadOptions")

    def concatenate(self) -> None:
        """With itself or a constant; all have one scale."""
        axis = self.pick(1, len(self.last.shape) - 1)
        shape = list(self.last.shape)
        other = self.last
        if self.flag():
            part = [self.pick(1, 3) if at == axis else size for at, size in enumerate(shape)]
            values = self.values(*part)
            other = self.builder.constant(values, [self.last.scale], self.last.zero_point)
        shape[axis] += other.shape[axis]
        if math.prod(shape) > MOST_VALUES:
            return
        output = self.alike(tuple(shape))
        kind = "ConcatenationOptions"
        operands = [self.last, other] if self.flag() else [other, self.last]
        self.append("CONCATENATION", operands, output, kind=kind, axis=axis)

    def reshape(self) -> None:
        size = math.prod(self.last.shape)
        shapes = [(1, size), (1, 1, size), (1, 1, 1, size)]
        if len(self.last.shape) == 4:
            _, height, width, channels = self.last.shape
            shapes += [(1, height * width, channels), (1, width, height, channels)]
        shape = self.one_of(shapes)
        constant = self.builder.constant(np.array(shape, np.int32))
        self.append("RESHAPE", [self.last, constant], self.alike(shape))

    def softmax(self) -> None:
        beta = self.one_of([1.0, 0.5, 2.0])
        output = self.output(self.last.shape, 1 / 256, -128)
        self.append("SOFTMAX", [self.last], output, kind="SoftmaxOptions", beta=beta)

    def logistic(self) -> None:
        self.append("LOGISTIC", [self.last], self.output(self.last.shape, 1 / 256, -128))

    def hard_swish(self) -> None:
        output = self.output(self.last.shape, self.scale(self.last.scale))
        self.append("HARD_SWISH", [self.last], output)

    def quantize(self) -> None:
        """To another scale; sometimes through uint8."""
        if self.last.dtype == "int8" and self.flag():
            zero_point = int(self.dice.choice([0, 128, int(self.dice.integers(0, 256))]))
            scale = self.last.scale if self.flag() else self.scale(self.last.scale)
            unsigned = self.builder.tensor(self.last.shape, "uint8", [scale], zero_point)
            self.last = self.builder.operator("QUANTIZE", [self.last], unsigned)
        scale = self.last.scale if self.flag() else self.scale(self.last.scale)
        moved = self.last.zero_point - 128 if self.last.dtype == "uint8" and self.flag() else None
        output = self.output(self.last.shape, scale, moved)
        self.append("QUANTIZE", [self.last], output)


def finished(network: RandomNetwork) -> bytes:
    """The TensorFlow Lite file of a network after 1 to 8 more layers."""
    for _ in range(network.pick(1, 8)):
        network.grow()
    if set(network.builder.codes) <= {schema.BuiltinOperator.RESHAPE}:  # which computes nothing
        network.softmax()
    return network.builder.finish(network.source, network.last)


def seeded(seed: int) -> bytes:
    dice = np.random.default_rng(seed)
    return finished(RandomNetwork(lambda least, most: int(dice.integers(least, most + 1))))
