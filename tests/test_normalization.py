"""The way from measurements to int8 in C, against the rule of TensorFlow Lite Micro."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.schema_py_generated import ActivationFunctionType

from pipeline.embedded._integer_c import emission, network
from pipeline.embedded._integer_c.network import NORMALIZE, Operator, Tensor
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError

PROGRAM = """
#include "normalization.h"
static const float factors[3] = {FACTORS}, offsets[3] = {OFFSETS};
void run(const float *input, int8_t *output, int32_t count)
{
    const struct normalization layer = {count, 3, factors, offsets, SCALE, ZERO_POINT};
    layer_normalization(&layer, input, output);
}
"""
FACTORS, OFFSETS = np.array([0.1, -2.5, 1], np.float32), np.array([0, 0.3, -1e-3], np.float32)
EXTREMES = [[1e38, -1e38, 0], [np.inf, -np.inf, -0.0], [1e-40, 1e-45, 0]]
SCALE, ZERO_POINT = np.float32(0.0471), -5


def in_c(folder: Path, values: Array) -> Array:
    def listed(numbers: Array) -> str:
        return ", ".join(map(emission.literal, numbers))

    text = PROGRAM
    for name, value in (
        ("FACTORS", listed(FACTORS)),
        ("OFFSETS", listed(OFFSETS)),
        ("SCALE", emission.literal(SCALE)),
        ("ZERO_POINT", str(ZERO_POINT)),
    ):
        text = text.replace(f"{{{name}}}", f"{{{value}}}").replace(f" {name}", f" {value}")
    (folder / "run.c").write_text(text)
    sources = [folder / "run.c", emission.TEMPLATES / "normalization.c"]
    options = ["-std=c99", "-O2", "-Wall", "-Wconversion", "-Werror", "-shared", "-fPIC"]
    traps = ["-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"]
    library = folder / "run.so"
    subprocess.run(
        ["gcc", *options, *traps, f"-I{emission.TEMPLATES}", *sources, "-o", library], check=True
    )
    output = np.empty(values.shape, np.int8)
    ctypes.CDLL(str(library)).run(
        np.ascontiguousarray(values).ctypes.data_as(ctypes.c_void_p),
        output.ctypes.data_as(ctypes.c_void_p),
        values.size,
    )
    return output


def expected(values: Array) -> Array:
    """Each operation in float32, then std::round, as QUANTIZE does it."""
    with np.errstate(over="ignore"):
        scaled = ((values * FACTORS).astype(np.float32) + OFFSETS).astype(np.float32) / SCALE
    exact = scaled.astype(np.float64)
    rounded = np.copysign(np.floor(np.abs(exact) + 0.5), exact) + ZERO_POINT
    result: Array = np.clip(rounded, -128, 127).astype(np.int8)
    return result


def test_measurements_become_the_same_int8_in_c(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0, 20, (30_000, 3)).astype(np.float32)
    halves = (np.arange(-140, 140)[:, None] + 0.5) * SCALE
    values[:280] = ((halves - OFFSETS) / FACTORS).astype(np.float32)
    values[280:283] = np.array(EXTREMES, np.float32)
    assert np.array_equal(in_c(tmp_path, values), expected(values))


def test_nan_is_the_least_value(tmp_path: Path) -> None:
    assert (in_c(tmp_path, np.full((2, 3), np.nan, np.float32)) == -128).all()


def tensor(values: Array | None = None, dtype: str = "float32") -> Tensor:
    scales = np.array([0.1] if dtype == "int8" else [], np.float32)
    return Tensor(0, (1, 4, 1, 3), dtype, scales, 0, values)


def chain(*names: str, size: int = 3) -> tuple[Operator, ...]:
    constant = tensor(np.arange(1, size + 1, dtype=np.float32))
    options = {"fusedActivationFunction": ActivationFunctionType.NONE}
    computing = [Operator(name, (tensor(), constant), tensor(), options) for name in names]
    last = Operator("QUANTIZE", (tensor(),), tensor(dtype="int8"), None)
    return (*computing, last, Operator("SOFTMAX", (), tensor(dtype="int8"), None))


def test_one_factor_and_one_offset_become_one_layer() -> None:
    first, second = network.normalized(chain("MUL", "ADD"))
    assert (first.name, second.name) == (NORMALIZE, "SOFTMAX")
    assert first.options["MUL"].tolist() == first.options["ADD"].tolist() == [1, 2, 3]
    plain, _ = network.normalized(chain())
    assert (plain.options["MUL"] == 1).all()
    assert (plain.options["ADD"] == 0).all()


@pytest.mark.parametrize("names", [("ADD", "MUL"), ("SUB",), ("MUL", "MUL")])
def test_other_arithmetic_in_float_is_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match="is one of several float32 operators at the input"):
        network.normalized(chain(*names))
    with pytest.raises(UserError, match="has no constant for each channel"):
        network.normalized(chain("MUL", size=2))
