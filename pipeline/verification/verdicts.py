"""The verdicts in the terminal: a line for each pair as it is done, and a summary of each file."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence

from pipeline.files.reports.verify import (
    ComparedPair,
    FailedPair,
    NumberPair,
    RanPair,
    Rejection,
    VerificationReport,
)
from pipeline.process.words import percent
from pipeline.reporting.statistics import NOT_SHOWN, PROVEN, WORSE
from pipeline.reporting.tables import amount
from pipeline.verification.pair import Pair

# What is known of problem.coverage and problem.max_error
PROMISE = {
    PROVEN: "problem.coverage and max_error hold",
    NOT_SHOWN: "too few examples to show that problem.coverage and max_error hold",
    WORSE: "problem.coverage or max_error does not hold",
}


class Countdown:
    """Prints the verdict on each pair as soon as there is one, and how many pairs are left."""

    def __init__(self, total: int) -> None:
        self.left, self._lock = total, threading.Lock()

    def done(self, pair: Pair) -> None:
        with self._lock:
            self.left -= 1
            print(f"{pair.verdict.name}: {pair.verdict.state} ({self.left} left)", flush=True)


def summary(report: VerificationReport) -> list[str]:
    """A line for each file and verdict, with the reason that stands for all of them.

    Why pairs could not run is said once for all files.
    """
    groups: dict[tuple[str, str], list[RanPair]] = {}
    failed: dict[str, list[FailedPair]] = {}  # by the reason
    for pair in report.pairs:
        if isinstance(pair, FailedPair):
            failed.setdefault(pair.reason, []).append(pair)
        else:
            groups.setdefault((pair.format, pair.state), []).append(pair)
    totals = Counter(pair.format for pair in report.pairs)
    verdicts = [
        f"{name}: {state} on {len(group)} of {totals[name]}: {explanation(group)}"
        for (name, state), group in groups.items()
    ]
    missing = [
        f"{', '.join(names)}: {group[0].state} on {len(group)} of "
        f"{sum(totals[name] for name in names)}: {reason}"
        for reason, group in failed.items()
        if (names := dict.fromkeys(pair.format for pair in group))
    ]
    accepting = [f"{', '.join(names)}: {reason}" for reason, names in report.by_reason.items()]
    return [*verdicts, *missing, *accepting]


def explanation(pairs: Sequence[RanPair]) -> str:
    """The figures and the reason behind a verdict that pairs of one file share."""
    here = [pair for pair in pairs if pair.is_native] or pairs  # others are judged by those here
    golden = (pair.golden_difference for pair in pairs)
    differences = [difference for difference in golden if difference is not None]
    worst = max(here, key=lambda pair: pair.bound)
    return "; ".join(
        [
            bounds(here),
            *(
                [f"the same on emulated processors, within {max(differences):.1g}"]
                if differences
                else []
            ),
            *([f"{worst.runtime}: {worst.reason}"] if worst.reason else []),
            *rejections(here),
        ]
    )


def bounds(pairs: Sequence[RanPair]) -> str:
    """The lowest and the highest of what each may lose, or add to the error.

    A bound below 0, of a file that is better than the model, reads as 0.
    """
    values = [max(pair.bound, 0.0) for pair in pairs]
    lowest_and_highest = min(values), max(values)
    if isinstance(pairs[0], NumberPair):
        ends = dict.fromkeys(f"{bound:.3g}" for bound in lowest_and_highest)
        return f"adds at most {' to '.join(ends)} {pairs[0].unit}"
    ends = dict.fromkeys(f"{100 * bound:.2f}" for bound in lowest_and_highest)
    return f"loses at most {' to '.join(ends)} %"


def rejections(pairs: Sequence[RanPair]) -> list[str]:
    """What the thresholds do to the test set, once for pairs of one verdict.

    For numbers, it is what their intervals hold.
    """
    held = [
        f"{percent(pair.coverage.share)} of true numbers are within "
        f"{amount(pair.coverage.half_width, pair.unit)}: {pair.coverage.state}"
        for pair in pairs
        if isinstance(pair, NumberPair) and pair.coverage
    ]
    return [*dict.fromkeys(held), *_answered(pairs), *others_rejected(pairs)]


def _answered(pairs: Sequence[RanPair]) -> list[str]:
    """What is answered, from the lowest to the highest share, and how much of it is wrong."""
    groups: dict[str, list[Rejection]] = {}
    for pair in pairs:
        if isinstance(pair, ComparedPair) and pair.rejection:
            groups.setdefault(pair.rejection.state, []).append(pair.rejection)
    sentences = []
    for state, group in groups.items():
        values = [entry.coverage for entry in group]
        shares = " to ".join(dict.fromkeys(map(percent, (min(values), max(values)))))
        wrong = percent(max(entry.error for entry in group))
        sentences.append(f"answers {shares}, at most {wrong} of them wrong: {PROMISE[state]}")
    return sentences


def others_rejected(pairs: Sequence[RanPair]) -> list[str]:
    """The share of pictures of none of the classes that is rejected, on the worst runtime."""
    compared = [pair for pair in pairs if isinstance(pair, ComparedPair)]
    judged = [pair.others for pair in compared if pair.others is not None]
    if not judged:
        return []
    worst = min(judged, key=lambda others: others.share)
    low, high = map(percent, worst.interval)
    return [f"rejects {percent(worst.share)} of {worst.images:,} others ({low} to {high})"]
