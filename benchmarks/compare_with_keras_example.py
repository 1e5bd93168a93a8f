"""`make compare`: times the pipeline and Keras's MNIST example (`mnist_convnet`) on this machine.

The example has 32 and 64 filters, Adam, batch 128, 15 epochs and a 10 % validation split. Only its
epochs are timed, without the evaluations of the test set between them. Our time is that of the
whole pipeline, except for verification on emulated processors, which has its own row because it
depends on the processors that params.yaml names. The example is timed twice: as it is, to which the
aims apply, and with our allocator settings, which help on processors without VNNI.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
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
from pipeline.files.reports.embed import EmbedReport
from pipeline.files.reports.evaluate import EvaluationReport
from pipeline.files.reports.train import TrainReport
from pipeline.files.reports.verify import VerificationReport
from pipeline.process import imports
from pipeline.process.words import percent

EXAMPLE_EPOCHS = 15
OUR_EPOCHS_TO_99 = 2
TARGET = 0.99
AIMS = {
    "to 99 %": 0.30,
    "whole pipeline": 0.90,
    "rest": 0.45,
    "emulated": 0.25,
    "nothing to do": 1.35,
}


@dataclass(frozen=True)
class Fit:
    """The seconds until the end of each epoch that was measured, and the test accuracy there.

    `faults` are the page faults of the whole process.
    """

    seconds: list[float]
    accuracies: list[float]
    faults: int = 0


@dataclass(frozen=True)
class Whole:
    """The seconds of a `dvc repro` of everything and of some of its parts, and its accuracy.

    `nothing` and `trivial` are those with nothing to do, here and in a project of one stage.
    """

    seconds: float
    fit: float
    latency: float
    emulated: float
    nothing: float
    trivial: float
    accuracy: float
    faults: int


def example(folder: Path) -> Fit:
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
    return Fit(times, accuracies)


def example_that_keeps_memory(folder: Path) -> Fit:
    """The example with our allocator settings."""
    imports.keep_freed_memory()
    return example(folder)


def ours_to_target(folder: Path) -> Fit:
    """Our first OUR_EPOCHS_TO_99 epochs, measured at the end of the last."""
    from pipeline.training import fit
    from pipeline.training.batches import Data

    raw = mnist.load(params.load().dataset)
    settings = params.load().train.model_copy(update={"epochs": OUR_EPOCHS_TO_99})
    rows = np.random.default_rng(42).permutation(60000)
    train, validation = (
        (raw.train_images[part], raw.train_labels[part]) for part in (rows[:54000], rows[54000:])
    )
    start = time.perf_counter()
    trained = fit.fit(settings, Data(train, validation, 10), folder / "state", lambda row: None)
    seconds = time.perf_counter() - start
    predictions = trained.model.predict(raw.test_images, batch_size=1000, verbose=0).argmax(1)
    return Fit([seconds], [float((predictions == raw.test_labels).mean())])


PARTS = {
    function.__name__: function for function in (example, example_that_keeps_memory, ours_to_target)
}


def in_process(name: str, folder: Path) -> Fit:
    """Runs one of PARTS in a process of its own, so that none warms up another."""
    output = folder / f"{name}.json"
    subprocess.run(
        [sys.executable, "-m", "benchmarks.compare_with_keras_example", name, str(output)],
        cwd=ROOT,
        check=True,
    )
    return Fit(**artifacts.load_json(output))


def whole_pipeline(folder: Path) -> Whole:
    """Runs everything in a fresh copy."""
    project.fresh(folder)
    environment = project.environment()
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt
    start = time.perf_counter()
    subprocess.run(["dvc", "repro"], cwd=folder, env=environment, check=True)
    seconds = time.perf_counter() - start
    faults = resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt - before
    verification = VerificationReport.load(folder / VerificationReport.PATH)
    embedding = EmbedReport.load(folder / EmbedReport.PATH)
    runs = params.load(folder / "params.yaml").verify.latency_runs
    # As pipeline.verify caches it.
    emulated = sorted((folder / ".state/measurements").glob("emulated-processors-*.json"))
    nothing, trivial = nothing_to_do(folder, folder.parent / "trivial")
    return Whole(
        seconds=seconds,
        fit=TrainReport.load(folder / TrainReport.PATH).training_seconds,
        latency=latency_seconds(verification, embedding, runs),
        emulated=sum(artifacts.load_json(path)["seconds"] for path in emulated),
        nothing=nothing,
        trivial=trivial,
        accuracy=EvaluationReport.load(folder / EvaluationReport.PATH).test_accuracy,
        faults=faults,
    )


def latency_seconds(verification: VerificationReport, embedding: EmbedReport, runs: int) -> float:
    """The seconds spent on measuring latencies: `runs` of each pair, and those of each target."""
    milliseconds = sum((pair.median_milliseconds or 0) * runs for pair in verification.ran)
    embedded_runs = {"c": c.TIMED_RUNS * c.TIMED_IMAGES, "browser": browser.TIMED_RUNS}
    for row in embedding.targets:
        median = row.figures.get("median_milliseconds")
        if isinstance(median, float):
            milliseconds += median * embedded_runs.get(row.target, 0)
    return milliseconds / 1000


def nothing_to_do(folder: Path, trivial: Path) -> tuple[float, float]:
    """The seconds of a `dvc repro` with nothing to do, here and in a project of one trivial stage.

    Both are medians of five, measured in turn.
    """
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
        for project_folder, seconds in times.items():
            start = time.perf_counter()
            subprocess.run(["dvc", "repro", "--quiet"], cwd=project_folder, check=True)
            seconds.append(time.perf_counter() - start)
    return statistics.median(times[folder]), statistics.median(times[trivial])


def table(first: Fit, peer: Fit, fair: Fit, whole: Whole) -> str:
    """Our times against theirs, beside the aims.

    `first` is ours_to_target, `peer` the example, `fair` the example with our allocator settings,
    `whole` the whole pipeline.
    """
    fit, emulated = whole.fit, whole.emulated
    native = whole.seconds - emulated
    rest = native - fit - whole.latency
    peer_seconds, fair_seconds = peer.seconds[-1], fair.seconds[-1]
    epochs = f"{EXAMPLE_EPOCHS} epochs ({percent(peer.accuracies[-1])})"
    same = "  the same, the example with our allocator"
    lines = [
        f"{'':70}{'ours, s':>9}{'peer, s':>9}{'ratio':>7}{'aim':>6}",
        line(
            f"to 99.0 % on the test set (ours: {percent(first.accuracies[-1])})",
            first.seconds[-1],
            seconds_to_target(peer),
            AIMS["to 99 %"],
        ),
        line(same, first.seconds[-1], seconds_to_target(fair)),
        line(
            f"pipeline without emulated processors ({percent(whole.accuracy)}), {epochs}",
            native,
            peer_seconds,
            AIMS["whole pipeline"],
        ),
        line(same, native, fair_seconds),
        line("  without fit and latency runs, against the fit", rest, fit, AIMS["rest"]),
        line(
            "verification on emulated processors, against the fit", emulated, fit, AIMS["emulated"]
        ),
        line(
            "dvc repro with nothing to do, against a trivial project",
            whole.nothing,
            whole.trivial,
            AIMS["nothing to do"],
        ),
    ]
    faults = {
        "ours in 2 epochs": first.faults,
        "the pipeline's stages": whole.faults,
        "the example": peer.faults,
        "the example with our allocator": fair.faults,
    }
    counts = "; ".join(f"{name} {count:,}" for name, count in faults.items())
    return "\n".join([*lines, f"page faults: {counts}", machine.sentence()])


def line(name: str, ours: float, theirs: float, aim: float | str = "") -> str:
    return f"{name:70}{ours:9.1f}{theirs:9.1f}{ours / theirs:7.2f}{aim:>6}"


def seconds_to_target(peer: Fit) -> float:
    """The seconds until the example reaches TARGET."""
    pairs = zip(peer.seconds, peer.accuracies, strict=True)
    return next((seconds for seconds, accuracy in pairs if accuracy >= TARGET), float("inf"))


def main() -> None:
    if len(sys.argv) == 3:
        output = Path(sys.argv[2])
        with imports.quiet():
            result = PARTS[sys.argv[1]](output.parent)
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        artifacts.save_json(output, asdict(replace(result, faults=faults)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = in_process("ours_to_target", folder)
        peer = in_process("example", folder)
        fair = in_process("example_that_keeps_memory", folder)
        whole = whole_pipeline(folder / "pipeline")
    print(f"\n{table(first, peer, fair, whole)}")


if __name__ == "__main__":
    main()
