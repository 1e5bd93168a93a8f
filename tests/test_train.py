"""Training: the schedule, the kept epoch, and what an interrupted run goes on from."""

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
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError
from pipeline.training.learning_curves import best_epoch
from tests.conftest import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def chosen(**values: object) -> params.Train:
    small = {"architecture": "mlp", "epochs": 3, "warmup": 0.1, "augmentation": []}
    return params.load(ROOT / "params.yaml").train.model_copy(update={**small, **values})


def fit(raw: Raw, folder: Path, train: params.Train) -> tuple[Array, list[dict[str, float]]]:
    from pipeline.training import fit as fitting
    from pipeline.training.batches import Data

    data = Data(
        (raw.train_images[:500], raw.train_labels[:500]),
        (raw.train_images[500:600], raw.train_labels[500:600]),
        10,
    )
    trained = fitting.fit(train, data, folder, lambda row: None)
    return np.concatenate(
        [weights.ravel() for weights in trained.model.get_weights()]
    ), trained.rows


class KilledError(Exception):
    pass


@pytest.mark.parametrize("architecture", ["mlp", "edge", "cnn"])
def test_an_interrupted_run_ends_in_the_same_weights(
    raw_mnist: Raw, tmp_path: Path, architecture: str
) -> None:
    from pipeline.training import fit as fitting
    from pipeline.training.batches import Data

    train = chosen(
        architecture=architecture, augmentation=params.load(ROOT / "params.yaml").train.augmentation
    )
    whole, rows = fit(raw_mnist, tmp_path / "whole", train)
    data = Data(
        (raw_mnist.train_images[:500], raw_mnist.train_labels[:500]),
        (raw_mnist.train_images[500:600], raw_mnist.train_labels[500:600]),
        10,
    )

    def kill(row: dict[str, float]) -> None:
        if row["epoch"] == 2:
            raise KilledError

    with pytest.raises(KilledError):
        fitting.fit(train, data, tmp_path / "killed", kill)
    resumed, resumed_rows = fit(raw_mnist, tmp_path / "killed", train)
    np.testing.assert_array_equal(resumed, whole)
    assert [row["validation_loss"] for row in resumed_rows] == [
        row["validation_loss"] for row in rows
    ]


def test_a_state_that_a_power_cut_has_damaged_is_told_of_and_the_training_starts_afresh(
    raw_mnist: Raw, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from pipeline.training import checkpoint

    fit(raw_mnist, tmp_path / "whole", chosen(epochs=2))
    assert len(checkpoint.read(tmp_path / "whole")["rows"]) == 2
    capfd.readouterr()
    for damaged in ("2.weights.h5", "best-*.h5", "state.json"):
        for size in (0, 100, None):
            folder = tmp_path / f"{damaged[0]}-{size}"
            shutil.copytree(tmp_path / "whole", folder)
            (file,) = folder.glob(damaged)
            file.unlink() if size is None else os.truncate(file, size)
            assert checkpoint.read(folder) == {"rows": [], "seeds": []}
            warned = capfd.readouterr().err
            if file.name != "state.json" or size is not None:  # without it nothing was begun
                assert (
                    warned
                    == f"warning: {folder} is damaged, as after a power cut; training starts over\n"
                )
                assert not list(folder.iterdir())
    os.truncate(tmp_path / "whole/2.weights.h5", 5000)
    assert len(fit(raw_mnist, tmp_path / "whole", chosen(epochs=2))[1]) == 2


def test_what_takes_a_files_place_is_on_the_disk_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled = []
    monkeypatch.setattr(
        os,
        "fsync",
        lambda handle: settled.append((os.fstat(handle).st_ino, (tmp_path / "file").exists())),
    )
    with atomic.replacing(tmp_path / "file") as temporary:
        temporary.write_text("whole")
    assert settled == [((tmp_path / "file").stat().st_ino, False), (tmp_path.stat().st_ino, True)]


def test_the_kept_weights_are_those_of_the_best_epoch(raw_mnist: Raw, tmp_path: Path) -> None:
    train = chosen(learning_rate=0.05, schedule="constant", epochs=4)
    weights, rows = fit(raw_mnist, tmp_path / "all", train)
    best = best_epoch(rows, "validation_loss")
    assert rows[best - 1]["validation_loss"] == min(row["validation_loss"] for row in rows)
    until_best, _ = fit(
        raw_mnist, tmp_path / "best", train.model_copy(update={"epochs": best, "keep": "last"})
    )
    np.testing.assert_array_equal(weights, until_best)


def test_patience_ends_a_training_that_no_longer_improves(raw_mnist: Raw, tmp_path: Path) -> None:
    _, rows = fit(
        raw_mnist,
        tmp_path,
        chosen(learning_rate=1.0, schedule="constant", warmup=0.0, epochs=20, patience=2),
    )
    assert len(rows) < 20


def test_the_rate_rises_and_then_falls_to_zero(raw_mnist: Raw, tmp_path: Path) -> None:
    _, rows = fit(raw_mnist, tmp_path, chosen(warmup=0.34, epochs=3, learning_rate=0.006))
    rates = [row["learning_rate"] for row in rows]
    assert rates[0] == pytest.approx(0.006, rel=0.05)
    assert rates[-1] == pytest.approx(0, abs=1e-6)


def test_mixed_precision_ends_in_a_float32_model(raw_mnist: Raw, tmp_path: Path) -> None:
    weights, _ = fit(raw_mnist, tmp_path, chosen(precision="mixed_bfloat16", epochs=1))
    assert weights.dtype == np.float32


def test_a_wrong_optimizer_is_answered_in_one_sentence(raw_mnist: Raw, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train.optimizer is 'Adamm'"):
        fit(raw_mnist, tmp_path, chosen(optimizer=params.KerasObject(class_name="Adamm")))
    with pytest.raises(UserError, match=r"train.optimizer: Adam rejects its config"):
        fit(
            raw_mnist,
            tmp_path,
            chosen(optimizer=params.KerasObject(class_name="Adam", config={"beta_9": 1})),
        )


def test_the_same_file_trains_on_jax(tmp_path: Path, raw_mnist: Raw) -> None:
    """In a process of its own: a Keras backend is chosen once."""
    np.savez(
        tmp_path / "data.npz", x=raw_mnist.train_images[:2000], y=raw_mnist.train_labels[:2000]
    )
    code = f"""
import sys

class NoTensorFlow:  # as on a machine that has JAX alone
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "tensorflow":
            raise ImportError(name)

sys.meta_path.insert(0, NoTensorFlow())
import numpy as np, keras
from pathlib import Path
from pipeline import train
from pipeline.config import params
from pipeline.training import fit
from pipeline.training.batches import Data
data = np.load({str(tmp_path / "data.npz")!r})
x, y = data["x"], data["y"]
chosen = params.load().train.model_copy(update=dict(epochs=3, architecture="mlp"))
data = Data((x[:1800], y[:1800]), (x[1800:], y[1800:]), 10)
done = fit.fit(chosen, data, Path({str(tmp_path / "state")!r}), lambda row: train.print_row(row, 3))
assert keras.backend.backend() == "jax"
assert done.rows[-1]["train_accuracy"] > 0.5, done.rows
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(
        r"(epoch   [12]: .*; about \d+ s left\n){2}epoch   3: .* images/s\n", done.stdout
    )


AVERAGES = params.KerasObject(
    class_name="AdamW", config={"weight_decay": 0.05, "use_ema": True, "ema_momentum": 0.9}
)


def test_an_interrupted_run_with_averages_of_the_weights_ends_in_the_same_weights(
    raw_mnist: Raw, tmp_path: Path
) -> None:
    from pipeline.training import fit as fitting
    from pipeline.training.batches import Data

    train = chosen(optimizer=AVERAGES, schedule="constant", epochs=4, learning_rate=0.003)
    whole, rows = fit(raw_mnist, tmp_path / "whole", train)
    data = Data(
        (raw_mnist.train_images[:500], raw_mnist.train_labels[:500]),
        (raw_mnist.train_images[500:600], raw_mnist.train_labels[500:600]),
        10,
    )
    for last in (1, 2, 3):

        def kill(row: dict[str, float], last: int = last) -> None:
            if row["epoch"] == last:
                raise KilledError

        with pytest.raises(KilledError):
            fitting.fit(train, data, tmp_path / str(last), kill)
        resumed, resumed_rows = fit(raw_mnist, tmp_path / str(last), train)
        np.testing.assert_array_equal(resumed, whole)
        assert [row["validation_loss"] for row in resumed_rows] == [
            row["validation_loss"] for row in rows
        ]


def test_averages_are_what_is_validated_and_kept_and_the_training_goes_on_without_them(
    raw_mnist: Raw, tmp_path: Path
) -> None:
    """The training loss is that of a training without averages; the kept model has the validation loss of the curves."""
    plain = chosen(
        schedule="constant", epochs=3, learning_rate=0.003, keep="last", optimizer="Adam"
    )
    averages = params.KerasObject(class_name="Adam", config={"use_ema": True, "ema_momentum": 0.9})
    weights, rows = fit(raw_mnist, tmp_path / "plain", plain)
    averaged, averaged_rows = fit(
        raw_mnist, tmp_path / "averaged", plain.model_copy(update={"optimizer": averages})
    )
    assert [row["train_loss"] for row in averaged_rows] == [row["train_loss"] for row in rows]
    assert not np.array_equal(averaged, weights)
    assert averaged_rows[-1]["validation_loss"] != rows[-1]["validation_loss"]


def test_a_thawed_training_with_averages_that_is_killed_between_its_phases_ends_in_the_same_weights(
    raw_mnist: Raw, tmp_path: Path
) -> None:
    from pipeline.training import fit as fitting
    from pipeline.training import keras_files
    from pipeline.training.batches import Data

    data = Data(
        (raw_mnist.train_images[:500], raw_mnist.train_labels[:500]),
        (raw_mnist.train_images[500:600], raw_mnist.train_labels[500:600]),
        10,
    )
    start = fitting.fit(chosen(epochs=1), data, tmp_path / "start", lambda row: None)
    keras_files.save(tmp_path / "start.keras", start.model)
    train = chosen(
        optimizer=AVERAGES,
        schedule="constant",
        epochs=4,
        start_from=str(tmp_path / "start.keras"),
        freeze="all",
        thaw=[params.Thaw(after=2, freeze=0, learning_rate=0.001)],
    )
    whole, _ = fit(raw_mnist, tmp_path / "whole", train)

    def kill(row: dict[str, float]) -> None:
        if row["epoch"] == 2:
            raise KilledError

    with pytest.raises(KilledError):
        fitting.fit(train, data, tmp_path / "killed", kill)
    resumed, _ = fit(raw_mnist, tmp_path / "killed", train)
    np.testing.assert_array_equal(resumed, whole)


def test_batch_normalization_in_one_operation_is_that_of_keras(raw_mnist: Raw) -> None:
    """Outputs, gradients and moving averages, on feature maps of real digits; and the trained model holds Keras's own layer."""
    import keras
    import tensorflow as tf

    from pipeline.training.batch_normalization import FusedBatchNormalization

    images = tf.constant(raw_mnist.train_images[:64].astype("float32") / 255)
    maps = tf.nn.relu(
        keras.layers.Conv2D(8, 3, kernel_initializer=keras.initializers.GlorotUniform(seed=1))(
            images
        )
    )
    weights = tf.random.stateless_normal(maps.shape, seed=(1, 2))
    found = []
    for kind in (keras.layers.BatchNormalization, FusedBatchNormalization):
        layer = kind(momentum=0.9)
        layer.build(maps.shape)
        layer.gamma.assign(tf.linspace(0.5, 2.0, 8))
        layer.beta.assign(tf.linspace(-1.0, 1.0, 8))
        with tf.GradientTape() as tape:
            tape.watch(maps)
            outputs = layer(maps, training=True)
            total = tf.reduce_sum(outputs * weights)
        gradients = tape.gradient(total, [maps, layer.gamma.value, layer.beta.value])
        found.append(
            [
                outputs,
                *gradients,
                layer.moving_mean.value,
                layer.moving_variance.value,
                layer(maps, training=False),
            ]
        )
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-4)


def test_layers_that_batch_normalization_is_not_are_trained_as_they_are(
    raw_mnist: Raw, tmp_path: Path
) -> None:
    """Dropped connections beside batch normalization; and what is kept has Keras's own layers and nothing of ours."""
    from pipeline.training import fit as fitting
    from pipeline.training.batches import Data

    network = params.Network(hidden=[8, 8], normalization="before", drop_connect=0.3)
    data = Data(
        (raw_mnist.train_images[:500], raw_mnist.train_labels[:500]),
        (raw_mnist.train_images[:100], raw_mnist.train_labels[:100]),
        10,
    )
    trained = fitting.fit(chosen(network=network, epochs=1), data, tmp_path, lambda row: None)
    assert {type(layer).__module__.split(".")[0] for layer in trained.model.layers} == {"keras"}
