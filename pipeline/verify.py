"""Stage 8: compare every exported file with the Keras model, on every runtime and processor.

    python -m pipeline.verify

Reads: exported/, evaluation/{test_probabilities.npy,validation.npz},
data/prepared/{test,validation}. Writes: evaluation/golden.npz, reports/verify.json,
reports/reliability.png.
Every pair of file and runtime gets a verdict here; `package` decides which verdicts stop the
pipeline.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from rich.progress import Progress

from pipeline.bundle import golden
from pipeline.bundle.golden import Golden
from pipeline.config import params
from pipeline.config.params import Params
from pipeline.files import artifacts, atomic, timing_cache
from pipeline.files.reports.export import ExportReport
from pipeline.files.reports.verify import AnyPair, ComparedPair, FailedPair, VerificationReport
from pipeline.process import stage
from pipeline.reporting import calibration, pictures
from pipeline.reporting.tables import percent
from pipeline.runtimes import environments
from pipeline.verification import emulated, rejection
from pipeline.verification.device_metrics import device_metrics
from pipeline.verification.emulated import EmulatedRuntime
from pipeline.verification.material import Material, gather
from pipeline.verification.native import NativePair
from pipeline.verification.pair import Pair, emulated_pairs, native_pairs
from serving import gate


def exported_files() -> dict[str, Path]:
    """The files that export wrote, each verified by its checksum. Raises UserError."""
    return {name: entry.verified() for name, entry in ExportReport.load().files.items()}


def environment(runtime: str) -> Path | str:
    """The Python of a runtime's environment, or the reason why there is none."""
    try:
        return environments.python(runtime)
    except OSError as error:
        return f"{error}; run `make env` where packages can be reached"


def run_native(
    pairs: Sequence[Pair], material: Material, settings: Params, folder: Path, progress: Progress
) -> None:
    """Runs the pairs of this processor, as many at a time as there are cores.

    Latencies are measured afterwards, one pair at a time on an otherwise idle machine.
    """
    task = progress.add_task("on this processor", total=2 * len(pairs))
    pythons = {runtime: environment(runtime) for runtime in {pair.runtime for pair in pairs}}
    natives = [NativePair(pair, pythons[pair.runtime]) for pair in pairs]
    with ExitStack() as stack, ThreadPoolExecutor(os.cpu_count()) as pool:
        for native in natives:
            stack.callback(native.close)
        for _ in pool.map(lambda native: native.run(material, settings, folder), natives):
            progress.advance(task)
        for native in natives:
            native.time(settings.verify.latency_runs)
            progress.advance(task)


def run_emulated(
    groups: Sequence[list[Pair]],
    material: Material,
    settings: Params,
    folder: Path,
    progress: Progress,
) -> None:
    """Runs the pairs of emulated processors, and records how long that took."""
    task = progress.add_task("on emulated processors", total=len(groups))
    pythons = {runtime: environment(runtime) for runtime in {group[0].runtime for group in groups}}
    runtimes = [EmulatedRuntime(group, pythons[group[0].runtime]) for group in groups]
    started = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(lambda runtime: runtime.run(material, settings, folder), runtimes):
            progress.advance(task)
    seconds = time.perf_counter() - started
    timing_cache.remember("emulated-processors", {"seconds": seconds})


def choose_golden(material: Material, pairs: Sequence[Pair]) -> Golden:
    """Golden vectors, by the probabilities of each format on the first runtime here that ran it."""
    count = material.golden_tests
    images, labels = (part[:count] for part in artifacts.load_split("test"))
    probabilities: dict[str, artifacts.Array] = {}
    for pair in pairs:
        if pair.probabilities is not None and not pair.micro:
            probabilities.setdefault(pair.format, pair.probabilities)
    return golden.choose(
        material.target,
        (images, labels),
        material.reference[:count],
        probabilities,
        material.synthetic,
    )


def native_counterpart(emulated_pair: Pair, natives: Sequence[Pair]) -> ComparedPair | None:
    """The report of the native pair that an emulated one is judged by.

    It has the same runtime, or else the worst verdict of those that saw all images.
    """
    candidates = [
        native.report
        for native in natives
        if native.format == emulated_pair.format
        and isinstance(native.report, ComparedPair)
        and not native.micro
    ]
    same_runtime = [native for native in candidates if native.runtime == emulated_pair.runtime]
    return max(
        same_runtime or candidates,
        key=lambda native: gate.VERDICTS.index(native.state),
        default=None,
    )


def draw_reliability(material: Material, pairs: Sequence[Pair]) -> None:
    """A picture of the confidences of Keras and of each file, on the first runtime that ran it."""
    tests, labels = material.tests, material.labels[: material.tests]
    outputs = {"Keras": material.reference[:tests]}
    for pair in pairs:
        if pair.probabilities is not None and not pair.micro:
            outputs.setdefault(pair.format, pair.probabilities[:tests])
    pictures.reliability(
        artifacts.REPORTS / "reliability.png",
        {name: calibration.bins(rows, labels) for name, rows in outputs.items()},
    )


def save(
    vectors: Golden, material: Material, pairs: Sequence[Pair], not_rejecting: dict[str, str]
) -> None:
    """Writes the golden vectors and the report, and prints the verdicts."""
    arrays = {"images": vectors.images, "labels": vectors.labels, **vectors.probabilities}
    with atomic.replacing(artifacts.GOLDEN) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    report = VerificationReport(
        model_sha256=artifacts.sha256(artifacts.MODEL),
        judged_on=material.judged_on,
        pairs=[pair.verdict for pair in pairs],
        not_rejecting=not_rejecting,
    )
    report.save()
    artifacts.save_json(artifacts.metrics("verify"), device_metrics(report.native))
    for pair in report.pairs:
        print(f"{pair.name}: {pair.state}: {explanation(pair)}")
    for reason, formats in report.by_reason.items():
        print(f"{', '.join(formats)}: {reason}")


def explanation(pair: AnyPair) -> str:
    """The figure or reason behind a verdict, for the terminal."""
    if isinstance(pair, FailedPair):
        return pair.reason
    if pair.reason is not None:
        return pair.reason
    if pair.golden_difference is not None:
        return f"as here, within {pair.golden_difference:.1g}"
    lost = f"loses at most {100 * pair.accuracy_lost_bound:.2f} %"
    kept = pair.rejection
    if kept is None:
        return lost
    return (
        f"{lost}; accepts {percent(kept.coverage)}, of which {percent(kept.error)} are wrong: "
        f"{kept.state}"
    )


def main() -> None:
    settings = params.load()
    files = exported_files()
    natives, groups = native_pairs(files, settings), emulated_pairs(files, settings)
    with tempfile.TemporaryDirectory() as name, Progress(transient=True) as progress:
        folder = Path(name)
        material = gather(settings, folder)
        run_native(natives, material, settings, folder, progress)
        not_rejecting = rejection.judge(natives, material, settings.problem)
        vectors = choose_golden(material, natives)
        np.save(folder / "telling.npy", vectors.telling)
        if groups:
            run_emulated(groups, material, settings, folder, progress)
    emulated_ones = [pair for group in groups for pair in group]
    for pair in emulated_ones:
        if pair.probabilities is not None:
            native = native_counterpart(pair, natives)
            emulated.judge(pair, material, settings, vectors, native)
    draw_reliability(material, natives)
    save(vectors, material, [*natives, *emulated_ones], not_rejecting)


if __name__ == "__main__":
    stage.run(main)
