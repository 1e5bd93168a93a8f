"""Which batch size? The same recipe with several, each from several seeds: what they reach, and how fast.

    edgeproof batch-size --sizes 32,128,512
    edgeproof batch-size --scale linear      the learning rate grows with the batch

Larger batches take fewer steps in as many epochs. Whether the rate should grow with them is part of the question: in
proportion (Goyal et al., 2017, Accurate, Large Minibatch SGD), or with the square root, as suits Adam (Krizhevsky, 2014).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from pipeline.process.errors import UserError
from pipeline.search import cached_training
from pipeline.search.analysis import Answer, Options, Question
from pipeline.search.cached_training import Result, Training

SCALES = {
    "none": 0.0,
    "linear": 1.0,
    "root": 0.5,
}  # the rate grows with the batch size to this power


def trainings(asked: Question, sizes: Sequence[int], seeds: int, scale: str) -> list[Training]:
    """One for each size and seed. Raises UserError."""
    rows, validation = cached_training.rows_of(asked.chosen)
    start = asked.chosen.train
    if len(set(sizes)) < max(len(sizes), 2):
        raise UserError(
            f"--sizes are {' '.join(map(str, sizes))}; allowed are two or more, each once"
        )
    if min(sizes) < 1 or max(sizes) > len(rows):
        raise UserError(
            f"--sizes reach from {min(sizes)} to {max(sizes)}; allowed is 1 to {len(rows)}, which is all of p-training"
        )
    if seeds < 2:
        raise UserError(
            f"--seeds is {seeds}; allowed is 2 or more: without a spread no difference can be judged"
        )
    usual = len(rows) if start.batch_size == "full" else start.batch_size
    found = []
    for size in sizes:
        rate = start.learning_rate * (size / usual) ** SCALES[scale]
        for seed in range(start.seed, start.seed + seeds):
            chosen = start.model_copy(
                update={"batch_size": size, "learning_rate": rate, "seed": seed}
            )
            values = {"train.batch_size": size, "train.learning_rate": rate, "train.seed": seed}
            found.append(
                Training(f"batches of {size}, seed {seed}", values, chosen, rows, validation)
            )
    return found


@dataclass(frozen=True)
class Size:
    """What came of one batch size: accuracies over the seeds, and the median time of an epoch but for the first, which compiles."""

    size: int
    rate: float
    steps: int
    accuracies: list[float]
    losses: list[float]
    seconds: float

    @property
    def mean(self) -> float:
        return float(np.mean(self.accuracies))

    @property
    def half(self) -> float:
        """Half the 95 % interval of the mean over the seeds, by Student's t."""
        count = len(self.accuracies)
        return float(
            special.stdtrit(count - 1, 0.975) * np.std(self.accuracies, ddof=1) / np.sqrt(count)
        )


def by_size(found: Sequence[tuple[Training, Result]]) -> list[Size]:
    sizes = []
    for size in sorted({training.values["train.batch_size"] for training, _ in found}):
        pairs = [
            (training, result)
            for training, result in found
            if training.values["train.batch_size"] == size
        ]
        first = pairs[0][0]
        times = [row["seconds"] for _, result in pairs for row in (result.rows[1:] or result.rows)]
        accuracies, losses = (
            [result.accuracy for _, result in pairs],
            [result.loss for _, result in pairs],
        )
        steps = math.ceil(len(first.rows) / size)
        sizes.append(
            Size(
                size, first.chosen.learning_rate, steps, accuracies, losses, float(np.median(times))
            )
        )
    return sizes


def no_worse(one: Size, best: Size) -> bool:
    """Whether the seeds do not show the one to be worse than the best: Welch's test of the means, at 5 %, one-sided."""
    from scipy import stats

    if one is best or np.array_equal(one.accuracies, best.accuracies):
        return True
    if np.ptp(one.accuracies) == np.ptp(best.accuracies) == 0:
        return False
    return bool(
        stats.ttest_ind(one.accuracies, best.accuracies, equal_var=False, alternative="less").pvalue
        >= 0.05
    )


def answer(asked: Question, sizes: Sequence[Size], scale: str) -> Answer:
    best = max(sizes, key=lambda size: size.mean)
    equal = [size for size in sizes if no_worse(size, best)]
    fastest = min(equal, key=lambda size: size.seconds)
    table = []
    for size in sizes:
        verdict = "best" if size is best else "no worse" if size in equal else "worse"
        reached = [f"{size.mean:.2%} ± {100 * size.half:.2f}", f"{np.mean(size.losses):.4f}"]
        table.append(
            [
                str(size.size),
                f"{size.rate:.3g}",
                str(size.steps),
                *reached,
                f"{size.seconds:.2f}",
                verdict,
            ]
        )
    values = {"train.batch_size": fastest.size, "train.learning_rate": float(f"{fastest.rate:.3g}")}
    return Answer(
        f"Batches of {best.size} reach the best validation accuracy, {best.mean:.2%} on average of {len(best.accuracies)} seeds; "
        f"{comparison(best, fastest, len(equal))} `{asked.command(values)}` takes them.",
        [
            "batch size",
            "learning rate",
            "steps an epoch",
            "validation accuracy",
            "loss",
            "seconds an epoch",
            "against the best",
        ],
        table,
        {f"mean_validation_accuracy.{size.size}": size.mean for size in sizes}
        | {"batch_size": fastest.size},
        [
            "After ± stands half the 95 % interval of the mean over the seeds. No worse: Welch's test of the two means does not show "
            f"it at 5 %. All took the same epochs; the learning rate was scaled: {scale}. Epochs are timed where they ran, so with other "
            "work beside them the times are rough."
        ],
    )


def comparison(best: Size, fastest: Size, equal: int) -> str:
    if equal == 1:
        return "all others are worse by more than the seeds differ."
    if fastest is best:
        return f"{equal - 1} of the others are not shown to be worse, but no faster either."
    return (
        f"those of {fastest.size} are not shown to be worse ({fastest.mean:.2%}), and an epoch takes {fastest.seconds:.2f} s "
        f"instead of {best.seconds:.2f}."
    )


def draw(figure: Any, sizes: Sequence[Size]) -> None:
    """Accuracy and time against the batch size."""
    left, right = figure.subplots(1, 2)
    numbers = [size.size for size in sizes]
    for size in sizes:
        left.plot(
            [size.size] * len(size.accuracies),
            [100 * value for value in size.accuracies],
            "o",
            color="grey",
            markersize=4,
        )
    means, halves = ([100 * getattr(size, name) for size in sizes] for name in ("mean", "half"))
    left.errorbar(numbers, means, halves, capsize=4, marker="s", label="mean, 95 % interval")
    left.set(xlabel="batch size", ylabel="validation accuracy, %")
    left.legend()
    right.plot(numbers, [size.seconds for size in sizes], marker="s")
    right.set(xlabel="batch size", ylabel="seconds an epoch", ylim=(0, None))
    for axis in (left, right):
        axis.set_xscale("log")
        axis.set_xticks(numbers, map(str, numbers))
        axis.minorticks_off()
        axis.grid(alpha=0.3)


def compare(sizes: Sequence[int], seeds: int, scale: str, options: Options) -> None:
    """Raises UserError."""
    asked = Question("batch_size", options, sizes=sizes, seeds=seeds, scale=scale)
    asks = trainings(asked, sizes, seeds, scale)
    found = by_size(list(zip(asks, asked.results(asks), strict=True)))
    asked.answer(answer(asked, found, scale), lambda figure: draw(figure, found), size=(10, 4.5))
