"""When each pair of a file and a runtime runs: as many at a time as there are cores."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

import numpy as np

from pipeline.bundle import golden
from pipeline.bundle.golden import Golden
from pipeline.config.params import Params
from pipeline.config.processors import HERE, has_wheel
from pipeline.files import split_files, timing_cache
from pipeline.files.reports.verify import RanPair
from pipeline.process import stage
from pipeline.process.words import counted
from pipeline.runtimes import environments
from pipeline.verification import emulated
from pipeline.verification.emulated import EmulatedRuntime
from pipeline.verification.material import Material
from pipeline.verification.native import NativePair
from pipeline.verification.pair import Pair, outputs_by_format
from pipeline.verification.verdicts import Countdown
from serving import gate


def announce(count: int, key: str) -> None:
    """Says how much there is to do, and how long it took the first time if that is known."""
    seconds = timing_cache.recall(key)
    took = "" if seconds is None else f", which took {stage.duration(seconds)} the first time"
    pairs = counted(count, "pair of a file and a runtime", "pairs of a file and a runtime")
    print(f"{pairs} to compare{took}", flush=True)


def environment(runtime: str) -> Path | str:
    """The Python of a runtime's environment, or the reason why there is none."""
    if not has_wheel(runtime):
        return f"{runtime} has no wheel for {HERE}"
    try:
        return environments.python(runtime)
    except OSError as error:
        return f"{error}; run `make env` where packages can be reached"


def environments_of(pairs: Sequence[Pair]) -> dict[str, Path | str]:
    """The environment of each runtime of the pairs, all brought up to date at a time."""
    names = list(dict.fromkeys(pair.runtime for pair in pairs))
    with ThreadPoolExecutor() as pool:
        return dict(zip(names, pool.map(environment, names), strict=True))


def run(
    natives: Sequence[Pair],
    groups: Sequence[list[Pair]],
    material: Material,
    settings: Params,
    folder: Path,
) -> Golden:
    """Runs and judges all pairs; returns the golden vectors. A group shares a runtime elsewhere."""
    pairs = [*natives, *chain.from_iterable(groups)]
    countdown, pythons = Countdown(len(pairs)), environments_of(pairs)
    here = [NativePair(pair, pythons[pair.runtime]) for pair in natives]
    run_native(here, material, settings, folder, countdown)
    vectors = choose_golden(material, natives, settings.verify.emulated_runtimes)
    np.save(folder / "telling.npy", vectors.telling)
    emulators = [EmulatedRuntime(group, pythons[group[0].runtime]) for group in groups]

    def judge(pair: Pair) -> None:
        if pair.probabilities is not None:
            native = native_counterpart(pair, natives)
            emulated.judge(pair, material, settings, vectors, native)
        countdown.done(pair)

    run_emulated(emulators, judge, material, settings, folder)
    return vectors


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
    if not runtimes:
        return

    def run(runtime: EmulatedRuntime) -> None:
        for pair in runtime.run(material, settings, folder):
            judge(pair)

    started = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(run, runtimes))
    seconds = time.perf_counter() - started
    timing_cache.remember("emulated-processors", {"seconds": seconds})


def choose_golden(material: Material, natives: Sequence[Pair], there: Sequence[str]) -> Golden:
    """Golden vectors, by the probabilities of each format on the first runtime here that ran it.

    Runtimes that also run on emulated processors, `there`, come first: their outputs are those to
    reproduce.
    """
    count = material.golden_tests
    images, labels = split_files.load_split("test")
    ordered = sorted(natives, key=lambda pair: pair.runtime not in there)
    return golden.choose(
        material.target,
        (images, labels[:count]),
        material.reference[:count],
        outputs_by_format(ordered),
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
