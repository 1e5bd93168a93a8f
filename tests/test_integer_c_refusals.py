"""A model that the integer C cannot compute as TensorFlow Lite Micro does is refused, and why."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from benchmarks.integer_c.tflite_builder import Builder
from pipeline.embedded import _integer_c
from pipeline.process.errors import UserError
from tests.test_integer_c import hard_swish_of_all


def one_operator(name: str, kind: str | None = None, **options: object) -> bytes:
    build = Builder()
    source = build.tensor((1, 4, 4, 2), "int8", [0.1], 0)
    output = build.tensor((1, 4, 4, 2), "int8", [0.1], 0)
    return build.finish(source, build.operator(name, [source], output, kind=kind, **options))


def two_steps_of_pooling(**options: int) -> bytes:
    sizes = {"filterHeight": 1, "filterWidth": 1, "strideH": 1, "strideW": 1, "padding": 0}
    return one_operator("MAX_POOL_2D", "Pool2DOptions", **sizes, **options)


def float_network() -> bytes:
    build = Builder()
    source, output = build.tensor((1, 4), "float32"), build.tensor((1, 4), "float32")
    return build.finish(source, build.operator("SOFTMAX", [source], output))


def dense(weights: np.ndarray, bias: np.ndarray, variable: bool = False) -> bytes:
    build = Builder()
    source = build.tensor((1, weights.shape[1]), "int8", [1.0], 0)
    kernel = build.tensor(weights.shape, "int8", [1.0]) if variable else None
    kernel = kernel or build.constant(weights, [1.0])
    operands = [source, kernel, build.constant(bias, [1.0])]
    output = build.tensor((1, len(weights)), "int8", [1.0], 0)
    kind = "FullyConnectedOptions"
    return build.finish(source, build.operator("FULLY_CONNECTED", operands, output, kind=kind))


def mean_over(axes: list[int]) -> bytes:
    build = Builder()
    source = build.tensor((1, 4, 4, 2), "int8", [0.1], 0)
    constant = build.constant(np.array(axes, np.int32))
    output = build.tensor((1, 4), "int8", [0.1], 0)
    return build.finish(source, build.operator("MEAN", [source, constant], output))


CURE = "; use another architecture, or remove the target from embed.targets"
ONES, BIAS = np.ones((1, 4), np.int8), np.zeros(1, np.int32)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (one_operator("TANH"), "it has the operator TANH; expected only ADD, AVERAGE_POOL_2D, "),
        (
            two_steps_of_pooling(fusedActivationFunction=schema.ActivationFunctionType.TANH),
            "its MAX_POOL_2D has a fused activation other than RELU, RELU6 and RELU_N1_TO_1",
        ),
        (
            float_network(),
            "its SOFTMAX computes with float32 and not with quantized 8-bit integers",
        ),
        (
            dense(ONES, np.full(1, 2**31 - 1, np.int32)),
            "its FULLY_CONNECTED has sums that overflow 32 bits",
        ),
        (
            dense(ONES, BIAS, variable=True),
            "its FULLY_CONNECTED has weights that are not constant symmetric int8 or int4 values",
        ),
        (mean_over([1, 3]), "its MEAN has axes that are not next to each other"),
        (
            one_operator("SOFTMAX", "SoftmaxOptions", beta=1.0),
            "its SOFTMAX has an output whose scale is not 1/256",
        ),
        (one_operator("LOGISTIC"), "its LOGISTIC has an output whose scale is not 1/256"),
        (
            hard_swish_of_all(0.1, 1 / 129),
            "its HARD_SWISH has an output whose scale is at most 1/128 of its input's",
        ),
        (
            hard_swish_of_all(0.1, 513),
            "its HARD_SWISH has an output whose scale is more than 512 times its input's",
        ),
        (
            hard_swish_of_all(1.78e-7, 1),
            "its HARD_SWISH has an input whose scale is not from 1.79e-7 to 2.51e7",
        ),
        (
            hard_swish_of_all(2.52e7, 1),
            "its HARD_SWISH has an input whose scale is not from 1.79e-7 to 2.51e7",
        ),
        (one_operator("RESHAPE"), "it has no layer that computes anything"),
    ],
)
def test_what_has_no_integer_c_is_refused_in_a_sentence(model: bytes, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        _integer_c.translate(model, "model.tflite")
    assert str(error.value).startswith(sentence)
    assert str(error.value).endswith(CURE)
