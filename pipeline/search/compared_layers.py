"""The layers of an int8 file beside those of the float32 file: how much of their signal is left.

Both files run on the same images, and every tensor that both have is compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tflite

from pipeline.files.artifacts import Array
from pipeline.process.words import percent
from pipeline.runtimes import inner_tensors
from pipeline.search.simulated_int8 import layer_name

COLUMNS = ("layer", "signal to noise, dB", "lost here, dB", "out of range")


@dataclass(frozen=True)
class QuantizedTensor:
    """A tensor that an operator writes: its number, name, scale and zero point, and its inputs."""

    index: int
    name: str
    scale: float
    zero_point: int
    inputs: list[str]

    def real(self, values: Array) -> Array:
        if not self.scale:
            return values.astype(np.float64)
        return (values.astype(np.float64) - self.zero_point) * self.scale

    def out_of_range(self, real: Array) -> float:
        """The share of real values that int8 cannot hold."""
        low, high = ((end - self.zero_point) * self.scale for end in (-128.5, 127.5))
        return float(((real < low) | (real > high)).mean())


@dataclass(frozen=True)
class QuantizedLayer:
    """What a layer of the int8 file has: its signal-to-noise ratio and the fall of that there."""

    name: str
    decibels: float
    fall: float
    clipped: float

    def row(self) -> tuple[str, ...]:
        return self.name, f"{self.decibels:.1f}", f"{self.fall:.1f}", percent(self.clipped)


@dataclass(frozen=True)
class QuantizationLoss:
    """All layers in their order, and how many of the images the int8 file answers differently."""

    layers: list[QuantizedLayer]
    images: int
    different: int

    @property
    def worst(self) -> list[QuantizedLayer]:
        return sorted(self.layers, key=lambda layer: -layer.fall)


def tensors(data: bytes) -> list[QuantizedTensor]:
    """What the operators of a file write, in their order."""
    graph = tflite.Model.GetRootAsModel(data, 0).Subgraphs(0)
    result = []
    for index in range(graph.OperatorsLength()):
        operator = graph.Operators(index)
        sources = [number for number in operator.InputsAsNumpy() if number >= 0]
        output = graph.Tensors(operator.Outputs(0))
        quantization = output.Quantization()
        is_quantized = quantization is not None and quantization.ScaleLength() > 0
        result.append(
            QuantizedTensor(
                int(operator.Outputs(0)),
                output.Name().decode(),
                float(quantization.Scale(0)) if is_quantized else 0.0,
                int(quantization.ZeroPoint(0)) if is_quantized else 0,
                [graph.Tensors(int(number)).Name().decode() for number in sources],
            )
        )
    return result


def compare(float32: bytes, int8: bytes, images: Array) -> QuantizationLoss:
    """The layers of both files, on raw images (N, ...)."""
    references = {tensor.name: tensor for tensor in tensors(float32)}
    written = tensors(int8)
    pairs = [(tensor, references[tensor.name]) for tensor in written if tensor.name in references]
    signal, noise, clipped = (dict.fromkeys((pair[0].name for pair in pairs), 0.0) for _ in "123")
    different = 0
    runs = zip(
        inner_tensors.read(int8, [tensor.index for tensor, _ in pairs], images),
        inner_tensors.read(float32, [reference.index for _, reference in pairs], images),
        strict=True,
    )
    for values, expected in runs:
        for tensor, reference in pairs:
            real = reference.real(expected[reference.index])
            signal[tensor.name] += float(np.square(real).mean())
            noise[tensor.name] += float(np.square(tensor.real(values[tensor.index]) - real).mean())
            if tensor.scale:
                clipped[tensor.name] += tensor.out_of_range(real) / len(images)
        last, reference = pairs[-1]
        answers = values[last.index].argmax(), expected[reference.index].argmax()
        different += int(answers[0] != answers[1])
    decibels = {name: _decibels(signal[name], noise[name]) for name in signal}
    return QuantizationLoss(_layers(pairs, decibels, clipped), len(images), different)


def _decibels(signal: float, noise: float) -> float:
    """10 log10 of the ratio; at most 99, where there is no noise."""
    return float(10 * np.log10(signal / noise)) if min(signal, noise) > 1e-10 * signal else 99.0


def _layers(
    pairs: list[tuple[QuantizedTensor, QuantizedTensor]],
    decibels: dict[str, float],
    clipped: dict[str, float],
) -> list[QuantizedLayer]:
    result = []
    for tensor, _ in pairs:
        before = [decibels[name] for name in tensor.inputs if name in decibels]
        # Raw pixels have no noise: the first layer is judged by what eight bits give, 50 dB.
        fall = min(before, default=50.0) - decibels[tensor.name]
        result.append(
            QuantizedLayer(
                layer_name(tensor.name), decibels[tensor.name], fall, clipped[tensor.name]
            )
        )
    return result
