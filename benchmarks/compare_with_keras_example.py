"""`make compare`: the line and Keras's own MNIST example (`mnist_convnet`) in turn on this machine, and the ratios.

The example is Keras's: 32 and 64 filters, Adam, batch 128, 15 epochs, 10 % validation split. Its time is that of its
epochs alone; the looks at the test set between them are not counted. Ours is counted whole.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import params, stage
from pipeline.artifacts import Inputs
from pipeline.datasets import mnist
from pipeline.embedded import browser, c
from tests.conftest import ROOT

EXAMPLE_EPOCHS = 15
OUR_EPOCHS_TO_99 = 2
TARGET = 0.99


def example(folder: Path) -> dict[str, Any]:
    """Seconds until each epoch's end, and the test accuracy there."""
    import keras

    from pipeline.architectures import cnn

    raw = mnist.load(params.load().dataset)
    model = cnn.build(Inputs((28, 28, 1)), 10, params.Network())
    model.compile(loss="sparse_categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    seconds, accuracies = 0.0, []
    times = []
    images, labels = raw.train_images.astype("float32"), raw.train_labels.astype("int32")

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            nonlocal seconds
            seconds += time.perf_counter() - self.start
            times.append(seconds)
            predictions = model.predict(raw.test_images, batch_size=1000, verbose=0).argmax(1)
            accuracies.append(float((predictions == raw.test_labels).mean()))
            print(f"example, epoch {epoch + 1}: {seconds:.1f} s, test accuracy {accuracies[-1]:.4f}", flush=True)

    model.fit(images, labels, batch_size=128, epochs=EXAMPLE_EPOCHS, validation_split=0.1, verbose=0, callbacks=[Clock()])
    return {"seconds": times, "accuracies": accuracies}


def ours_to_target(folder: Path) -> dict[str, Any]:
    """Seconds from the call of fit to its end in OUR_EPOCHS_TO_99 epochs, and the test accuracy there."""
    from pipeline.training import fit
    from pipeline.training.batches import Data

    raw = mnist.load(params.load().dataset)
    chosen = params.load().train.model_copy(update={"epochs": OUR_EPOCHS_TO_99})
    rows = np.random.default_rng(42).permutation(60000)
    split = [(raw.train_images[part], raw.train_labels[part]) for part in (rows[:54000], rows[54000:])]
    start = time.perf_counter()
    trained = fit.fit(chosen, Data(split[0], split[1], 10), folder / "state", lambda row: None)
    seconds = time.perf_counter() - start
    predictions = trained.model.predict(raw.test_images, batch_size=1000, verbose=0).argmax(1)
    return {"seconds": seconds, "accuracy": float((predictions == raw.test_labels).mean())}


def in_process(name: str, folder: Path) -> dict[str, Any]:
    """One of the functions above in a process of its own, so that neither warms up the other."""
    output = folder / f"{name}.json"
    subprocess.run([sys.executable, "-m", "tests.compare_with_keras_example", name, str(output)], cwd=ROOT, check=True)
    result: dict[str, Any] = json.loads(output.read_text())
    return result


def whole_line(folder: Path) -> dict[str, float]:
    """Seconds of a `dvc repro` of everything in a fresh copy, and what the reports say of it."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    for name in tracked:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / "dvc.lock").unlink(missing_ok=True)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    mirror = environment.get("DATA_MIRROR", "")
    if mirror and not mirror.startswith("http"):
        environment["DATA_MIRROR"] = str((ROOT / mirror).resolve())
    start = time.perf_counter()
    subprocess.run(["dvc", "repro"], cwd=folder, env=environment, check=True)
    seconds = time.perf_counter() - start
    reports = {name: json.loads((folder / f"reports/{name}.json").read_text()) for name in ("train", "evaluate", "verify", "embed")}
    runs = params.load(folder / "params.yaml").verify.latency_runs
    latency = sum(pair["median_milliseconds"] * runs / 1000 for pair in reports["verify"]["pairs"])
    embedded_runs = {"c": c.TIMED_RUNS * c.TIMED_IMAGES, "browser": browser.TIMED_RUNS}
    measured = {row["target"]: row["measured"] for row in reports["embed"]["targets"]}
    latency += sum(measured[target]["median_milliseconds"] * count / 1000 for target, count in embedded_runs.items())
    return {
        "seconds": seconds,
        "fit": reports["train"]["training_seconds"],
        "latency": latency,
        "accuracy": reports["evaluate"]["test_accuracy"],
        **nothing_to_do(folder, folder.parent / "trivial"),
    }


def nothing_to_do(folder: Path, trivial: Path) -> dict[str, float]:
    """Seconds of a `dvc repro` with nothing to do, here and in a project of one trivial stage; medians of five in turn."""
    trivial.mkdir()
    (trivial / "dvc.yaml").write_text("stages:\n  one:\n    cmd: echo done > out\n    outs: [out]\n")
    for command in (["git", "init", "--quiet"], ["dvc", "init", "--quiet"], ["dvc", "repro", "--quiet"]):
        subprocess.run(command, cwd=trivial, check=True)
    times: dict[Path, list[float]] = {folder: [], trivial: []}
    for _ in range(5):
        for place, measured in times.items():
            start = time.perf_counter()
            subprocess.run(["dvc", "repro", "--quiet"], cwd=place, check=True)
            measured.append(time.perf_counter() - start)
    return {"nothing": statistics.median(times[folder]), "trivial": statistics.median(times[trivial])}


def main() -> None:
    if len(sys.argv) == 3:
        output = Path(sys.argv[2])
        with stage.quiet():
            result = {"example": example, "ours_to_target": ours_to_target}[sys.argv[1]](output.parent)
        output.write_text(json.dumps(result))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = in_process("ours_to_target", folder)
        peer = in_process("example", folder)
        line = whole_line(folder / "line")
    reached = [seconds for seconds, accuracy in zip(peer["seconds"], peer["accuracies"], strict=True) if accuracy >= TARGET]
    rest = line["seconds"] - line["fit"] - line["latency"]
    table = [
        (f"to 99.0 % on the test set (ours: {first['accuracy']:.2%})", first["seconds"], reached[0] if reached else float("inf"), 0.33),
        (f"whole line ({line['accuracy']:.2%}), 15 epochs ({peer['accuracies'][-1]:.2%})", line["seconds"], peer["seconds"][-1], 1),
        ("line without fit and latency runs, against its fit", rest, line["fit"], 0.5),
        ("dvc repro with nothing to do, against a trivial project", line["nothing"], line["trivial"], 1.5),
    ]
    print(f"\n{'what':60}{'ours, s':>9}{'peer, s':>9}{'ratio':>7}{'aim':>6}")
    for what, ours, theirs, aim in table:
        print(f"{what:60}{ours:9.1f}{theirs:9.1f}{ours / theirs:7.2f}{aim:6}")


if __name__ == "__main__":
    main()
