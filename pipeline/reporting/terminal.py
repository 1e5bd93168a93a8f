"""The results in a terminal, as wide as it is: a row for each file; the page has the rest."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence

from rich.box import ASCII2

from pipeline.files.reports.evaluate import Evaluation
from pipeline.files.reports.verify import VerificationReport
from pipeline.reporting import by_folds, page_inputs, result_notes, summary
from pipeline.reporting.summary import Row
from pipeline.reporting.tables import MILLISECONDS

COLUMNS = ("model", summary.ACCURACY, "loses at most", "size", MILLISECONDS, "verdict")
NUMBER_COLUMNS = ("model", "error", "adds at most", "interval", "size", MILLISECONDS, "verdict")


def show(left_out: Sequence[str]) -> None:
    """Prints the results without the reports that are left out."""
    width = shutil.get_terminal_size().columns
    if lines := [row(line) for line in summary.rows(left_out)]:
        print(f"{summary.table(columns(lines), lines, ASCII2, width)}\n")
    print("\n".join(textwrap.fill(sentence, width) for sentence in sentences(left_out)))
    if not left_out and (page := page_inputs.current_page()):
        print(f"\nThe whole run on one page: {page}")


def columns(lines: Sequence[Row]) -> tuple[str, ...]:
    if summary.columns(lines) == summary.NUMBER_COLUMNS:
        return NUMBER_COLUMNS
    name = summary.headline(lines)
    return tuple(name if column == summary.ACCURACY else column for column in COLUMNS)


def row(line: Row) -> Row:
    """A row of the full table, with numbers without their unit; of the times only the fastest."""
    unit = line.get("error", "").partition(" ")[2]
    numbers = ("error", "adds at most", "interval")
    size = line.get("bytes", "").replace(",", "")
    return {
        **line,
        "size": summary.kilobytes(int(size)) if size else "",
        **{name: line[name].removesuffix(f" {unit}") for name in numbers if unit and name in line},
        MILLISECONDS: line.get(MILLISECONDS, "").split(" ")[0],
    }


def sentences(left_out: Sequence[str]) -> list[str]:
    result: list[str] = []
    if "evaluate" not in left_out:
        result += filter(None, [by_folds.remark(Evaluation.load())])
    if "verify" not in left_out:
        verification = VerificationReport.load()
        judged_on = verification.judged_on
        words = result_notes.metric(verification)
        noun = judged_on.noun
        sentence = (
            f"Test {words}: the worst runtime's, on {judged_on.test:,} test {noun}. "
            "Loses at most: the upper 95 % bound of the loss against Keras, on "
            f"{judged_on.images:,} {noun}."
        )
        numbers = " ".join(result_notes.meanings(verification))
        result.append(numbers if verification.numbers else sentence)
    if "diagnose" not in left_out:
        result.append(summary.curves())
    if left_out:
        names = ", ".join(left_out)
        result.append(f"Not shown, because missing or from an earlier run: {names}.")
    return result
