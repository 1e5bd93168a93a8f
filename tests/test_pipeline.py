"""The whole pipeline, run by `dvc repro` on a small part of MNIST."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import tempfile
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from pipeline import export
from pipeline.config import params
from pipeline.config.device_files import Verify
from pipeline.process.errors import UserError
from tests.conftest import ROOT, STAGES, Project, emulated
from tests.small_disk import MEGABYTES, small_disk
from tests.waiting import SECONDS, Hold

pytestmark = pytest.mark.slow


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(("processor", "count"), [("native", 4 * 2 + 1 + 2), ("nehalem", 4 + 2)])
def test_every_exported_file_passes_on_every_runtime(
    finished: Project, processor: str, count: int
) -> None:
    if processor != "native":
        for runtime in Verify.model_validate(finished.params()["verify"]).emulated_runtimes:
            emulated(processor, runtime)
    report = json.loads((finished.folder / "reports/verify.json").read_text())
    pairs = [pair for pair in report["pairs"] if pair["processor"] == processor]
    assert len(pairs) == count
    most_different = {"float32": 0, "float16": 0.001, "dynamic": 0.005, "int8": 0.01}
    for pair in pairs:
        assert pair["state"] == "proven", pair
        different = round((1 - pair["agreement"]) * pair["test_images"])
        # rounded up: of few examples one may differ on some processor
        share = most_different[pair["format"].split("_")[1]]
        assert different <= ceil(share * pair["test_images"]), pair


def test_a_second_repro_has_nothing_to_do(finished: Project) -> None:
    assert "Data and pipelines are up to date" in finished.run("dvc", "repro")


def test_metrics_and_plots_can_be_shown(finished: Project, tmp_path: Path) -> None:
    # One row per figure; `dvc metrics show` has one column per figure, too many for a terminal.
    output = finished.run("dvc", "metrics", "diff", "--all")
    names = {"validation_accuracy", "test_accuracy", "tflite_int8.bytes"}
    assert names <= set(output.split())
    assert max(map(len, output.splitlines())) < 150
    finished.run("dvc", "metrics", "show")
    finished.run("dvc", "plots", "show", "--out", str(tmp_path))
    page = (tmp_path / "index.html").read_text()
    assert "Loss by epoch" in page
    assert "Confusion matrix" in page


@pytest.mark.long
def test_two_forced_runs_give_the_same_lock_file_byte_for_byte(finished: Project) -> None:
    before = (finished.folder / "dvc.lock").read_bytes()
    finished.run("dvc", "repro", "--force")
    assert (finished.folder / "dvc.lock").read_bytes() == before


@pytest.mark.attacks
def test_a_killed_training_resumes_and_ends_in_the_same_model(
    project: Project, tmp_path: Path
) -> None:
    project.change({"preprocess.subset": 1000, "train.epochs": 3})
    project.run("dvc", "repro", "train")
    whole = sha256(project.folder / "model/model.keras")

    caches = (".dvc/cache", ".state/train", ".state/measurements")
    project.run("rm", "-rf", *caches, "model", "reports/train.json")
    hold = Hold(tmp_path / "hold", "*/.state/train/*/checkpoint.json", times=2)
    command = ("dvc", "repro", "--force", "--single-item", "train")
    dvc = project.start(*command, **hold.environment)
    hold.wait(dvc)
    stage = [psutil.Process(number) for number in hold.held()]
    dvc.send_signal(signal.SIGKILL)
    dvc.wait()
    _, alive = psutil.wait_procs(stage, timeout=SECONDS)
    assert not alive, "the stage outlived dvc"
    assert not (project.folder / "model/model.keras").exists()
    checkpoint = next(project.folder.glob(".state/train/*/checkpoint.json"))
    assert len(json.loads(checkpoint.read_text())["rows"]) == 1

    output = project.run("dvc", "repro", "--single-item", "train")
    assert "resuming after epoch 1" in output
    assert sha256(project.folder / "model/model.keras") == whole
    assert not list(project.folder.glob(".state/train/*"))

    # DVC's run cache restores the model of either seed.
    project.change({"train.seed": 1})
    project.run("dvc", "repro", "--single-item", "train")
    other = sha256(project.folder / "model/model.keras")
    assert other != whole
    for seed, expected in ((0, whole), (1, other)):
        project.change({"train.seed": seed})
        output = project.run("dvc", "repro", "--single-item", "train")
        assert "epoch" not in output.replace("train.epochs", "")
        assert sha256(project.folder / "model/model.keras") == expected


# Runs stages as `python -m` does, one after the other, and prints in JSON how each ends.
EACH_STAGE = """
import json, runpy, sys
stages, sys.argv = sys.argv[1:], ["stage"]
for name in stages:
    try:
        runpy.run_module(f"pipeline.{name}", run_name="__main__")
    except SystemExit as end:  # whose text Python prints, before it exits with 1
        print(json.dumps([name, end.code]))
"""


def test_a_stage_run_before_its_inputs_exist_says_so_in_one_sentence(project: Project) -> None:
    """In one process, since most of them import TensorFlow, which takes seconds."""
    stages = [name for name in STAGES if name not in ("check", "download", "diagnose")]
    done = project.attempt("python", "-c", EACH_STAGE, *stages)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    ends = dict(json.loads(line) for line in done.stdout.splitlines())
    assert list(ends) == stages
    for sentence in ends.values():
        assert sentence.startswith("error: ")
        assert "is missing: run the stage that makes it" in sentence
        assert len(sentence.splitlines()) == 1


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("train.epochs", -1, "params.yaml: train.epochs is -1"),
        ("train.architecture", "vgg", "'vgg' is not one of pipeline/architectures: bc_resnet, cnn"),
        ("dataset.name", "emnist", "'emnist' is not one of pipeline/datasets: audio_folder"),
        ("dataset.path", "none.npz", "dataset.path none.npz does not exist; name your npz file"),
        (
            "preprocess.corrections",
            "none.csv",
            "preprocess.corrections none.csv does not exist; name a CSV of corrected labels",
        ),
        (
            "train.start_from",
            "none.keras",
            "train.start_from none.keras does not exist; name a trained model",
        ),
    ],
)
def test_a_wrong_params_file_stops_before_anything_is_run_or_written(
    project: Project, key: str, value: Any, sentence: str
) -> None:
    project.change({key: value})
    done = project.attempt("dvc", "repro")
    assert done.returncode != 0
    (error,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert sentence in error
    assert "Traceback" not in done.stderr
    assert "Running stage 'download'" not in done.stdout
    assert not list((project.folder / "data").rglob("*.npy"))


def test_a_model_file_changed_after_export_is_refused(finished: Project, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(finished.folder), str(copy)], check=True)
    file = copy / "exported/tflite_int8.tflite"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.unlink()
    file.write_bytes(data)
    done = subprocess.run(
        ["python", "-m", "pipeline.verify"],
        cwd=copy,
        env=finished.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "error: exported/tflite_int8.tflite is not the file that export wrote "
        "(its SHA-256 differs); run `dvc repro export`\n"
    )


def test_a_full_disk_is_answered_in_one_sentence_and_leaves_no_half_written_file(
    project: Project,
) -> None:
    data = project.folder / "data"
    data.mkdir()
    with small_disk(data):
        done = project.attempt("python", "-m", "pipeline.download")
        assert done.returncode == 1
        assert "the disk is full" in done.stderr
        assert "Traceback" not in done.stderr
        assert not list(data.rglob("images.npy"))
        assert not list(data.rglob(".images.npy*"))


def test_a_full_temporary_folder_is_no_failed_conversion(finished: Project, tmp_path: Path) -> None:
    copy = finished.copy(tmp_path / "copy")
    with tempfile.TemporaryDirectory(dir="/tmp") as disk, small_disk(Path(disk)):  # a short path
        (Path(disk) / "file").write_bytes(bytes(MEGABYTES * 2**20 - 50_000))
        done = copy.attempt("python", "-m", "pipeline.export", TMPDIR=disk)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"error: {disk} could not be written: the disk is full; free some space and run again"
    )


def test_a_temporary_folder_of_too_long_a_path_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python's own error for it is `AF_UNIX path too long`, in a traceback."""
    (longest := tmp_path / ("x" * 80)).mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(longest))
    with pytest.raises(UserError, match="xxx has too long a path; set TMPDIR to one of at most 75"):
        export.convert_all([], np.zeros(0), b"")
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")
    assert export.convert_all([], np.zeros(0), b"") == {}


def test_a_folder_without_write_permission_is_answered_in_one_sentence(project: Project) -> None:
    """Root may write anywhere, so as root the folder is made immutable instead."""
    data = project.folder / "data"
    data.mkdir(mode=0o555)
    if os.geteuid() == 0:
        project.run("chattr", "+i", "data")
    try:
        done = project.attempt("python", "-m", "pipeline.download")
    finally:
        if os.geteuid() == 0:
            project.run("chattr", "-i", "data")
    assert done.returncode == 1
    assert "permissions" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_default_params_name_all_six_formats() -> None:
    assert len(params.load(ROOT / "params.yaml").export.formats) == 6
