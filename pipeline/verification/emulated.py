"""Pairs on a processor that QEMU emulates: do they compute the same there as here?

An emulator is too slow for enough images to prove a file. But a file that is proven here, and
computes the same probabilities there for the golden vectors, is proven there too: the golden
vectors are chosen to show where kernels differ.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pipeline.bundle.golden import Golden
from pipeline.config.params import Params
from pipeline.files.reports.verify import ComparedPair, NumberPair, RanPair
from pipeline.reporting import statistics
from pipeline.reporting.tables import amount
from pipeline.runtimes import emulation
from pipeline.runtimes.process import Interpreter, RuntimeProcess, Task
from pipeline.verification.material import Material
from pipeline.verification.pair import Pair
from serving import gate
from serving.gate import PROVEN

# Files that compute in float32 see one in FLOAT_SHARE of the images there. Their kernels differ
# only in the order of additions, by about 1e-6, and QEMU is up to thirty times slower at a fused
# multiply-add.
FLOAT_SHARE = 10


class EmulatedRuntime:
    """The files of one runtime on one processor.

    They share a process, because starting one takes seconds under emulation. `environment` is the
    runtime's Python on this processor, or the reason why there is none.
    """

    def __init__(self, pairs: list[Pair], environment: Path | str) -> None:
        self.pairs, self.environment = pairs, environment
        self.runtime, self.processor = pairs[0].runtime, pairs[0].processor

    def run(self, material: Material, settings: Params, folder: Path) -> Iterator[Pair]:
        """Fills in the pairs' probabilities: the telling golden vectors first, then the sample.

        Gives each pair when it is done. `folder` holds the golden vectors as telling.npy.
        """
        if isinstance(self.environment, str):
            yield from _unavailable(self.pairs, self.environment)
            return
        yield from [pair for pair in self.pairs if pair.refused()]
        waiting = [pair for pair in self.pairs if pair.report is None]
        try:
            interpreter = emulation.interpreter(self.processor, self.runtime)
        except OSError as error:
            yield from _unavailable(waiting, str(error))
            return
        output = folder / f"{self.processor}-{self.runtime}"
        output.mkdir()
        images = [folder / "telling.npy", material.sampled]
        telling = len(np.load(images[0], mmap_mode="r"))
        while waiting:  # if a file kills the runtime, it is restarted for the other files
            counts = [telling + sample_size(pair, settings) for pair in waiting]
            files, program = [pair.file for pair in waiting], waiting[0].PROGRAM
            task = Task(files, images, output, counts, program)
            yield from self._predict(interpreter, task, waiting)

    def _predict(self, interpreter: Interpreter, task: Task, waiting: list[Pair]) -> Iterator[Pair]:
        """Runs the pairs in one process, and takes out of `waiting` those that it ran."""
        process = RuntimeProcess(interpreter, self.runtime, task)
        try:
            while waiting:
                pair = waiting.pop(0)
                answer = process.answer()
                if answer.reason is None:
                    pair.probabilities = np.load(task.output / f"{pair.file.stem}.npy")
                else:
                    pair.could_not_run(answer.reason)
                yield pair
                if answer.died:
                    return
        finally:
            process.close()


def _unavailable(pairs: Sequence[Pair], reason: str) -> Iterator[Pair]:
    for pair in pairs:
        pair.unavailable(reason)
        yield pair


def sample_size(pair: Pair, settings: Params) -> int:
    """How many test images the file sees there."""
    count = settings.verify.processor_images
    return count if pair.computes_in_integers else max(1, count // FLOAT_SHARE)


def judge(
    pair: Pair,
    material: Material,
    settings: Params,
    vectors: Golden,
    native: RanPair | None,
) -> None:
    """Fills in the report of a pair that has run; `native` is that of the same file here."""
    assert pair.probabilities is not None
    telling = len(vectors.telling)
    rows = material.sample[: len(pair.probabilities) - telling]
    comparison = material.compare(pair.probabilities[telling:], rows, settings.max_loss())
    figures = material.figures(comparison)
    if native is None:
        pair.compared(figures)
        return
    expected = vectors.probabilities[pair.format][-telling:]
    difference = float(np.abs(pair.probabilities[:telling] - expected).max())
    tolerance = statistics.tolerance(pair.computes_in_integers, material.span)
    figures["golden_difference"] = difference
    figures["state"] = gate.elsewhere(comparison, difference, tolerance, native.state)
    for name in ("reason", "images_needed"):  # they judge the sample alone
        figures.pop(name, None)
    report = pair.compared(figures)
    if report.state != PROVEN:
        pair.report = report.changed(
            reason=reason(report, difference, tolerance, native, material.noun)
        )


def reason(report: RanPair, difference: float, tolerance: float, native: RanPair, noun: str) -> str:
    """Why a pair is not proven, and the cure."""
    cure = "take this format out of export.formats"
    if not difference <= tolerance:
        return (
            f"its outputs for the golden vectors differ from those on this processor "
            f"by up to {difference:.2g}; expected at most {tolerance:g}; {cure}"
        )
    if not math.isfinite(report.largest_difference):
        return f"some of its outputs are not finite numbers; {cure}"
    if report.state == native.state:
        return f"as on this processor: {native.reason}"
    if isinstance(report, NumberPair):
        return (
            f"it adds {amount(report.error_added, report.unit)} to the mean absolute error on "
            f"{report.images:,} {noun}, significantly more than the "
            f"{amount(report.max_error_added, report.unit)} allowed; {cure}"
        )
    assert isinstance(report, ComparedPair)
    return (
        f"{report.lost} of {report.images:,} {noun} lost, {report.gained} gained: "
        f"significantly more than the {100 * report.max_accuracy_drop:.2g} % "
        f"{f'of {report.metric.words} ' if report.metric else ''}allowed; {cure}"
    )
