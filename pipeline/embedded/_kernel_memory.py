"""Scratch memory that kernels optimised for a processor ask of the arena, and TensorFlow Lite Micro's reference kernels do not.

A convolution's scratch lives no longer than the convolution, so that the largest is what a model takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import tflite
from tflite.utils import opcode2name


@dataclass(frozen=True)
class Convolution:
    """Heights, widths and channels; a depthwise one has a filter for each channel that comes out, which sees one that goes in."""

    depthwise: bool
    input: tuple[int, int, int]
    filter: tuple[int, int]
    output: tuple[int, int, int]


def convolutions(network: tflite.Model) -> Iterator[Convolution]:
    graph = network.Subgraphs(0)
    for index in range(graph.OperatorsLength()):
        operator = graph.Operators(index)
        name = operator_name(network.OperatorCodes(operator.OpcodeIndex()))
        if name in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            tensors = (
                graph.Tensors(operator.Inputs(0)),
                graph.Tensors(operator.Inputs(1)),
                graph.Tensors(operator.Outputs(0)),
            )
            given, filters, made = (
                tuple(map(int, tensor.ShapeAsNumpy()[1:])) for tensor in tensors
            )
            yield Convolution(name == "DEPTHWISE_CONV_2D", given, filters[:2], made)  # type: ignore[arg-type]


def operator_name(code: tflite.OperatorCode) -> str:
    """CONV_2D, ..."""
    return str(opcode2name(max(code.BuiltinCode(), code.DeprecatedBuiltinCode())))


def cmsis_nn(convolution: Convolution) -> int:
    """Bytes that CMSIS-NN takes on Arm's Cortex-M: two columns of int16, each as long as a filter (`arm_convolve_s8_get_buffer_size`)."""
    channels = convolution.output[2] if convolution.depthwise else convolution.input[2]
    return 2 * 2 * int(np.prod(convolution.filter)) * channels


def esp_nn(convolution: Convolution) -> int:
    """Bytes that ESP-NN takes at most on an ESP32-S3, whose versions differ: up to 1.2 they copy the padded input and the filter
    once or twice, with channels in multiples of 16 (`esp_nn_get_conv_scratch_size_esp32s3` and its depthwise sister)."""
    (height, width, given), (filter_height, filter_width), (made_height, made_width, made) = (
        convolution.input,
        convolution.filter,
        convolution.output,
    )
    given, wide = _sixteens(given), _sixteens(made)
    padded = (height + 2 * filter_height) * (width + 2 * filter_width) * given
    filters = filter_height * filter_width * (wide if convolution.depthwise else given * made)
    return (
        2 * padded
        + 2 * filters
        + 16 * (given + wide)
        + 128
        + (made_height * made_width * wide if convolution.depthwise else 0)
    )


def _sixteens(channels: int) -> int:
    return -(-channels // 16) * 16
