"""Series of measurements: what is read and refused, and what is said of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.bundle.description import describe
from pipeline.config import params
from pipeline.config.params import Network
from pipeline.config.parts import choices, declared
from pipeline.diagnosis.rules import diagnose
from pipeline.embedded import _integer_c
from pipeline.embedded._integer_c import network
from pipeline.files.artifacts import Array, Description, Inputs
from pipeline.inputs import Kind, ids, pixels, series, sounds
from pipeline.process.errors import UserError
from serving import inputs
from serving.inputs import TYPES
from tests.conftest import ROOT
from tests.own_arrays import load
from tests.series.conftest import waves
from tests.test_ids import FALLING_CURVES

pytestmark = pytest.mark.long


def test_every_kind_of_input_has_its_parts_in_the_pipeline_and_on_the_device() -> None:
    kinds: list[Kind] = [
        ids,
        pixels,
        series,
        sounds,
    ]  # the type checker compares them with the contract
    assert [kind.NOUN for kind in kinds] == [
        declared("inputs", name)["NOUN"] for name in choices("inputs")
    ]
    assert sorted(TYPES) == choices("inputs")
    taken = {declared("architectures", name)["INPUT"] for name in choices("architectures")}
    assert taken == set(TYPES)


def test_series_are_read_from_an_npz(tmp_path: Path) -> None:
    x, y = waves()
    raw = load(tmp_path, x_train=x, y_train=y)
    assert (raw.kind, raw.train_images.shape, raw.vocabulary) == ("series", x.shape, [])


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        (np.zeros((4, 3)), r"is float64 of shape \(4, 3\); .* store x_train\[..., None\]"),
        (np.zeros((4, 3), np.float32), r"is float32 of shape \(4, 3\); .* \(N, T, C\) for"),
        (np.zeros((4, 3, 2, 1), np.float32), "expected .* T steps and C channels"),
        (np.full((4, 3, 2), np.nan, np.float32), "x_train has NaN or infinity in number 0"),
        (np.full((4, 3, 2), np.inf, np.float32), "NaN or infinity .* expected finite numbers"),
    ],
)
def test_other_arrays_and_values_are_refused(tmp_path: Path, inputs: Array, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        load(tmp_path, x_train=inputs, y_train=np.array([0, 1, 0, 1]))


def test_parts_of_different_shapes_are_refused(tmp_path: Path) -> None:
    x, y = waves(4)
    for other in (x[:, :30], x[..., :1], np.zeros((4, 8, 8), np.uint8)):
        with pytest.raises(UserError, match="expected the same type and, but for the count N"):
            load(tmp_path, x_train=x, y_train=y, x_test=other, y_test=y)


def test_an_architecture_for_another_kind_is_refused_and_one_that_fits_is_named() -> None:
    from pipeline.architectures import edge, series_cnn

    with pytest.raises(
        UserError,
        match=r"holds series of shape .* takes images; expected one of poly",
    ):
        edge.build(Inputs((100, 6), "series"), 7, Network())
    with pytest.raises(UserError, match=r"holds images .* takes series; expected one of cnn, edge"):
        series_cnn.build(Inputs((28, 28, 1)), 10, Network())
    for steps in (1, 2, 7):
        model = series_cnn.build(Inputs((steps, 3), "series"), 2, Network())
        assert model.output_shape == (None, 2)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_dense_network_of_windows_becomes_integer_c() -> None:
    from pipeline.architectures import series_mlp
    from pipeline.formats import tflite_int8

    model = series_mlp.build(Inputs((20, 3), "series"), 4, Network())
    windows = np.random.default_rng(0).normal(size=(50, 20, 3)).astype(np.float32)
    file = tflite_int8.convert(model, windows)
    assert [operator.name for operator in network.read(file).operators] == [
        "NORMALIZE",
        "RESHAPE",
        *["FULLY_CONNECTED"] * 3,
        "SOFTMAX",
    ]
    _integer_c.translate(file, "gestures")  # refuses what has no C


def test_the_card_promises_a_range_a_little_wider_than_the_training_set() -> None:
    x = np.array([[[-1.0], [3.0]]], np.float32)
    data = Description("npz", ["a"], (2, 1), {}, [], "series")
    assert series.value_range(x, data) == (-1.4, 3.4)
    low, high = series.value_range(np.zeros_like(x), data)
    assert low < 0 < high
    problem = params.load(ROOT / "params.yaml").problem
    card = describe(problem, Description("npz", ["a"], (2, 1), {}, [], "series", range=(-1, 4)), "")
    assert card["input"] == {"name": "image", "type": "float32", "shape": [2, 1], "range": [-1, 4]}
    assert "2 steps of 1 channels" in card["preprocessing"]["description"]


def test_each_channel_counts_alike_in_the_baseline() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    noise = rng.normal(0, 1000, 200)
    x = np.stack([labels + rng.normal(0, 0.1, 200), noise], 1)[:, None].astype(np.float32)
    _, deviation = series.moments(x)
    predictions = series.nearest(x, series.class_means(x, labels, 2), deviation)
    assert (predictions == labels).mean() > 0.95


def test_copies_in_validation_are_found_and_a_shift_of_the_sensor_too() -> None:
    x, _ = waves(900)
    train, validation = x[:600], x[600:]
    sound = series.evidence(train, validation)
    assert diagnose(FALLING_CURVES, sound).verdict == "good_fit"
    noisy = train[:100] + np.random.default_rng(1).normal(0, 1e-3, (100, 40, 2))
    leaking = series.evidence(train, np.concatenate([noisy.astype(np.float32), validation[100:]]))
    assert diagnose(FALLING_CURVES, leaking).verdict == "leakage"
    assert series.evidence(train, validation + np.array([0.5, 250], np.float32)).told_apart > 0.9


def test_generated_inputs_are_finite_and_within_the_range() -> None:
    x, _ = waves()
    limits = series.value_range(x, Description("npz", [], (40, 2), {}, [], "series"))
    for generated in (series.synthetic(x[:8], limits), series.invented(x, limits)):
        assert generated.dtype == np.float32
        assert generated.shape[1:] == x.shape[1:]
        assert np.isfinite(generated).all()
    assert not {row.tobytes() for row in series.invented(x, limits)} & {row.tobytes() for row in x}


def test_mean_deviation_and_roughness_describe_a_series() -> None:
    flat = np.full((1, 4, 2), 3, np.float32)
    zigzag = np.array([[[0, 0], [2, 2], [0, 0], [2, 2]]], np.float32)
    assert inputs.statistic_names((4, 2), "float32") == ("mean", "deviation", "roughness")
    assert inputs.statistics(flat).tolist() == [[3, 0, 0]]
    assert inputs.statistics(zigzag).tolist() == [[1, 1, 2]]
    assert inputs.statistics(flat[:, :1]).tolist() == [[3, 0, 0]]
