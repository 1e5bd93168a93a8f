"""The integer C equals TensorFlow Lite Micro's reference kernels: every layer, every byte."""

from __future__ import annotations

import importlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.integer_c import oracle
from benchmarks.integer_c.oracle import Micro
from benchmarks.integer_c.random_networks import RandomNetwork, finished, seeded
from benchmarks.integer_c.tflite_builder import Builder
from pipeline.config.params import Network
from pipeline.embedded import _integer_c
from pipeline.embedded._integer_c import hard_swish, sigmoid
from pipeline.embedded._integer_c.network import read
from pipeline.files.artifacts import Array, Inputs
from pipeline.formats import tflite_int8
from tests.test_backbones import settle

MIRROR = Path(os.environ.get("DATA_MIRROR", "")) / "mlperf_tiny"
PUBLISHED = ("pretrainedResnet_quant", "vww_96_int8", "kws_ref_model", "ad01_int8")
ROUND_ONCE = (
    "return divide_by_power_of_2(multiply_fractions(shifted, multiplier), right);",
    "return (int32_t)(((int64_t)shifted * multiplier + ((int64_t)1 << (30 + right))) >> "
    "(31 + right));",
)


@pytest.fixture(scope="module")
def micro() -> Iterator[Micro]:
    process = Micro()
    yield process
    process.close()


@st.composite
def networks(draw: Callable[..., Any]) -> bytes:
    return finished(RandomNetwork(lambda least, most: int(draw(st.integers(least, most)))))


@settings(max_examples=4, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(networks(), min_size=10, max_size=10))
def test_every_layer_of_random_networks_equals_micro(micro: Micro, models: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as name:
        assert not different(micro, models, Path(name))


def different(
    micro: Micro,
    models: list[bytes],
    folder: Path,
    change: tuple[str, str] = ("", ""),
    inputs: int = 20,
) -> list[oracle.Difference]:
    """The layers that differ from TensorFlow Lite Micro; `change` replaces text in the C."""
    rows = oracle.compare(micro, models, inputs, folder, change)
    return [row for row in rows if row.differing]


def test_the_comparison_notices_sums_that_are_rounded_once(micro: Micro, tmp_path: Path) -> None:
    models = [seeded(seed) for seed in range(20)]
    rows = different(micro, models, tmp_path, ROUND_ONCE)
    assert {"CONV_2D", "DEPTHWISE_CONV_2D"} <= {row.operator for row in rows}
    assert sum(row.differing for row in rows) < 0.05 * sum(row.total for row in rows)


@pytest.mark.slow
@pytest.mark.skipif(not MIRROR.is_dir(), reason="the mirror has no models of MLPerf Tiny")
@pytest.mark.parametrize("name", PUBLISHED)
def test_every_layer_of_a_published_model_equals_micro(
    micro: Micro, name: str, tmp_path: Path
) -> None:
    model = (MIRROR / f"{name}.tflite").read_bytes()
    assert not different(micro, [model], tmp_path, inputs=100)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:[^a-z]*Warning. tf.lite.Interpreter is deprecated")
@pytest.mark.parametrize(
    ("architecture", "shape", "output"),
    [
        ("edge", (28, 28, 1), "softmax"),
        ("tiny", (28, 28, 1), "softmax"),
        ("tiny", (20, 36, 3), "sigmoid"),
        ("cnn", (28, 28, 1), "softmax"),
        ("edge", (28, 56, 1), "sigmoids"),
        ("tiny", (28, 28, 1), "linear"),
        ("mlp", (28, 28, 1), "softmax"),
        ("resnet", (32, 32, 3), "softmax"),
        ("resnet", (15, 9, 1), "sigmoids"),
        ("ds_cnn", (49, 32, 1), "softmax"),
        ("bc_resnet", (61, 32, 1), "softmax"),
        ("series_cnn", (50, 6), "softmax"),
        ("mobilenet_v3_small", (32, 32, 3), "softmax"),
    ],
)
def test_every_layer_of_every_architecture_equals_micro(
    micro: Micro,
    tmp_path: Path,
    architecture: str,
    shape: tuple[int, ...],
    output: Literal["softmax", "sigmoid", "sigmoids", "linear"],
) -> None:
    """With untrained weights."""
    keras.utils.set_random_seed(0)
    module = importlib.import_module(f"pipeline.architectures.{architecture}")
    network = module.build(Inputs(shape, module.INPUT), 2, Network(output=output))
    dice = np.random.default_rng(0)
    calibration: Array = dice.integers(0, 256, (20, *shape), np.uint8)
    if module.INPUT == "series":
        calibration = dice.normal(size=(20, *shape)).astype(np.float32)
    else:
        settle(network, calibration)
    assert not different(micro, [tflite_int8.convert(network, calibration)], tmp_path)


def test_the_table_of_a_logistic_equals_micro_for_every_input(micro: Micro) -> None:
    """Of scales from those at which every output is 1/2 to those at which nearly all are 0 or 1."""
    dice, every = np.random.default_rng(0), np.arange(-128, 128, dtype=np.int8)
    for scale in 10 ** dice.uniform(-7, 1.5, 30):
        build, zero_point = Builder(), int(dice.integers(-128, 128))
        source = build.tensor((1, 256), "int8", [scale], zero_point)
        output = build.tensor((1, 256), "int8", [1 / 256], -128)
        model = build.finish(source, build.operator("LOGISTIC", [source], output))
        expected = micro.tensors(model, every[None], [output.index])[output.index]
        table = sigmoid.table(np.float32(scale), zero_point)
        np.testing.assert_array_equal(table, expected.reshape(-1))


def hard_swish_of_all(scale: float, ratio: float, zero_points: tuple[int, int] = (0, 0)) -> bytes:
    """With an output whose scale is `ratio` times that of the input."""
    build = Builder()
    source = build.tensor((1, 256), "int8", [scale], zero_points[0])
    output = build.tensor((1, 256), "int8", [scale * ratio], zero_points[1])
    return build.finish(source, build.operator("HARD_SWISH", [source], output))


def test_the_table_of_a_hard_swish_equals_micro_for_every_input(micro: Micro) -> None:
    """Of usual scales, and of the least and the largest that are not refused."""
    dice, every = np.random.default_rng(0), np.arange(-128, 128, dtype=np.int8)
    scales = [(10 ** dice.uniform(-4, 0.7), 2 ** dice.uniform(-6.5, 4)) for _ in range(30)]
    scales += [(0.1, 0.0079), (0.1, 511.9), (1.79e-7, 1.0), (2.51e7, 1.0)]
    for scale, ratio in scales:
        first, second = dice.integers(-128, 128, 2).tolist()
        model = hard_swish_of_all(scale, ratio, (first, second))
        (operator,) = read(model).operators
        assert hard_swish.misfit(operator.inputs[0], operator.output) is None
        expected = micro.tensors(model, every[None], [operator.output.index])
        table = hard_swish.table(operator.inputs[0], operator.output)
        np.testing.assert_array_equal(table, expected[operator.output.index].reshape(-1))


def test_a_dense_layer_rounds_as_micro_does_next_to_every_half(
    micro: Micro, tmp_path: Path
) -> None:
    """There the last bit of its factor shows: a product of scales in float32 fails here."""
    dice, models = np.random.default_rng(0), []
    for _ in range(20):
        scales = [float(np.float32(scale)) for scale in 10 ** dice.uniform(-3, -1, 2)]
        product = scales[0] * scales[1]
        scale = float(np.float32(product * 2 ** dice.uniform(8, 16)))
        halves = np.floor((np.arange(-127, 127) + 0.5) * scale / product)
        biases = (halves[:, None] + np.arange(-2, 4)).reshape(-1)
        build = Builder()
        source = build.tensor((1, 1), "int8", scales[:1], 0)
        kernel = build.constant(np.zeros((len(biases), 1), np.int8), scales[1:])
        operands = [source, kernel, build.constant(biases.astype(np.int32), [product])]
        output = build.tensor((1, len(biases)), "int8", [scale], 0)
        options = {"kind": "FullyConnectedOptions", "fusedActivationFunction": 0}
        models.append(
            build.finish(source, build.operator("FULLY_CONNECTED", operands, output, **options))
        )
    assert not different(micro, models, tmp_path)


# Of compilers for PCs and WebAssembly, for vector instructions.
INTRINSICS = {"emmintrin.h", "wasm_simd128.h"}


def test_the_code_has_no_floating_point_and_needs_only_stdint() -> None:
    for seed in range(20):
        code = _integer_c.translate(seeded(seed), "a random network")
        for name, text in code.files.items():
            statements = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
            assert not re.search(r"\b(float|double|malloc|memcpy)\b", statements), name
            allowed = {"stdint.h", *(INTRINSICS if name == "layers/dot_product.h" else ())}
            assert set(re.findall(r"#include <(.*)>", text)) <= allowed, name
            assert max(map(len, text.splitlines())) <= 100, name


def test_equal_files_give_equal_code() -> None:
    assert _integer_c.translate(seeded(1), "x") == _integer_c.translate(seeded(1), "x")
