"""Pairs on a processor that QEMU plays: do they answer there as they do here?

So few images as an emulator can take prove little by themselves. But a file that is proven here, and answers the
golden vectors there as it does here, is proven there: these are chosen to show where kernels differ.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.bundle.golden import Golden
from pipeline.config.params import Params
from pipeline.reporting import statistics
from pipeline.runtimes import emulation
from pipeline.runtimes.process import Interpreter, RuntimeProcess, Task
from pipeline.verification.material import Material
from pipeline.verification.pair import Pair
from serving import gate
from serving.gate import PROVEN

# Of the images there, files that compute in float32 see one in so many: their kernels differ by the
# order of additions, some 1e-6, and QEMU takes up to thirty times as long for a fused multiply-add.
FLOAT_SHARE = 10


class EmulatedRuntime:
    """The files of one runtime on one processor. They share a process, since to start one takes seconds there.

    `environment` is the runtime's Python here, or why there is none.
    """

    def __init__(self, pairs: list[Pair], environment: Path | str) -> None:
        self.pairs, self.environment = pairs, environment
        self.runtime, self.processor = pairs[0].runtime, pairs[0].processor

    def run(self, material: Material, chosen: Params, folder: Path) -> None:
        """Fills the probabilities of the pairs: of the telling golden vectors, in `folder`, then of the sample."""
        if isinstance(self.environment, str):
            for pair in self.pairs:
                pair.not_here(self.environment)
            return
        waiting = [pair for pair in self.pairs if not pair.refused()]
        try:
            interpreter = emulation.interpreter(self.processor, self.runtime)
        except OSError as error:
            for pair in waiting:
                pair.not_here(str(error))
            return
        output = folder / f"{self.processor}-{self.runtime}"
        output.mkdir()
        images = [folder / "telling.npy", material.sampled]
        telling = len(np.load(images[0], mmap_mode="r"))
        while waiting:  # a runtime that dies of one file is started again for the others
            counts = [telling + sampled(pair, chosen) for pair in waiting]
            task = Task([pair.file for pair in waiting], images, output, counts)
            waiting = self._answered(interpreter, task, waiting)

    def _answered(self, interpreter: Interpreter, task: Task, pairs: list[Pair]) -> list[Pair]:
        """Fills what one process answers; the pairs that are left, if it has died before."""
        process = RuntimeProcess(interpreter, self.runtime, task)
        try:
            for index, pair in enumerate(pairs):
                answer = process.answer()
                if isinstance(answer, str):
                    pair.could_not_run(answer)
                    return pairs[index + 1 :]
                if "reason" in answer:
                    pair.could_not_run(answer["reason"])
                else:
                    pair.probabilities = np.load(task.output / f"{pair.file.stem}.npy")
        finally:
            process.close()
        return []


def sampled(pair: Pair, chosen: Params) -> int:
    """How many test images the file sees there."""
    count = chosen.verify.processor_images
    return count if pair.computes_in_integers else max(1, count // FLOAT_SHARE)


def judge(
    pair: Pair, material: Material, chosen: Params, vectors: Golden, here: Pair | None
) -> None:
    """Fills the facts of a pair that has answered; `here` is its file on this processor."""
    assert pair.probabilities is not None
    telling = len(vectors.telling)
    rows = material.sample[: len(pair.probabilities) - telling]
    told, reference, labels = (
        pair.probabilities[telling:],
        material.reference[rows],
        material.labels[rows],
    )
    pair.facts |= gate.compare(told, reference, labels, chosen.export.max_accuracy_drop)
    if here is None:
        return
    expected = vectors.probabilities[pair.format][-telling:]
    difference = float(np.abs(pair.probabilities[:telling] - expected).max())
    tolerance = (
        statistics.QUANTIZED_TOLERANCE if pair.computes_in_integers else statistics.FLOAT_TOLERANCE
    )
    pair.facts["golden_difference"] = difference
    pair.facts["state"] = gate.elsewhere(pair.facts, difference, tolerance, here.facts["state"])
    for name in ("reason", "images_needed"):  # of the sample alone
        pair.facts.pop(name, None)
    if pair.facts["state"] != PROVEN:
        pair.facts["reason"] = reason(pair.facts, difference, tolerance, here)


def reason(facts: dict[str, Any], difference: float, tolerance: float, here: Pair) -> str:
    """Why a pair is not proven, with the cure."""
    cure = "take this format out of export.formats"
    if not difference <= tolerance:
        return (
            f"it answers golden vectors otherwise than on this processor, by up to {difference:.2g} "
            f"where {tolerance:g} is tolerated; {cure}"
        )
    if not math.isfinite(facts["largest_difference"]):
        return f"some of its probabilities are not finite numbers; {cure}"
    if facts["state"] == here.facts["state"]:
        return f"as on this processor: {here.facts['reason']}"
    counted = f"{facts['lost']} of {facts['images']:,} images lost, {facts['gained']} gained"
    return f"{counted}: beyond chance more than the {100 * facts['max_accuracy_drop']:.2g} % allowed; {cure}"
