"""The whole pipeline on a smartwatch's recordings, and the device that it makes."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmarks import motion
from pipeline.embedded import c
from pipeline.files.artifacts import Array
from serving import Classifier, InputError, photo
from tests import reports
from tests.conftest import OWN_PROBLEM, ROOT, Project
from tests.server import Server

pytestmark = pytest.mark.long

RECORDINGS = Path(os.environ.get("DATA_MIRROR", "")).absolute() / "motion.npz"


@pytest.fixture
def watch(project: Project, run_stages: Callable[..., None]) -> Project:
    """The project after all stages on the recordings of a smartwatch.

    The network is shown to beat the forest on the people held out here, not on any three.
    """
    motion.write(RECORDINGS, project.folder / "recordings", [3, 9, 10])
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
    report = partial(reports.report, watch)
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
    points = [watch.run(*command, str(csv)) for command in ([str(program)], predict)]
    text = csv.read_text()
    csv.write_text(text.replace(",", ";").replace(".", ","))  # as a program in German writes it
    assert points == [watch.run(*command, str(csv)) for command in ([str(program)], predict)]
    csv.write_text(text)
    check_short(watch, program, predict, (signal[:60], names), folder)
    check_broken_rows(watch, [[str(program)], predict], csv)


def check_broken_rows(watch: Project, commands: list[list[str]], csv: Path) -> None:
    """No row is skipped because it cannot be read, such as one that a power cut filled with 0."""
    text = csv.read_text()
    for rows, reason in (("1,2,fast,3,4,5", "a number"), (f"\0\0{text}", "x00|zero byte")):
        csv.write_text(f"{text}\n{rows}")
        for command in commands:
            refused = watch.attempt(*command, str(csv))
            assert refused.returncode == 1
            assert re.search(reason, refused.stderr)


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
