"""Scratch memory that optimised kernels need in the arena of TensorFlow Lite Micro.

The reference kernels need none. A convolution frees its scratch memory when it ends, so a model
needs that of its largest convolution.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import tflite
from tflite.utils import opcode2name


@dataclass(frozen=True)
class Convolution:
    """Shapes (height, width, channels); the filter has (height, width).

    A depthwise convolution has one filter per output channel, which sees a single input channel.
    """

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
            indices = operator.Inputs(0), operator.Inputs(1), operator.Outputs(0)
            inputs, filters, outputs = (
                tuple(map(int, graph.Tensors(index).ShapeAsNumpy()[1:])) for index in indices
            )
            depthwise = name == "DEPTHWISE_CONV_2D"
            yield Convolution(depthwise, inputs, filters[:2], outputs)  # type: ignore[arg-type]


def operator_name(code: tflite.OperatorCode) -> str:
    """The name of an operator, such as CONV_2D."""
    return str(opcode2name(max(code.BuiltinCode(), code.DeprecatedBuiltinCode())))


def cmsis_nn(convolution: Convolution) -> int:
    """Bytes that CMSIS-NN needs on a Cortex-M without Helium, rounded up.

    Two columns of int16, each as long as a filter and a multiple of 4; a depthwise convolution
    needs half of that at most. As in `arm_convolve_s8_get_buffer_size` and
    `arm_depthwise_conv_wrapper_s8_get_buffer_size`. `benchmarks.cortex_m.cmsis_nn` asks them.
    """
    channels = convolution.output[2] if convolution.depthwise else convolution.input[2]
    products = int(np.prod(convolution.filter)) * channels
    return 2 * 2 * 4 * -(-products // 4)


def esp_nn(convolution: Convolution) -> int:
    """The most bytes that any version of ESP-NN from 1.0 to 1.2.3 needs on an ESP32-S3.

    Depending on the version they copy the padded input and the filter once or twice. Channels are
    rounded up to a multiple of 16 in filters and in depthwise convolutions, and to one of 8 in
    convolutions of 1 x 1. As in `esp_nn_get_conv_scratch_size_esp32s3` and
    `esp_nn_get_depthwise_conv_scratch_size_esp32s3`.
    """
    height, width, channels = convolution.input
    filter_height, filter_width = convolution.filter
    output_height, output_width, output_channels = convolution.output
    padded_in, padded_out = _multiple_of_16(channels), _multiple_of_16(output_channels)
    pixels = (height + 2 * filter_height) * (width + 2 * filter_width)
    filter_size = filter_height * filter_width
    constant = 16 * (padded_in + padded_out) + 128
    if convolution.depthwise:
        outputs = output_height * output_width * padded_out
        return 2 * pixels * padded_in + 2 * filter_size * padded_out + constant + outputs
    copied = channels if filter_size > 1 else -(-channels // 8) * 8
    return 2 * pixels * copied + 2 * filter_size * padded_in * output_channels + constant


def _multiple_of_16(channels: int) -> int:
    return -(-channels // 16) * 16
