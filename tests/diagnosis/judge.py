"""Judges the diagnosis by the corpus: `python -m tests.diagnosis.judge` writes the confusion matrix into docs/benchmarks.md.

The thresholds of pipeline/diagnosis were chosen on the seeds 0 to 4; the figures are those of all others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pipeline.diagnosis.data_and_layer_rules import SMALL
from pipeline.diagnosis.rules import diagnose
from pipeline.diagnosis.split_checks import Evidence
from pipeline.files import artifacts
from pipeline.reporting import statistics, summary
from pipeline.training import learning_curves

FOLDER = Path(__file__).parent
PAGE = FOLDER.parents[1] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- diagnosis: make diagnosis -->", "<!-- end of diagnosis -->"
CHOSEN_ON, REPORTED_ON = range(5), range(5, 40)
EXPECTED = {
    "too_little_capacity": "too_little_capacity",
    "stopped_early": "stopped_early",
    "learning_rate_too_low": "stopped_early",
    "too_much_capacity": "overfit",
    "noisy_labels": "overfit",
    "learning_rate_too_high": "diverged",
    "leaked_validation": "leakage",
    "shifted_validation": "unrepresentative_training",
    "tiny_validation": "good_fit, small validation",  # a sound training, with a note
    "dead_relus": "dead_units",
    "saturated_start": "saturated_units",
    "vanishing_gradients": "vanishing_gradients",
}
HEALTHY = "good_fit"
ONE_SIDED = 0.9  # the interval whose ends are one-sided 95 % bounds

Pair = tuple[
    str, str
]  # a verdict, with its note, that the fault's name asks for, and the one that was given


def judged(seeds: Sequence[int]) -> dict[Path, Pair]:
    found = {}
    for path in sorted(FOLDER.glob("corpus/*/*.csv")):
        if int(path.stem.rsplit("-", 1)[1]) in seeds:
            told = artifacts.load_json(path.with_suffix(".json"))
            given = diagnose(
                learning_curves.load(path),
                Evidence(**told["evidence"]),
                told["layers"],
                told["target"],
            )
            note = ", small validation" if SMALL in given.numbers else ""
            found[path] = (EXPECTED.get(path.parent.name, HEALTHY), given.verdict + note)
    return found


def figures(pairs: Sequence[Pair]) -> dict[str, tuple[int, float, float]]:
    """For each verdict: trainings that ask for it, precision and recall."""
    asked, given, right = (
        Counter(a for a, _ in pairs),
        Counter(g for _, g in pairs),
        Counter(a for a, g in pairs if a == g),
    )
    return {
        name: (asked[name], right[name] / max(given[name], 1), right[name] / asked[name])
        for name in sorted(asked)
    }


def report(pairs: Sequence[Pair]) -> str:
    """A confusion matrix: a row for each verdict that was asked for, a column for each that was given."""
    names = sorted({name for pair in pairs for name in pair})
    counts = Counter(pairs)
    heads = [str(number) for number in range(1, len(names) + 1)]
    lines = [
        f"| made on purpose | {' | '.join(heads)} | precision | recall | at least |",
        "|---|" + "--:|" * (len(names) + 3),
    ]
    for name, (asked, precision, recall) in figures(pairs).items():
        row = [str(counts[name, other] or "") for other in names]
        least, _ = statistics.accuracy_interval(counts[name, name], asked, ONE_SIDED)
        lines.append(
            f"| {names.index(name) + 1} {name} | {' | '.join(row)} | {precision:.2f} | {recall:.2f} | {least:.2f} |"
        )
    healthy = [given for asked, given in pairs if asked == HEALTHY]
    alarms = sum(given != HEALTHY for given in healthy)
    _, most = statistics.accuracy_interval(alarms, len(healthy), ONE_SIDED)
    told = (
        f"False alarms on healthy trainings: {alarms} of {len(healthy)}, which proves that at most {100 * most:.1f} % of such trainings "
        'raise one. The others prove a recall of "at least" (one-sided 95 % bounds, Clopper-Pearson).'
    )
    return "\n".join([*lines, "", told])


def main() -> None:
    chosen, reported = judged(CHOSEN_ON), judged(REPORTED_ON)
    for path, (asked, given) in {**chosen, **reported}.items():
        if asked != given:
            print(f"{path.relative_to(FOLDER)}: {asked} was diagnosed as {given}")
    text = report(list(reported.values()))
    summary.replace(PAGE, text, BEGIN, END)
    print(
        f"\nseeds {CHOSEN_ON.start} to {CHOSEN_ON.stop - 1}, on which the thresholds were chosen:\n{report(list(chosen.values()))}"
    )
    print(
        f"\nseeds {REPORTED_ON.start} to {REPORTED_ON.stop - 1}, as written into {PAGE.name}:\n{text}"
    )


if __name__ == "__main__":
    main()
