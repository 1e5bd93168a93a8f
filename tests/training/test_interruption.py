"""A training that is killed, at any point and on any backend, ends in the same weights."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import params
from pipeline.datasets import Raw
from pipeline.files import atomic
from tests.conftest import ROOT
from tests.interrupted import assert_same_weights, interrupted
from tests.training.conftest import (
    AVERAGES,
    fit,
    split,
    train_params,
    validation_losses,
)

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


@pytest.mark.attacks
@pytest.mark.parametrize(
    ("architecture", "class_weights"), [("mlp", "balanced"), ("edge", None), ("cnn", None)]
)
def test_an_interrupted_run_ends_in_the_same_weights(
    raw_mnist: Raw, tmp_path: Path, architecture: str, class_weights: str | None
) -> None:
    augmentation = params.load(ROOT / "params.yaml").train.augmentation
    outliers = 0.2 if architecture == "mlp" else 0.0
    train = train_params(
        architecture=architecture,
        augmentation=augmentation,
        class_weights=class_weights,
        outliers=outliers,
    )
    whole = interrupted(train, split(raw_mnist), tmp_path / "whole")
    resumed = interrupted(train, split(raw_mnist), tmp_path / "killed", 2)
    assert_same_weights(resumed.model, whole.model)
    assert validation_losses(resumed.rows) == validation_losses(whole.rows)


def test_a_checkpoint_damaged_by_a_power_cut_is_reported_and_training_starts_over(
    raw_mnist: Raw, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from pipeline.training import checkpoint

    fit(raw_mnist, tmp_path / "whole", train_params(epochs=2))
    assert len(checkpoint.read(tmp_path / "whole").rows) == 2
    capfd.readouterr()
    for damaged in ("2.weights.h5", "best-*.h5", "checkpoint.json"):
        for size in (0, 100, None):
            folder = tmp_path / f"{damaged[0]}-{size}"
            shutil.copytree(tmp_path / "whole", folder)
            (file,) = folder.glob(damaged)
            file.unlink() if size is None else os.truncate(file, size)
            assert checkpoint.read(folder) == checkpoint.Checkpoint([], [], {})
            warning = capfd.readouterr().err
            if file.name != checkpoint.FILE or size is not None:  # without it there is none
                reason = "is damaged, as after a power cut; training starts over"
                assert warning == f"warning: {folder} {reason}\n"
                assert not list(folder.iterdir())
    os.truncate(tmp_path / "whole/2.weights.h5", 5000)
    assert len(fit(raw_mnist, tmp_path / "whole", train_params(epochs=2))[1]) == 2


def test_a_replacement_is_on_disk_before_it_takes_the_files_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    synced = []

    def fsync(handle: int) -> None:
        synced.append((os.fstat(handle).st_ino, file.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    with atomic.replacing(file) as temporary:
        temporary.write_text("whole")
    assert synced == [(file.stat().st_ino, False), (tmp_path.stat().st_ino, True)]


ON_JAX = """
import sys

class NoTensorFlow:  # as on a machine that has only JAX
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "tensorflow":
            raise ImportError(name)

sys.meta_path.insert(0, NoTensorFlow())
from pathlib import Path
from pipeline import train
import keras, numpy as np
from pipeline.config import params
from pipeline.training import batches, fit

class Recorded(batches.ShuffledBatches):
    def batch(self, index):
        read.append((self.epoch, index))
        return super().batch(index)

def fit_in(folder, kill_after=None):
    def on_row(row):
        train.print_row(row, 3)
        if row["epoch"] == kill_after:
            raise KeyboardInterrupt
    return fit.fit(recipe, data, folder, on_row, [watcher])

read, compiled = [], []
fit.ShuffledBatches = Recorded
watcher = keras.callbacks.LambdaCallback(
    on_train_begin=lambda logs: compiled.append(watcher.model.jit_compile)
)
file = np.load(sys.argv[1])
x, y = file["x"], file["y"]
recipe = params.load().train.model_copy(update=dict(epochs=3, architecture="mlp"))
data = batches.Data((x[:1800], y[:1800]), (x[1800:], y[1800:]), 10)
folder = Path(sys.argv[1]).parent
trained = fit_in(folder / "whole")
assert keras.backend.backend() == "jax" and compiled == [True]
assert trained.rows[-1]["train_accuracy"] > 0.5, trained.rows

# one look at the first batch, then every batch of every epoch in order
epoch = read[1][0]
assert read[1:] == [(epoch + e, i) for e in range(3) for i in range(8)], read

try:
    fit_in(folder / "killed", kill_after=2)
except KeyboardInterrupt:
    resumed = fit_in(folder / "killed")
for one, other in zip(resumed.model.get_weights(), trained.model.get_weights(), strict=True):
    np.testing.assert_array_equal(one, other)
"""


@pytest.mark.attacks
def test_jax_trains_the_same_file_compiled_and_an_interrupted_run_ends_in_the_same_weights(
    tmp_path: Path, raw_mnist: Raw
) -> None:
    """In its own process, because Keras cannot change its backend after the import."""
    data = tmp_path / "data.npz"
    np.savez(data, x=raw_mnist.train_images[:2000], y=raw_mnist.train_labels[:2000])
    done = subprocess.run(
        [sys.executable, "-c", ON_JAX, data],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, *epochs = done.stdout.splitlines()
    assert re.fullmatch(r"epoch   1: .*; about \d+ s left", first)
    assert [line[:12] for line in epochs] == [
        "epoch   2: l", "epoch   3: l", "epoch   1: l", "epoch   2: l",
        "resuming aft", "epoch   3: l",
    ]  # fmt: skip


@pytest.mark.attacks
def test_an_interrupted_run_with_averages_of_the_weights_ends_in_the_same_weights(
    raw_mnist: Raw, tmp_path: Path
) -> None:
    train = train_params(optimizer=AVERAGES, schedule="constant", epochs=4, learning_rate=0.003)
    whole = interrupted(train, split(raw_mnist), tmp_path / "whole")
    for last in (1, 2, 3):
        resumed = interrupted(train, split(raw_mnist), tmp_path / str(last), last)
        assert_same_weights(resumed.model, whole.model)
        assert validation_losses(resumed.rows) == validation_losses(whole.rows)


@pytest.mark.attacks
def test_a_thawed_training_with_averages_that_is_killed_between_its_phases_ends_in_the_same_weights(
    raw_mnist: Raw, tmp_path: Path
) -> None:
    from pipeline.training import fit as fitting
    from pipeline.training import keras_files

    data = split(raw_mnist)
    start = fitting.fit(train_params(epochs=1), data, tmp_path / "start", lambda row: None)
    keras_files.save(tmp_path / "start.keras", start.model)
    train = train_params(
        optimizer=AVERAGES,
        schedule="constant",
        epochs=4,
        start_from=str(tmp_path / "start.keras"),
        freeze="all",
        thaw=[params.Thaw(after=2, freeze=0, learning_rate=0.001)],
    )
    whole = interrupted(train, data, tmp_path / "whole")
    resumed = interrupted(train, data, tmp_path / "killed", 2)
    assert_same_weights(resumed.model, whole.model)
