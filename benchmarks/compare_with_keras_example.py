"""`make compare`: the line and Keras's own MNIST example (`mnist_convnet`) in turn on this machine, and the ratios.

The example is Keras's: 32 and 64 filters, Adam, batch 128, 15 epochs, 10 % validation split. Its time is that of its
epochs alone; the looks at the test set between them are not counted. Ours is counted whole, but for verification on
emulated processors: it has a row of its own, as its time follows from the processors that params.yaml names. The example
is timed twice: as it is, against which the aims are, and with freed memory kept as our processes keep it, which helps on
processors without VNNI.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine, project
from benchmarks.project import ROOT
from pipeline.config import params
from pipeline.datasets import mnist
from pipeline.embedded import browser, c
from pipeline.files import artifacts
from pipeline.files.artifacts import Inputs
from pipeline.process import imports

EXAMPLE_EPOCHS = 15
OUR_EPOCHS_TO_99 = 2
TARGET = 0.99
AIMS = {"to 99 %": 0.30, "whole line": 0.90, "rest": 0.45, "emulated": 0.25, "nothing to do": 1.35}


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
            print(
                f"example, epoch {epoch + 1}: {seconds:.1f} s, test accuracy {accuracies[-1]:.4f}",
                flush=True,
            )

    model.fit(
        images,
        labels,
        batch_size=128,
        epochs=EXAMPLE_EPOCHS,
        validation_split=0.1,
        verbose=0,
        callbacks=[Clock()],
    )
    return {"seconds": times, "accuracies": accuracies}


def example_that_keeps_memory(folder: Path) -> dict[str, Any]:
    """The same with our allocator's settings."""
    imports.keep_freed_memory()
    return example(folder)


def ours_to_target(folder: Path) -> dict[str, Any]:
    """Seconds from the call of fit to its end in OUR_EPOCHS_TO_99 epochs, and the test accuracy there."""
    from pipeline.training import fit
    from pipeline.training.batches import Data

    raw = mnist.load(params.load().dataset)
    chosen = params.load().train.model_copy(update={"epochs": OUR_EPOCHS_TO_99})
    rows = np.random.default_rng(42).permutation(60000)
    split = [
        (raw.train_images[part], raw.train_labels[part]) for part in (rows[:54000], rows[54000:])
    ]
    start = time.perf_counter()
    trained = fit.fit(chosen, Data(split[0], split[1], 10), folder / "state", lambda row: None)
    seconds = time.perf_counter() - start
    predictions = trained.model.predict(raw.test_images, batch_size=1000, verbose=0).argmax(1)
    return {"seconds": seconds, "accuracy": float((predictions == raw.test_labels).mean())}


PARTS = {
    function.__name__: function for function in (example, example_that_keeps_memory, ours_to_target)
}


def in_process(name: str, folder: Path) -> dict[str, Any]:
    """One of PARTS in a process of its own, so that none warms up another."""
    output = folder / f"{name}.json"
    subprocess.run(
        [sys.executable, "-m", "benchmarks.compare_with_keras_example", name, str(output)],
        cwd=ROOT,
        check=True,
    )
    result: dict[str, Any] = artifacts.load_json(output)
    return result


def whole_line(folder: Path) -> dict[str, float]:
    """Seconds of a `dvc repro` of everything in a fresh copy, and what the reports say of it."""
    project.fresh(folder)
    environment = project.environment()
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt
    start = time.perf_counter()
    subprocess.run(["dvc", "repro"], cwd=folder, env=environment, check=True)
    seconds = time.perf_counter() - start
    faults = resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt - before
    reports = {
        name: artifacts.load_json(folder / artifacts.report(name))
        for name in ("train", "evaluate", "verify", "embed")
    }
    runs = params.load(folder / "params.yaml").verify.latency_runs
    latency = sum(
        pair.get("median_milliseconds", 0) * runs / 1000 for pair in reports["verify"]["pairs"]
    )
    emulated = sorted(
        (folder / ".state/measurements").glob("emulated-processors-*.json")
    )  # as pipeline.verify remembers it
    embedded_runs = {"c": c.TIMED_RUNS * c.TIMED_IMAGES, "browser": browser.TIMED_RUNS}
    measured = {row["target"]: row["measured"] for row in reports["embed"]["targets"]}
    latency += sum(
        measured[target]["median_milliseconds"] * count / 1000
        for target, count in embedded_runs.items()
    )
    return {
        "seconds": seconds,
        "fit": reports["train"]["training_seconds"],
        "latency": latency,
        "emulated": sum(artifacts.load_json(path)["seconds"] for path in emulated),
        "faults": faults,
        "accuracy": reports["evaluate"]["test_accuracy"],
        **nothing_to_do(folder, folder.parent / "trivial"),
    }


def nothing_to_do(folder: Path, trivial: Path) -> dict[str, float]:
    """Seconds of a `dvc repro` with nothing to do, here and in a project of one trivial stage; medians of five in turn."""
    trivial.mkdir()
    (trivial / "dvc.yaml").write_text(
        "stages:\n  one:\n    cmd: echo done > out\n    outs: [out]\n"
    )
    for command in (
        ["git", "init", "--quiet"],
        ["dvc", "init", "--quiet"],
        ["dvc", "repro", "--quiet"],
    ):
        subprocess.run(command, cwd=trivial, check=True)
    times: dict[Path, list[float]] = {folder: [], trivial: []}
    for _ in range(5):
        for place, measured in times.items():
            start = time.perf_counter()
            subprocess.run(["dvc", "repro", "--quiet"], cwd=place, check=True)
            measured.append(time.perf_counter() - start)
    return {
        "nothing": statistics.median(times[folder]),
        "trivial": statistics.median(times[trivial]),
    }


def table(
    first: dict[str, Any], peer: dict[str, Any], fair: dict[str, Any], line: dict[str, float]
) -> str:
    """What was measured, ours against theirs, beside the aims."""
    rest = line["seconds"] - line["fit"] - line["latency"] - line["emulated"]
    epochs = f"{EXAMPLE_EPOCHS} epochs ({peer['accuracies'][-1]:.2%})"
    without = line["seconds"] - line["emulated"]
    rows: list[tuple[str, float, float, float | str]] = [
        (
            f"to 99.0 % on the test set (ours: {first['accuracy']:.2%})",
            first["seconds"],
            reached(peer),
            AIMS["to 99 %"],
        ),
        ("  the same, the example with our allocator", first["seconds"], reached(fair), ""),
        (
            f"whole line without emulated processors ({line['accuracy']:.2%}), {epochs}",
            without,
            peer["seconds"][-1],
            AIMS["whole line"],
        ),
        ("  the same, the example with our allocator", without, fair["seconds"][-1], ""),
        (
            "  of that, without fit and latency runs, against the fit",
            rest,
            line["fit"],
            AIMS["rest"],
        ),
        (
            "verification on emulated processors, against the fit",
            line["emulated"],
            line["fit"],
            AIMS["emulated"],
        ),
        (
            "dvc repro with nothing to do, against a trivial project",
            line["nothing"],
            line["trivial"],
            AIMS["nothing to do"],
        ),
    ]
    lines = [f"{'what':70}{'ours, s':>9}{'peer, s':>9}{'ratio':>7}{'aim':>6}"]
    lines += [
        f"{what:70}{ours:9.1f}{theirs:9.1f}{ours / theirs:7.2f}{aim:>6}"
        for what, ours, theirs, aim in rows
    ]
    faults = {
        "ours in 2 epochs": first,
        "the line's stages": line,
        "the example": peer,
        "the example with our allocator": fair,
    }
    lines.append(
        "page faults: " + "; ".join(f"{name} {one['faults']:,}" for name, one in faults.items())
    )
    return "\n".join([*lines, machine.sentence()])


def reached(peer: dict[str, Any]) -> float:
    """Seconds until the example is at TARGET."""
    pairs = zip(peer["seconds"], peer["accuracies"], strict=True)
    return next((seconds for seconds, accuracy in pairs if accuracy >= TARGET), float("inf"))


def main() -> None:
    if len(sys.argv) == 3:
        output = Path(sys.argv[2])
        with imports.quiet():
            result = PARTS[sys.argv[1]](output.parent)
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        output.write_text(json.dumps({**result, "faults": faults}))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = in_process("ours_to_target", folder)
        peer = in_process("example", folder)
        fair = in_process("example_that_keeps_memory", folder)
        line = whole_line(folder / "line")
    print(f"\n{table(first, peer, fair, line)}")


if __name__ == "__main__":
    main()
