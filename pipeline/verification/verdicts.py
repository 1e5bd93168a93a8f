"""The verdicts in the terminal: a line for each pair as it is done, and a summary of each file."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from pipeline.files.reports.verify import AnyPair, ComparedPair, VerificationReport
from pipeline.reporting.tables import percent
from pipeline.verification.pair import Pair


class Countdown:
    """Prints the verdict on each pair as soon as there is one, and how many pairs are left."""

    def __init__(self, total: int) -> None:
        self.left, self._lock = total, threading.Lock()

    def done(self, pair: Pair) -> None:
        with self._lock:
            self.left -= 1
            print(f"{pair.verdict.name}: {pair.verdict.state} ({self.left} left)", flush=True)


def summary(report: VerificationReport) -> list[str]:
    """A line for each file and verdict, with the reason that stands for all of them."""
    groups: dict[tuple[str, str], list[AnyPair]] = {}
    for pair in report.pairs:
        groups.setdefault((pair.format, pair.state), []).append(pair)
    totals = {name: sum(pair.format == name for pair in report.pairs) for name, _ in groups}
    verdicts = [
        f"{name}: {state} on {len(group)} of {totals[name]}: {explanation(group)}"
        for (name, state), group in groups.items()
    ]
    accepting = [f"{', '.join(names)}: {reason}" for reason, names in report.by_reason.items()]
    return [*verdicts, *accepting]


def explanation(pairs: Sequence[AnyPair]) -> str:
    """The figures and the reason behind a verdict that pairs of one file share."""
    here = [pair for pair in pairs if pair.is_native] or pairs  # others are judged by those here
    ran = [pair for pair in here if isinstance(pair, ComparedPair)]
    if not ran:
        return "; ".join(dict.fromkeys(pair.reason for pair in pairs if pair.reason))
    golden = [pair.golden_difference for pair in pairs if isinstance(pair, ComparedPair)]
    differences = [difference for difference in golden if difference is not None]
    bounds = sorted(pair.accuracy_lost_bound for pair in ran)
    ends = dict.fromkeys(f"{100 * bound:.2f}" for bound in (bounds[0], bounds[-1]))
    worst = max(ran, key=lambda pair: pair.accuracy_lost_bound)
    return "; ".join(
        [
            f"loses at most {' to '.join(ends)} %",
            *(
                [f"on other processors as here, within {max(differences):.1g}"]
                if differences
                else []
            ),
            *([f"{worst.runtime}: {worst.reason}"] if worst.reason else []),
            *rejections(ran),
        ]
    )


def rejections(pairs: Sequence[ComparedPair]) -> list[str]:
    """What the thresholds do to the test set, once for pairs on which they do the same."""
    kept = (pair.rejection for pair in pairs if pair.rejection is not None)
    return list(
        dict.fromkeys(
            f"answers {percent(entry.coverage)}, of which {percent(entry.error)} are wrong: "
            f"{entry.state}"
            for entry in kept
        )
    ) + others_rejected(pairs)


def others_rejected(pairs: Sequence[ComparedPair]) -> list[str]:
    """The share of pictures of none of the classes that is rejected, on the worst runtime."""
    judged = [pair.others for pair in pairs if pair.others is not None]
    if not judged:
        return []
    worst = min(judged, key=lambda others: others.share)
    low, high = map(percent, worst.interval)
    return [f"rejects {percent(worst.share)} of {worst.images:,} others ({low} to {high})"]
