"""`train.processes`: several processes train the model that one trains, and end together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from ruamel.yaml import YAML

from pipeline.config import params
from pipeline.datasets import Raw
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError
from tests.conftest import ROOT, Project
from tests.waiting import wait_for

JAX = {"KERAS_BACKEND": "jax"}
TRAIN = ("python", "-m", "pipeline.train")
ROUNDING = 1e-5  # of float32 weights of about 1, after a few dozen steps
LOST = "run again, and the training goes on after its last complete epoch"

# As the stage does: trains in as many processes as its arguments say. Each saves its last weights,
# and the process that started them takes the best.
PROGRAM = """
import json
import sys
from pathlib import Path

from pipeline.process import ranks

folder, count, changes = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
name = f"{count}-best"
if ranks.joined():
    ranks.join()
    name = f"{count}-{ranks.rank()}"
elif count > 1:
    ranks.run(count)

import numpy as np

from pipeline.config import params
from pipeline.training import batches, fit

file = np.load(folder / "data.npz")
x, y = file["x"], file["y"]
data = batches.Data((x[:1500], y[:1500]), (x[1500:], y[1500:]), 10)
settings = params.override(params.load(), {f"train.{key}": changes[key] for key in changes})
with ranks.ending_at_once():
    trained = fit.fit(settings.train, data, folder / f"state-{count}", lambda row: None)
    weights = np.concatenate([weight.ravel() for weight in trained.model.get_weights()])
    rows = [[row["train_loss"], row["validation_loss"]] for row in trained.rows]
    np.savez(folder / f"{name}.npz", weights=weights, rows=rows)
"""


def train(folder: Path, count: int, **changes: Any) -> list[dict[str, Array]]:
    """The weights and the losses of each process."""
    command = [sys.executable, "-c", PROGRAM, str(folder), str(count), json.dumps(changes)]
    environment = {**os.environ, **JAX}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [dict(np.load(folder / f"{count}-{number}.npz")) for number in range(count)]


@pytest.fixture
def folder(tmp_path: Path, raw_mnist: Raw) -> Path:
    """A folder with 1,500 digits to train on and 200 to validate."""
    np.savez(
        tmp_path / "data.npz", x=raw_mnist.train_images[:1700], y=raw_mnist.train_labels[:1700]
    )
    return tmp_path


@pytest.mark.cluster
@pytest.mark.parametrize(
    "changes",
    [
        {"architecture": "edge"},  # augmentation, dropout and batch normalization
        {
            "architecture": "mlp",
            "augmentation": [{"class_name": "MixUp", "config": {"alpha": 0.2}}],
            "outliers": 0.25,
            "optimizer": {"class_name": "Adam", "config": {"use_ema": True}},
            "class_weights": "balanced",
        },
        {"architecture": "tiny", "quantization_aware": True},
    ],
    ids=["default", "mixed", "int8"],
)
def test_two_processes_end_in_the_weights_of_one(folder: Path, changes: dict[str, Any]) -> None:
    small = {"epochs": 2, "batch_size": 100, "keep": "last", **changes}
    (alone,) = train(folder, 1, **small)
    first, second = train(folder, 2, **small)
    np.testing.assert_array_equal(first["weights"], second["weights"])
    np.testing.assert_array_equal(first["rows"], second["rows"])
    np.testing.assert_allclose(first["rows"], alone["rows"], rtol=1e-4)


SMALL = {
    "preprocess.subset": 1001,  # so that neither split can be halved, nor the last batch
    "train.architecture": "tiny",
    "train.batch_size": 60,
    "train.epochs": 3,
    "train.keep": "last",
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, mirror: Path) -> Project:
    """A project with small data that is ready to train."""
    project = Project(tmp_path_factory.mktemp("ranks") / "project", mirror).begin()
    project.change(SMALL)
    for stage in ("download", "preprocess"):
        project.run("python", "-m", f"pipeline.{stage}")
    return project


@pytest.fixture
def project(prepared: Project, tmp_path: Path) -> Project:
    return prepared.copy(tmp_path / "copy")


def log_of(project: Project) -> str:
    return (project.folder.parent / f"{project.folder.name}.log").read_text()


def ranks_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children()


def started(project: Project, count: int, epoch: int) -> subprocess.Popen[bytes]:
    """A training in `count` processes, once this epoch has ended."""
    project.change({"train.processes": count})
    process = project.start(*TRAIN, **JAX)
    wait_for(lambda: f"epoch   {epoch}:" in log_of(project), process)
    return process


def weights(project: Project) -> Array:
    program = (
        "import keras, numpy as np;"
        "model = keras.saving.load_model('model/model.keras', compile=False);"
        "np.save('weights.npy', np.concatenate([w.ravel() for w in model.get_weights()]))"
    )
    project.run("python", "-c", program)
    return np.load(project.folder / "weights.npy")


@pytest.mark.cluster
def test_a_lost_process_ends_the_others_and_the_training_goes_on_with_any_number(
    project: Project, tmp_path: Path
) -> None:
    process = started(project, 2, 1)
    first, second = ranks_of(process)
    second.kill()
    began = time.monotonic()
    assert process.wait() == 1
    assert time.monotonic() - began < 5
    assert not first.is_running()
    assert log_of(project).splitlines()[-1] == (
        "error: process 2 of the 2 that train together was ended by SIGKILL, as when memory runs "
        f"out; {LOST}"
    )
    assert "epoch   3" not in log_of(project)

    project.change({"train.processes": 3})
    output = project.run(*TRAIN, **JAX)
    assert [line[:20] for line in output.splitlines()][:2] == ["", ""], output
