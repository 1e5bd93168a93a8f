"""Which batch size? The same recipe with several sizes and seeds: the score, and time per epoch.

    edgeproof batch-size --sizes 32,128,512
    edgeproof batch-size --scale linear      the learning rate grows with the batch size

Larger batches take fewer steps per epoch. The learning rate may grow with them: in proportion
(Goyal et al., 2017, Accurate, Large Minibatch SGD), or with the square root, which suits Adam
(Krizhevsky, 2014).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from pipeline.process.errors import UserError
from pipeline.reporting import drawing, errors
from pipeline.reporting.measure import Measure
from pipeline.search import cached_training
from pipeline.search.analysis import Analysis, AnalysisOptions, AnalysisReport
from pipeline.search.cached_training import CachedTraining, TrainingResult
from pipeline.search.change import rounded
from pipeline.training.learning_curves import SECONDS

# The learning rate grows with the batch size to this power.
SCALES = {"none": 0.0, "linear": 1.0, "root": 0.5}
SIGNIFICANT = 0.05  # p-value, one-sided


def compare(sizes: Sequence[int], seeds: int, scale: str, options: AnalysisOptions) -> None:
    """Raises UserError."""
    analysis = Analysis("batch_size", options, sizes=sizes, seeds=seeds, scale=scale)
    tasks = trainings(analysis, sizes, seeds, scale)
    results = by_size(tasks, analysis.results(tasks))
    analysis.publish(
        report(analysis, results, scale),
        lambda figure: draw(figure, results, analysis.measure),
        size=(10, 4.5),
    )


def trainings(
    analysis: Analysis, sizes: Sequence[int], seeds: int, scale: str
) -> list[CachedTraining]:
    """One training per size and seed. Raises UserError."""
    rows, validation = cached_training.split_rows(analysis.params)
    check(sizes, seeds, len(rows))
    start = analysis.params.train
    usual = len(rows) if start.batch_size == "full" else start.batch_size
    tasks = []
    for size in sizes:
        rate = start.learning_rate * (size / usual) ** SCALES[scale]
        for seed in range(start.seed, start.seed + seeds):
            update = {"batch_size": size, "learning_rate": rate, "seed": seed}
            tasks.append(
                CachedTraining(
                    f"batches of {size}, seed {seed}",
                    {f"train.{key}": value for key, value in update.items()},
                    start.model_copy(update=update),
                    rows,
                    validation,
                )
            )
    return tasks


def check(sizes: Sequence[int], seeds: int, examples: int) -> None:
    """Raises UserError."""
    if len(set(sizes)) < max(len(sizes), 2):
        raise UserError(
            f"--sizes is {','.join(map(str, sizes))}; expected at least two different sizes"
        )
    if min(sizes) < 1 or max(sizes) > examples:
        raise UserError(
            f"--sizes is {','.join(map(str, sizes))}; expected sizes from 1 to {examples},"
            " the whole training set"
        )
    if seeds < 2:
        raise UserError(
            f"--seeds is {seeds}; expected at least 2, to compare sizes with the spread of seeds"
        )


@dataclass(frozen=True)
class SizeResult:
    """One batch size. `scores` and `losses` hold one value per seed.

    `seconds` is the median time of an epoch, without each first one, which compiles.
    """

    size: int
    rate: float
    steps: int
    scores: list[float]
    losses: list[float]
    seconds: float

    @property
    def mean(self) -> float:
        return float(np.mean(self.scores))

    @property
    def half(self) -> float:
        """Half the 95 % interval of the mean over the seeds, by Student's t."""
        count = len(self.scores)
        deviation = np.std(self.scores, ddof=1)
        return float(special.stdtrit(count - 1, 0.975) * deviation / np.sqrt(count))


def by_size(
    trainings: Sequence[CachedTraining], results: Sequence[TrainingResult]
) -> list[SizeResult]:
    """One result per batch size, the smallest first."""
    groups: dict[int, list[tuple[CachedTraining, TrainingResult]]] = {}
    for training, result in zip(trainings, results, strict=True):
        groups.setdefault(int(training.settings.batch_size), []).append((training, result))
    return [size_result(size, pairs) for size, pairs in sorted(groups.items())]


def size_result(size: int, pairs: Sequence[tuple[CachedTraining, TrainingResult]]) -> SizeResult:
    training = pairs[0][0]
    times = [row[SECONDS] for _, result in pairs for row in (result.rows[1:] or result.rows)]
    return SizeResult(
        size,
        training.settings.learning_rate,
        math.ceil(len(training.rows) / size),
        [result.score for _, result in pairs],
        [result.loss for _, result in pairs],
        float(np.median(times)),
    )


def no_worse(result: SizeResult, best: SizeResult, measure: Measure) -> bool:
    """Whether Welch's test of the means does not show that a size is worse than the best."""
    own, of_best = (measure.sign * np.array(part.scores) for part in (result, best))
    return errors.unpaired_p_values(own, of_best)[0] >= SIGNIFICANT


def report(analysis: Analysis, results: Sequence[SizeResult], scale: str) -> AnalysisReport:
    measure = analysis.measure
    best = max(results, key=lambda result: measure.sign * result.mean)
    good = [result for result in results if no_worse(result, best, measure)]
    fastest = min(good, key=lambda result: result.seconds)
    rate = rounded(fastest.rate)
    command = analysis.command({"train.batch_size": fastest.size, "train.learning_rate": rate})
    table = []
    for result in results:
        verdict = "best" if result is best else "no worse" if result in good else "worse"
        table.append([*row(result, measure), verdict])
    means = {f"mean_{measure.key}.{result.size}": result.mean for result in results}
    return AnalysisReport(
        f"Batches of {best.size} reach the best {measure.words}, {measure.text(best.mean)} as the"
        f" mean of {len(best.scores)} seeds; {comparison(best, fastest, len(good), measure)}"
        f" To use these: `{command}`.",
        [
            "batch size",
            "learning rate",
            "steps per epoch",
            measure.words,
            "loss",
            "seconds per epoch",
            "against the best",
        ],
        table,
        means | {"batch_size": fastest.size},
        [
            "After ± stands half the 95 % interval of the mean over the seeds. No worse: Welch's"
            " test of the two means does not show a difference at 5 %. All have the same number of"
            f" epochs; the learning rate was scaled: {scale}. Epochs are timed where they ran, so"
            " other work on the machine makes the times rough."
        ],
    )


def row(result: SizeResult, measure: Measure) -> list[str]:
    return [
        str(result.size),
        f"{result.rate:.3g}",
        str(result.steps),
        measure.spread(result.mean, result.half),
        f"{np.mean(result.losses):.4f}",
        f"{result.seconds:.2f}",
    ]


def comparison(best: SizeResult, fastest: SizeResult, good: int, measure: Measure) -> str:
    """The best size against the fastest one that is no worse."""
    if good == 1:
        return "all others are significantly worse."
    if fastest is best:
        return f"{good - 1} of the others may be as good, but none of these is faster."
    return (
        f"those of {fastest.size} may be as good ({measure.text(fastest.mean)}), and take"
        f" {fastest.seconds:.2f} s per epoch instead of {best.seconds:.2f} s."
    )


def draw(figure: Any, results: Sequence[SizeResult], measure: Measure) -> None:
    """Score and time against the batch size."""
    left, right = figure.subplots(1, 2)
    sizes = [result.size for result in results]
    for result in results:
        scores = [measure.scale * score for score in result.scores]
        left.plot([result.size] * len(scores), scores, "o", color="grey", markersize=4)
    means = [measure.scale * result.mean for result in results]
    halves = [measure.scale * result.half for result in results]
    left.errorbar(sizes, means, halves, capsize=4, marker="s", label="mean, 95 % interval")
    left.set(xlabel="batch size", ylabel=measure.axis)
    drawing.limit(left, 0, measure.scale * measure.highest)
    left.legend()
    right.plot(sizes, [result.seconds for result in results], marker="s")
    right.set(xlabel="batch size", ylabel="seconds per epoch", ylim=(0, None))
    for axis in (left, right):
        axis.set_xscale("log")
        axis.set_xticks(sizes, map(str, sizes))
        axis.minorticks_off()
        axis.grid(alpha=0.3)
