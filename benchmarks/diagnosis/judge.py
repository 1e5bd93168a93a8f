"""Evaluates the diagnosis on the corpus and writes the confusion matrix into docs/benchmarks.md.

    python -m benchmarks.diagnosis.judge

The thresholds of pipeline/diagnosis were tuned on seeds 0 to 4; the matrix shows all other seeds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pipeline.diagnosis.data_and_layer_rules import SMALL
from pipeline.diagnosis.rules import diagnose
from pipeline.files import artifacts
from pipeline.files.reports.preprocess import Evidence
from pipeline.reporting import marked_tables, statistics
from pipeline.training import learning_curves

FOLDER = Path(__file__).parent
PAGE = FOLDER.parents[1] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- diagnosis: make diagnosis -->", "<!-- end of diagnosis -->"
TUNED_ON, REPORTED_ON = range(5), range(5, 40)
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

Pair = tuple[str, str]  # the expected and the actual verdict, each with its note


def judged(seeds: Sequence[int]) -> dict[Path, Pair]:
    pairs = {}
    for path in sorted(FOLDER.glob("corpus/*/*.csv")):
        if int(path.stem.rsplit("-", 1)[1]) in seeds:
            context = artifacts.load_json(path.with_suffix(".json"))
            diagnosis = diagnose(
                learning_curves.load(path),
                Evidence(**context["evidence"]),
                context["layers"],
                context["target"],
            )
            note = ", small validation" if SMALL in diagnosis.numbers else ""
            pairs[path] = (EXPECTED.get(path.parent.name, HEALTHY), diagnosis.verdict + note)
    return pairs


def figures(pairs: Sequence[Pair]) -> dict[str, tuple[int, float, float]]:
    """For each expected verdict: the number of trainings, precision and recall."""
    expected = Counter(expected for expected, _ in pairs)
    actual = Counter(actual for _, actual in pairs)
    right = Counter(expected for expected, actual in pairs if expected == actual)
    return {
        name: (expected[name], right[name] / max(actual[name], 1), right[name] / expected[name])
        for name in sorted(expected)
    }


def report(pairs: Sequence[Pair]) -> str:
    """A confusion matrix: a row for each expected verdict, a column for each actual one."""
    names = sorted({name for pair in pairs for name in pair})
    counts = Counter(pairs)
    heads = [str(number) for number in range(1, len(names) + 1)]
    lines = [
        f"| made on purpose | {' | '.join(heads)} | precision | recall | at least |",
        "|---|" + "--:|" * (len(names) + 3),
    ]
    for name, (trainings, precision, recall) in figures(pairs).items():
        row = [str(counts[name, other] or "") for other in names]
        least, _ = statistics.accuracy_interval(counts[name, name], trainings, ONE_SIDED)
        lines.append(
            f"| {names.index(name) + 1} {name} | {' | '.join(row)} "
            f"| {precision:.2f} | {recall:.2f} | {least:.2f} |"
        )
    healthy = [actual for expected, actual in pairs if expected == HEALTHY]
    alarms = sum(actual != HEALTHY for actual in healthy)
    _, most = statistics.accuracy_interval(alarms, len(healthy), ONE_SIDED)
    summary_sentences = (
        f"False alarms on healthy trainings: {alarms} of {len(healthy)}, which proves that at most "
        f"{100 * most:.1f} % of such trainings raise one. "
        'The others prove a recall of "at least" (one-sided 95 % bounds, Clopper-Pearson).'
    )
    return "\n".join([*lines, "", summary_sentences])


def main() -> None:
    tuned, reported = judged(TUNED_ON), judged(REPORTED_ON)
    for path, (expected, actual) in {**tuned, **reported}.items():
        if expected != actual:
            print(f"{path.relative_to(FOLDER)}: {expected} was diagnosed as {actual}")
    text = report(list(reported.values()))
    marked_tables.replace(PAGE, text, BEGIN, END)
    print(f"\nseeds {seeds(TUNED_ON)}, on which the thresholds were tuned:")
    print(report(list(tuned.values())))
    print(f"\nseeds {seeds(REPORTED_ON)}, as written into {PAGE.name}:\n{text}")


def seeds(numbers: range) -> str:
    return f"{numbers.start} to {numbers.stop - 1}"


if __name__ == "__main__":
    main()
