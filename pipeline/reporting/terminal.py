"""The results in a terminal, as wide as it is: a row for each file; the page has the rest."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence

from rich.box import ASCII2

from pipeline.files.reports.evaluate import Evaluation
from pipeline.files.reports.verify import VerificationReport
from pipeline.reporting import by_folds, page_inputs, result_notes, result_row, summary
from pipeline.reporting.result_row import SCORE, Columns, ResultRow, cells, headed, text
from pipeline.reporting.tables import MILLISECONDS

COLUMNS: Columns = {
    "model": lambda row: row.model,
    SCORE: result_row.score,
    "loses at most": result_row.bound,
    "size": result_row.size,
    MILLISECONDS: result_row.fastest,
    "verdict": lambda row: row.verdict,
}
NUMBER_COLUMNS: Columns = {
    "model": lambda row: row.model,
    "error": lambda row: text(row.score, "{:.4g}".format),
    "adds at most": lambda row: text(row.bound, "{:.3g}".format),
    "interval": lambda row: text(row.half_width, "± {:.4g}".format),
    "size": result_row.size,
    MILLISECONDS: result_row.fastest,
    "verdict": lambda row: row.verdict,
}


def show(left_out: Sequence[str]) -> None:
    """Prints the results without the reports that are left out."""
    width = shutil.get_terminal_size().columns
    if rows := summary.rows(left_out):
        shown = columns(rows)
        print(f"{summary.table(shown, cells(shown, rows), ASCII2, width)}\n")
    print("\n".join(textwrap.fill(sentence, width) for sentence in sentences(left_out)))
    if not left_out and (page := page_inputs.current_page()):
        print(f"\nThe whole run on one page: {page}")


def columns(rows: Sequence[ResultRow]) -> Columns:
    return NUMBER_COLUMNS if summary.are_numbers(rows) else headed(COLUMNS, rows)


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
        without_holds = result_notes.meanings(verification)[:-1]  # a column of the page alone
        result.append(" ".join(without_holds) if verification.numbers else sentence)
    if "diagnose" not in left_out:
        result.append(summary.curves())
    if left_out:
        names = ", ".join(left_out)
        result.append(f"Not shown, because missing or from an earlier run: {names}.")
    return result
