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
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from pipeline.bundle import golden
from pipeline.bundle.golden import Golden
from pipeline.config import params
from pipeline.config.params import Params
from pipeline.files import artifacts, atomic, digests, split_files, timing_cache
from pipeline.files.reports.export import ExportReport
from pipeline.files.reports.verify import RanPair, VerificationReport
from pipeline.process import stage
from pipeline.process.words import counted
from pipeline.reporting import calibration, numbers, pictures
from pipeline.runtimes import environments
from pipeline.verification import emulated, intervals, rejection
from pipeline.verification.device_metrics import device_metrics
from pipeline.verification.emulated import EmulatedRuntime
from pipeline.verification.material import Material, gather
from pipeline.verification.native import NativePair
from pipeline.verification.pair import Pair, emulated_pairs, native_pairs
from pipeline.verification.verdicts import Countdown, summary
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


def environments_of(pairs: Sequence[Pair]) -> dict[str, Path | str]:
    """The environment of each runtime of the pairs, all brought up to date at a time."""
    names = list(dict.fromkeys(pair.runtime for pair in pairs))
    with ThreadPoolExecutor() as pool:
        return dict(zip(names, pool.map(environment, names), strict=True))


def run_native(
    natives: Sequence[NativePair],
    material: Material,
    settings: Params,
    folder: Path,
    countdown: Countdown,
) -> None:
    """Runs the pairs of this processor, as many at a time as there are cores.

    Latencies are measured afterwards, one pair at a time on an otherwise idle machine.
    """

    def run(native: NativePair) -> None:
        native.run(material, settings, folder)
        countdown.done(native.pair)

    with ExitStack() as stack, ThreadPoolExecutor(os.cpu_count()) as pool:
        for native in natives:
            stack.callback(native.close)
        list(pool.map(run, natives))
        print("latencies on this processor, one pair at a time", flush=True)
        for native in natives:
            native.time(settings.verify.latency_runs)


def run_emulated(
    runtimes: Sequence[EmulatedRuntime],
    judge: Callable[[Pair], None],
    material: Material,
    settings: Params,
    folder: Path,
) -> None:
    """Runs and judges the pairs of emulated processors, and records how long that took."""

    def run(runtime: EmulatedRuntime) -> None:
        for pair in runtime.run(material, settings, folder):
            judge(pair)

    started = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(run, runtimes))
    seconds = time.perf_counter() - started
    timing_cache.remember("emulated-processors", {"seconds": seconds})


def judging(
    natives: Sequence[Pair],
    vectors: Golden,
    material: Material,
    settings: Params,
    countdown: Countdown,
) -> Callable[[Pair], None]:
    """Judges a pair of an emulated processor by its golden vectors and its native counterpart."""

    def judge(pair: Pair) -> None:
        if pair.probabilities is not None:
            native = native_counterpart(pair, natives)
            emulated.judge(pair, material, settings, vectors, native)
        countdown.done(pair)

    return judge


def choose_golden(material: Material, natives: Sequence[Pair], there: Sequence[str]) -> Golden:
    """Golden vectors, by the probabilities of each format on the first runtime here that ran it.

    Runtimes that also run on emulated processors, `there`, come first: their outputs are those to
    reproduce.
    """
    count = material.golden_tests
    images, labels = split_files.load_split("test")
    probabilities: dict[str, artifacts.Array] = {}
    for pair in sorted(natives, key=lambda pair: pair.runtime not in there):
        if pair.probabilities is not None and not pair.micro:
            probabilities.setdefault(pair.format, pair.probabilities)
    return golden.choose(
        material.target,
        (images, labels[:count]),
        material.reference[:count],
        probabilities,
        material.synthetic,
        holds_from=material.holds_from,
    )


def native_counterpart(emulated_pair: Pair, natives: Sequence[Pair]) -> RanPair | None:
    """The report of the native pair that an emulated one is judged by.

    It has the same runtime, or else the worst verdict of those that saw all images.
    """
    candidates = [
        native.report
        for native in natives
        if native.format == emulated_pair.format
        and isinstance(native.report, RanPair)
        and not native.micro
    ]
    same_runtime = [native for native in candidates if native.runtime == emulated_pair.runtime]
    return max(
        same_runtime or candidates,
        key=lambda native: gate.VERDICTS.index(native.state),
        default=None,
    )


def draw_reliability(material: Material, pairs: Sequence[Pair], settings: Params) -> None:
    """A picture of the confidences of Keras and of each file, on the first runtime that ran it.

    For numbers, it shows the errors, and the share of them that intervals must hold.
    """
    tests, labels = material.tests, material.labels[: material.tests]
    outputs = {"Keras": material.reference[:tests]}
    for pair in pairs:
        if pair.probabilities is not None and not pair.micro:
            outputs.setdefault(pair.format, pair.probabilities[:tests])
    path = artifacts.REPORTS / "reliability.png"
    if material.unit is not None:
        errors = {name: np.abs(rows[:, 0] - labels) for name, rows in outputs.items()}
        numbers.errors(path, errors, material.unit, settings.problem.coverage)
        return
    pictures.reliability(
        path, {name: calibration.bins(rows, labels) for name, rows in outputs.items()}
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
        **({} if material.span is None else {"span": material.span}),
    )
    report.save()
    artifacts.save_json(artifacts.metrics("verify"), device_metrics(report.here))
    print("\n".join(summary(report)))


def workload(pairs: Sequence[Pair], material: Material, settings: Params) -> str:
    """The key of the time that these pairs take, which a new training hardly changes."""
    sizes = [f"{pair.known.name} {pair.known.bytes}" for pair in pairs]
    facts = [*sizes, str(len(material.labels)), settings.verify.model_dump_json()]
    return f"verification-{digests.of_facts(facts)}"


def announce(count: int, key: str) -> None:
    """Says how much there is to do, and how long it took the first time if that is known."""
    seconds = timing_cache.recall(key)
    took = "" if seconds is None else f", which took {stage.duration(seconds)} the first time"
    pairs = counted(count, "pair of a file and a runtime", "pairs of a file and a runtime")
    print(f"{pairs} to compare{took}", flush=True)


def main() -> None:
    settings = params.load()
    files = exported_files()
    natives, groups = native_pairs(files, settings), emulated_pairs(files, settings)
    pairs = [*natives, *(pair for group in groups for pair in group)]
    countdown, started = Countdown(len(pairs)), time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        material = gather(settings, folder)
        key = workload(pairs, material, settings)
        announce(len(pairs), key)
        pythons = environments_of(pairs)
        here = [NativePair(pair, pythons[pair.runtime]) for pair in natives]
        run_native(here, material, settings, folder, countdown)
        judge_answers = rejection.judge if material.unit is None else intervals.judge
        not_rejecting = judge_answers(natives, material, settings.problem)
        vectors = choose_golden(material, natives, settings.verify.emulated_runtimes)
        np.save(folder / "telling.npy", vectors.telling)
        if groups:
            emulators = [EmulatedRuntime(group, pythons[group[0].runtime]) for group in groups]
            judge = judging(natives, vectors, material, settings, countdown)
            run_emulated(emulators, judge, material, settings, folder)
    draw_reliability(material, natives, settings)
    save(vectors, material, pairs, not_rejecting)
    timing_cache.remember(key, round(time.perf_counter() - started, 1))


if __name__ == "__main__":
    stage.run(main)
