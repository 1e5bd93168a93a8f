"""Series of measurements: what is refused, and the whole pipeline on a smartwatch's recordings."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import motion
from pipeline.bundle.description import describe
from pipeline.config import params
from pipeline.config.params import Dataset, Network
from pipeline.config.parts import choices, declared
from pipeline.datasets import npz
from pipeline.diagnosis.rules import diagnose
from pipeline.embedded import c
from pipeline.files.artifacts import Array, Description, Inputs
from pipeline.inputs import Kind, ids, pixels, series, sounds
from pipeline.process.errors import UserError
from serving import Classifier, InputError, inputs, photo
from serving.errors import RequestError
from serving.inputs import SERIES, TYPES
from serving.server import protocol
from serving.server.protocol import Signature
from serving.server.request_bodies import decode
from tests.conftest import OWN_PROBLEM, ROOT, Project
from tests.server import Server
from tests.test_ids import FALLING_CURVES

pytestmark = pytest.mark.long

RECORDINGS = Path(os.environ.get("DATA_MIRROR", "")).absolute() / "motion.npz"
MODEL = Signature("watch", "1.0.0", "test", (3, 2), ["a", "b"], max_images=4, kind=SERIES)
BODY = {"inputs": [{"name": "image", "datatype": "FP32", "shape": [1, 3, 2]}]}


def waves(count: int = 60, seed: int = 0) -> tuple[Array, Array]:
    """Two frequencies in two channels whose scales differ, with random phases."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    steps = np.arange(40) / 40 * 2 * np.pi
    phases = rng.uniform(0, 2 * np.pi, (count, 1))
    wave = np.sin(steps * (2 + 3 * labels[:, None]) + phases)
    noise = rng.normal(0, 0.1, (count, 40, 2))
    return ((wave[..., None] + noise) * [1, 500]).astype(np.float32), labels


def load(folder: Path, **arrays: Array) -> Any:
    np.savez(folder / "own.npz", **arrays)  # type: ignore[arg-type]
    return npz.load(Dataset(name="npz", path=str(folder / "own.npz")))


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


def request(**fields: Any) -> bytes:
    return json.dumps({"inputs": [{**BODY["inputs"][0], **fields}]}).encode()


def test_the_server_takes_numbers_of_32_bits_in_json_in_binary_and_raw() -> None:
    values = np.array([[1.5, -2], [3, 4], [0, 1e-30]], np.float32)
    expected = values[None].tolist()
    nested = decode(request(data=[values.tolist()]), None, MODEL)
    flat = decode(request(data=values.ravel().tolist()), None, MODEL)
    head = request(parameters={"binary_data_size": 24})
    binary = decode(head + values.tobytes(), str(len(head)), MODEL)
    raw = decode(values.tobytes(), "0", MODEL)
    for inference in (nested, flat, binary, raw):
        assert inference.images.dtype == np.float32
        assert inference.images.tolist() == expected
    assert protocol.metadata(MODEL)["inputs"] == [
        {"name": "image", "datatype": "FP32", "shape": [-1, 3, 2]}
    ]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"datatype": "UINT8", "data": [0] * 6}, "expected 'FP32', raw series"),
        ({"shape": [1, 6], "data": [0] * 6}, r"expected \[N, 3, 2\]"),
        ({"data": [0] * 5}, "have 5 values; expected 6"),
        ({"data": [True] * 6}, "something other than numbers"),
        ({"data": ["1"] * 6}, "something other than numbers"),
        ({"data": [1e39] * 6}, "NaN or infinity in number 0"),
        ({"data": [10**400] * 6}, "something other than numbers|is not"),
        ({"data": "123456"}, "are a string; expected an array of series"),
    ],
)
def test_the_server_refuses_what_is_not_a_series(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence):
        decode(request(**fields), None, MODEL)


def test_the_server_refuses_nan_in_binary_data() -> None:
    body = np.full((2, 3, 2), [[[1.0]], [[np.nan]]], np.float32).tobytes()
    with pytest.raises(RequestError, match="NaN or infinity in number 1"):
        decode(body, "0", MODEL)


@pytest.fixture
def watch(project: Project, run_stages: Callable[..., None]) -> Project:
    """The project after all stages on the recordings of a smartwatch.

    The network is shown to beat the forest on the people held out here, not on any three.
    """
    motion.held_out(RECORDINGS, project.folder / "recordings", [3, 9, 10])
    project.change(
        {
            **OWN_PROBLEM,
            "problem.name": "exercises",
            "problem.target": 0.7,
            "dataset.name": "series_folder",
            "dataset.path": "recordings",
            "dataset.rate": 50,
            "dataset.seconds": 2.0,
            "dataset.step": 1.0,
            "preprocess.subset": None,
            "preprocess.validation": 0.15,
            "preprocess.group": "subject",
            "train.architecture": "series_cnn",
            "train.augmentation": [{"class_name": "RandomTurn", "config": {"degrees": 12}}],
            "train.epochs": 10,
            "train.batch_size": 64,
            "train.learning_rate": 0.005,
            "train.keep": "last",
            "export.max_accuracy_drop": 0.02,
            "verify.processors": ["native"],
            "verify.micro_max_accuracy_drop": 0.2,
            "embed.targets": "all",
        }
    )
    run_stages(project)
    return project


@pytest.mark.slow
@pytest.mark.skipif(not RECORDINGS.exists(), reason="needs the recordings of a smartwatch")
@pytest.mark.filterwarnings("ignore")
def test_exercises_pass_the_whole_pipeline_to_the_device(watch: Project, tmp_path: Path) -> None:
    def report(name: str) -> Any:
        return json.loads((watch.folder / f"reports/{name}.json").read_text())

    gate = report("evaluate")["gate"]
    assert gate["baseline_beaten"]
    assert gate["target_reached"]
    assert len(report("evaluate")["per_group"]) == 3  # people
    pairs = report("verify")["pairs"]
    assert {(pair["format"], pair["state"]) for pair in pairs if pair["state"] == "proven"} >= {
        (name, "proven")
        for name in ("tflite_float32", "tflite_float16", "tflite_dynamic", "tflite_int8")
    } | {("onnx_float32", "proven"), ("onnx_int8", "proven")}
    targets = {row["target"]: row for row in report("embed")["targets"]}
    assert "its page takes pictures" in targets.pop("browser")["refused"]
    assert {name: row.get("refused") for name, row in targets.items()} == {
        "c": None,
        "microcontroller": None,
    }
    assert targets["microcontroller"]["measured"]["model_bytes"] <= 20_000
    bundle = watch.folder / "dist/exercises-1.0.0.tar.gz"
    classifier = Classifier.load(bundle)
    x, y = (
        np.load(watch.folder / f"data/prepared/test/{name}.npy") for name in ("images", "labels")
    )
    assert (classifier.predict(x[:200]).argmax(1) == y[:200]).mean() > 0.6
    low, high = classifier.card.input.range
    assert low < x.min() and x.max() < high
    check_refusals(classifier, x, tmp_path)
    check_commands(watch, bundle, x, tmp_path)
    check_server(classifier, bundle, x)


def check_refusals(classifier: Classifier, x: Array, folder: Path) -> None:
    with pytest.raises(InputError, match="the input has NaN or infinity in number 1"):
        classifier.predict(np.stack([x[0], np.full_like(x[0], np.nan)]))
    for wrong in (x[:2].astype(np.float64), x[:2, :50], x[0]):
        with pytest.raises(InputError, match=r"expected float32 of shape \(N, 100, 6\)"):
            classifier.predict(wrong)
    shutil.copy(ROOT / "docs/pictures/mistakes.png", folder / "photo.png")
    with pytest.raises(InputError, match="which takes float32 series: 100 measurements at 50 Hz"):
        photo.read(folder / "photo.png", classifier.card)


def check_commands(watch: Project, bundle: Path, x: Array, folder: Path) -> None:
    np.save(folder / "one.npy", x[0])
    np.save(folder / "three.npy", x[:3])
    serving = [sys.executable, "-m", "serving"]
    watch.run(*serving, "check", str(bundle))
    assert watch.attempt(*serving, "prove", str(bundle)).returncode in (0, 3)
    lines = watch.run(
        *serving, "predict", str(bundle), str(folder / "one.npy"), str(folder / "three.npy")
    ).splitlines()
    assert [line.split("   ")[1].rpartition("/")[2] for line in lines] == [
        "one.npy",
        "three.npy[0]",
        "three.npy[1]",
        "three.npy[2]",
    ]
    refused = watch.attempt(*serving, "predict", str(bundle), str(folder / "photo.png"))
    assert refused.returncode == 1
    assert "photo.png is not a recording" in refused.stderr
    check_recording(watch, bundle, folder)


def check_recording(watch: Project, bundle: Path, folder: Path) -> None:
    """A CSV gives the same windows in Python and in C, and nearly always the same classes."""
    with np.load(RECORDINGS, allow_pickle=False) as file:
        signal, names = file["signal"][: file["length"][0]], file["channels"].tolist()
    rows = [",".join(map(repr, row)) for row in signal.tolist()]
    rows[300] = ",".join([""] * len(names))  # a missing row
    csv = folder / "recording.csv"
    csv.write_text("\n".join([",".join(names), *rows]))
    predict = [sys.executable, "-m", "serving", "predict", str(bundle), "--output", "json"]
    python = [json.loads(line) for line in watch.run(*predict, str(csv)).splitlines()]
    starts = [*range(0, 201, 50), *range(301, len(signal) - 99, 50)]
    assert [answer["picture"].rpartition("/")[2] for answer in python] == [
        f"recording.csv {start / 50:.2f} s" for start in starts
    ]
    program = watch.folder / "embedded/c/programs" / f"classify-{c.HERE}"
    in_c = [line.split("\t") for line in watch.run(str(program), str(csv)).splitlines()]
    assert [cells[0] for cells in in_c] == [answer["picture"] for answer in python]
    equal = [answer["class"] == cells[1] for answer, cells in zip(python, in_c, strict=True)]
    assert np.mean(equal) > 0.9
    check_short(watch, program, predict, (signal[:60], names), folder)
    csv.write_text(csv.read_text() + "\n1,2,fast,3,4,5")
    for command in ([str(program)], predict):
        refused = watch.attempt(*command, str(csv))
        assert refused.returncode == 1
        assert "a number" in refused.stderr


def check_short(
    watch: Project, program: Path, predict: list[str], rows: tuple[Array, list[str]], folder: Path
) -> None:
    """A CSV that is shorter than a window is held at its last row, in Python and in C."""
    signal, names = rows
    short = folder / "short.csv"
    np.savetxt(short, signal, delimiter=",", header=",".join(names), comments="", fmt="%.9g")
    np.pad(signal, ((0, 100 - len(signal)), (0, 0)), "edge").astype("<f4").tofile(folder / "held")
    (answer,) = map(json.loads, watch.run(*predict, str(short)).splitlines())
    assert answer["picture"].endswith("short.csv 0.00 s")
    name, *answer_in_c = watch.run(str(program), str(short)).split("\t")
    assert name == answer["picture"]
    assert answer_in_c == watch.run(str(program), "--windows", str(folder / "held")).split("\t")[1:]


def check_server(classifier: Classifier, bundle: Path, x: Array) -> None:
    tensor = {"name": "image", "datatype": "FP32", "shape": [2, 100, 6], "data": x[:2].tolist()}
    with Server(bundle) as server:
        path = f"/v2/models/{classifier.card.name}/infer"
        answer = server.ask("POST", path, json.dumps({"inputs": [tensor]}).encode())
        raw = server.ask("POST", path, x[:2].tobytes(), {"Inference-Header-Content-Length": "0"})
        picture = (ROOT / "docs/pictures/mistakes.png").read_bytes()
        refused = server.ask("POST", "/predict", picture)
        description = server.get("/openapi.json").json
    expected = classifier.predict(x[:2])
    np.testing.assert_allclose(answer.json["outputs"][0]["data"], expected.ravel(), atol=1e-5)
    length = int(raw.headers["inference-header-content-length"])
    probabilities = np.frombuffer(raw.body[length:], np.float32).reshape(2, -1)
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    assert refused.status == 400
    assert "takes float32 series" in refused.json["error"]
    request = description["components"]["schemas"][f"Request_{classifier.card.name}"]
    image = request["properties"]["inputs"]["items"]["properties"]
    assert image["data"]["items"] == {"type": "number"}
    assert image["shape"]["minItems"] == 3
