"""What a model answered on validation, kept so that two models can be compared image by image."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.files import artifacts
from pipeline.files.artifacts import Array
from pipeline.process.stage import replacing

MOST_SIGNIFICANT = 1e-12  # a probability below this counts as this, so that no loss is infinite


@dataclass(frozen=True)
class Answers:
    """Probabilities (N, K), labels (N,) and a digest (N,) of each example, by which those of two splits are matched."""

    probabilities: Array
    labels: Array
    examples: Array

    @property
    def right(self) -> Array:
        """Whether each example was classified rightly (N,)."""
        result: Array = self.probabilities.argmax(1) == self.labels
        return result

    @property
    def losses(self) -> Array:
        """The cross-entropy of each example (N,)."""
        chosen = self.probabilities[np.arange(len(self.labels)), self.labels]
        result: Array = -np.log(np.maximum(chosen, MOST_SIGNIFICANT))
        return result

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())


def digests(examples: Array) -> Array:
    """A number (N,) uint64 for each example; equal examples have equal numbers."""
    found = []
    for start, stop in artifacts.chunks(len(examples)):
        found += [hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in np.ascontiguousarray(examples[start:stop])]
    return np.frombuffer(b"".join(found), np.uint64)


def save(path: Path, answers: Answers) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, probabilities=answers.probabilities, labels=answers.labels, examples=answers.examples)


def load(data: bytes) -> Answers:
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        return Answers(file["probabilities"], file["labels"], file["examples"])


@dataclass(frozen=True)
class Comparison:
    """How a new model does against an old one. The p-values are one-sided: how likely it would seem so much better by chance."""

    difference: float  # of accuracy
    p_value: float
    loss_p_value: float
    worse_p_value: float
    paired: bool


def compare(new: Answers, old: Answers) -> Comparison:
    """On the examples that both saw, pair by pair: the exact McNemar test of accuracy, and the paired t test of the losses.

    Where less than half of the examples are common, as after a change of the data: Fisher's exact test, and Welch's.
    """
    from scipy import stats

    _, ours, theirs = np.intersect1d(new.examples, old.examples, return_indices=True)
    if len(ours) < min(len(new.labels), len(old.labels)) / 2:
        table = np.array([[side.right.sum(), (~side.right).sum()] for side in (new, old)])
        better, worse = (float(stats.fisher_exact(table, alternative=side).pvalue) for side in ("greater", "less"))
        loss = stats.ttest_ind(new.losses, old.losses, equal_var=False, alternative="less").pvalue
        return Comparison(new.accuracy - old.accuracy, better, float(loss), worse, paired=False)
    won, lost = (new.right[ours], old.right[theirs])
    gained, given = int((won & ~lost).sum()), int((lost & ~won).sum())
    changed = max(gained + given, 1)
    better, worse = (float(stats.binomtest(count, changed, alternative="greater").pvalue) for count in (gained, given))
    same = np.array_equal(new.losses[ours], old.losses[theirs])  # of two equal models, for whom the t statistic is 0 / 0
    loss = 1.0 if same else stats.ttest_rel(new.losses[ours], old.losses[theirs], alternative="less").pvalue
    return Comparison(float(won.mean() - lost.mean()), better, float(loss), worse, paired=True)
