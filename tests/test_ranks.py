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

from pipeline.config import params
from pipeline.datasets import Raw
from pipeline.files.artifacts import Array
from pipeline.process import ranks
from pipeline.process.errors import UserError
from pipeline.training import fingerprint
from tests.conftest import ROOT, Project
from tests.waiting import wait_for

JAX = {"KERAS_BACKEND": "jax"}
TRAIN = ("python", "-m", "pipeline.train")
# Adam would enlarge what rounding does, and so does batch normalization of maps that hardly vary.
STEPS = {"class_name": "SGD", "config": {"momentum": 0.9}}
ROUNDING = 1e-5  # of float32 weights of about 1, after a few dozen steps

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
from pipeline.training import batches, fit, models

file = np.load(folder / "data.npz")
x, y = file["x"], file["y"]
images = changes.pop("images", 900)
data = batches.Data((x[:images], y[:images]), (x[900:], y[900:]), 10)
settings = params.override(params.load(), {f"train.{key}": changes[key] for key in changes})
with ranks.ending_at_once():
    trained = fit.fit(settings.train, data, folder / f"state-{count}", lambda row: None)
    weights = np.concatenate([weight.ravel() for weight in trained.model.get_weights()])
    rows = [[row["train_loss"], row["validation_loss"]] for row in trained.rows]
    np.savez(folder / f"{name}.npz", weights=weights, rows=rows)
"""


def attempt(folder: Path, count: int, **changes: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, str(folder), str(count), json.dumps(changes)]
    environment = {**os.environ, **JAX}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def trained(folder: Path, count: int, **changes: Any) -> list[dict[str, Array]]:
    """The weights and the losses of the best epoch, and what each of several processes had last."""
    small = {"epochs": 2, "batch_size": 60, "keep": "last", "optimizer": STEPS, **changes}
    done = attempt(folder, count, **small)
    assert done.returncode == 0, done.stderr
    names = ["best", *range(count)] if count > 1 else ["best"]
    return [dict(np.load(folder / f"{count}-{name}.npz")) for name in names]


@pytest.fixture
def folder(tmp_path: Path, raw_mnist: Raw) -> Path:
    """A folder with 900 digits to train on and 100 to validate."""
    np.savez(
        tmp_path / "data.npz", x=raw_mnist.train_images[:1000], y=raw_mnist.train_labels[:1000]
    )
    return tmp_path


def equal(actual: dict[str, Array], expected: dict[str, Array], tolerance: float = 0.0) -> None:
    for name, values in actual.items():
        np.testing.assert_allclose(values, expected[name], rtol=tolerance, atol=tolerance)


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("changes", "tolerance"),
    [
        (
            {"architecture": "tiny", "network.dropout": 0.2, "network.normalization": "none"},
            ROUNDING,
        ),
        ({"architecture": "tiny", "images": 60, "epochs": 1}, ROUNDING),
        (
            {
                "architecture": "mlp",
                "augmentation": [{"class_name": "MixUp", "config": {"alpha": 0.2}}],
                "outliers": 0.2,
                "class_weights": "balanced",
                "optimizer": {"class_name": "SGD", "config": {"use_ema": True}},
            },
            ROUNDING,
        ),
        # A weight that is rounded to the next step differs by 1/127 of the largest one.
        ({"architecture": "mlp", "quantization_aware": True}, 1e-2),
    ],
    ids=["augmented", "normalized", "mixed", "int8"],
)
def test_two_processes_end_in_the_model_of_one(
    folder: Path, changes: dict[str, Any], tolerance: float
) -> None:
    (alone,) = trained(folder, 1, **changes)
    best, first, second = trained(folder, 2, **changes)
    equal(first, second)
    equal(best, alone, tolerance)


@pytest.mark.cluster
def test_examples_that_cannot_be_divided_are_left_out(folder: Path) -> None:
    """Of 901 - 60 * 15 examples nothing is left for a last batch."""
    best, *others = trained(folder, 3, architecture="mlp", images=841, epochs=1)
    for other in others:
        equal(others[0], other)
    assert np.isfinite(best["rows"]).all()


@pytest.mark.cluster
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_layers_that_are_computed_once_are_left_to_one_process(
    folder: Path, raw_mnist: Raw
) -> None:
    from pipeline.training import keras_files, models
    from pipeline.training.batches import Data

    settings = params.load(ROOT / "params.yaml").train.model_copy(update={"architecture": "mlp"})
    split = raw_mnist.train_images[:10], raw_mnist.train_labels[:10]
    keras_files.save(folder / "start.keras", models.build(settings, Data(split, split, 10)))
    start = {"start_from": str(folder / "start.keras"), "freeze": "all", "augmentation": []}
    done = attempt(folder, 2, architecture="mlp", **start)
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if line.startswith("error")] == [
        "error: train.processes is above 1, and the frozen layers of the model are computed once, "
        "after which the others train in seconds; set train.processes to 1, or let "
        "train.augmentation change the images in every epoch"
    ]


SMALL = {
    "preprocess.subset": 1000,
    "train.architecture": "tiny",
    "train.network.normalization": "none",
    "train.batch_size": 60,
    "train.epochs": 3,
    "train.keep": "last",
    "train.optimizer": STEPS,
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, mirror: Path) -> Project:
    """A project with small data that is ready to train."""
    folder = tmp_path_factory.mktemp("ranks") / "project"
    folder.mkdir()
    project = Project(folder, mirror).begin()
    project.change(SMALL)
    for stage in ("download", "preprocess"):
        project.run("python", "-m", f"pipeline.{stage}")
    return project


@pytest.fixture(scope="module")
def whole(prepared: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The same project, trained in one process."""
    project = prepared.copy(tmp_path_factory.mktemp("whole") / "project")
    project.run(*TRAIN, **JAX)
    return project


@pytest.fixture
def project(prepared: Project, tmp_path: Path) -> Project:
    return prepared.copy(tmp_path / "copy")


def started(
    project: Project, count: int, epoch: int
) -> tuple[subprocess.Popen[bytes], list[psutil.Process]]:
    """A training and its processes, once this epoch has ended."""
    project.change({"train.processes": count})
    process = project.start(*TRAIN, **JAX)
    children = psutil.Process(process.pid).children
    wait_for(lambda: len(children()) == count, process)
    wait_for(lambda: not epoch or f"epoch   {epoch}:" in project.log.read_text(), process)
    return process, children()


def weights(project: Project) -> Array:
    program = (
        "import keras, numpy as np;"
        "model = keras.saving.load_model('model/model.keras', compile=False);"
        "np.save('weights.npy', np.concatenate([w.ravel() for w in model.get_weights()]))"
    )
    project.run("python", "-c", program)
    result: Array = np.load(project.folder / "weights.npy")
    return result


@pytest.mark.cluster
def test_a_lost_process_ends_the_others_and_the_training_goes_on_with_any_number(
    project: Project, whole: Project
) -> None:
    process, (first, second) = started(project, 2, 1)
    second.terminate()
    began = time.monotonic()
    assert process.wait() == 1
    assert time.monotonic() - began < 10
    assert not first.is_running()
    lines = project.log.read_text().splitlines()
    assert lines[-1] == (
        "error: training process 2 of 2 was killed by SIGTERM, perhaps because memory ran out; "
        f"{ranks.GOES_ON}"
    )
    assert not any(line.startswith("epoch   3") for line in lines)

    project.change({"train.processes": 3})
    output = project.run(*TRAIN, **JAX)
    first_words = [" ".join(line.split()[:2]) for line in output.splitlines()]
    assert first_words[0] == "resuming after", output
    assert first_words[-4:-1] == ["epoch 2:", "epoch 3:", "kept epoch"], output
    np.testing.assert_allclose(weights(project), weights(whole), rtol=1e-3, atol=1e-4)


@pytest.mark.cluster
def test_the_stage_finishes_what_several_hosts_trained(project: Project, whole: Project) -> None:
    """As docs/deploy/training.yaml starts them, here on one host."""
    with ranks.reserved_address() as address:
        shared = {**JAX, ranks.ADDRESS: address, ranks.COUNT: "2"}
        both = [project.start(*TRAIN, **shared, **{ranks.RANK: number}) for number in "01"]
        assert [process.wait() for process in both] == [0, 0], project.log.read_text()
    output = project.run(*TRAIN, **JAX)
    assert not any(line.startswith("epoch") for line in output.splitlines())
    np.testing.assert_allclose(weights(project), weights(whole), rtol=1e-3, atol=1e-4)


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("name", "epoch", "status"), [("SIGINT", 1, 130), ("SIGTERM", 0, -15), ("SIGKILL", 0, -9)]
)
def test_all_processes_end_with_the_one_that_started_them(
    project: Project, name: str, epoch: int, status: int
) -> None:
    process, others = started(project, 2, epoch)
    if name == "SIGINT":
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    else:
        process.send_signal(signal.Signals[name])
    assert process.wait() == status
    wait_for(lambda: not any(other.is_running() for other in others))
    assert "Traceback" not in project.log.read_text()


def test_values_that_do_not_fit_are_refused_in_a_sentence(raw_mnist: Raw) -> None:
    settings = params.load(ROOT / "params.yaml")
    with pytest.raises(UserError, match=r"batch_size is 256, and 3 processes share a batch; exp"):
        params.override(settings, {"train.processes": 3})


@pytest.mark.slow
def test_tensorflow_trains_in_one_process(raw_mnist: Raw) -> None:
    from pipeline import train
    from pipeline.training.batches import Data

    settings = params.load(ROOT / "params.yaml").train.model_copy(update={"processes": 2})
    split = raw_mnist.train_images[:10], raw_mnist.train_labels[:10]
    with pytest.raises(UserError, match=r"on JAX only, not on tensorflow; run with KERAS_BACKEND"):
        train.check_processes(settings, Data(split, split, 10))


@pytest.mark.slow
def test_a_training_may_go_on_with_another_number_of_processes() -> None:
    settings = params.load(ROOT / "params.yaml").train
    keys = {
        fingerprint.of_training(settings.model_copy(update={"processes": count}), [])
        for count in (1, 2)
    }
    assert len(keys) == 1
