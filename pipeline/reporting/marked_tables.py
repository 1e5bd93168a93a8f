"""The tables of results in a file, between marking lines.

    edgeproof report README.md    writes into the file each table that it has markers for

Without a file the command prints the table of `terminal`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.files import atomic
from pipeline.files.reports.diagnose import NOT_TRAINED, DiagnosisReport
from pipeline.files.reports.evaluate import Evaluation
from pipeline.files.reports.verify import VerificationReport
from pipeline.process.errors import UserError
from pipeline.reporting import by_folds, result_notes, result_row
from pipeline.reporting.result_row import SCORE, Columns, ResultRow, cells, headed, text
from pipeline.reporting.summary import KERAS, are_numbers, columns, curves, outdated, rows, table
from pipeline.reporting.tables import MILLISECONDS


def _score(row: ResultRow) -> str:
    interval = f" ({result_row.ends(row)})" if row.model == KERAS else ""
    return f"{result_row.score(row)}{interval}"


SHORT_COLUMNS: Columns = {
    "file": lambda row: row.model,
    "size": result_row.size,
    SCORE: _score,
    "may lose at most": lambda row: text(row.bound, lambda bound: f"{100 * bound:.2f} points"),
    **result_row.CONFIDENCE_COLUMNS,
    MILLISECONDS: result_row.fastest,
    "verdict": lambda row: row.verdict,
}
# Of a model that gives a number
NUMBER_SHORT_COLUMNS: Columns = {
    "file": lambda row: row.model,
    "size": result_row.size,
    "error": _score,
    "may add at most": result_row.bound,
    "interval": result_row.width,
    "holds": result_row.held,
    MILLISECONDS: result_row.fastest,
    "verdict": lambda row: row.verdict,
}
BEGIN, END = "<!-- results: make results -->", "<!-- end of results -->"
SHORT_BEGIN, SHORT_END = (
    "<!-- results in short: make results -->",
    "<!-- end of results in short -->",
)


def report(file: Path) -> None:
    """Writes into `file` each table that it has markers for.

    Raises UserError if the file has none, or if a report is missing or from an earlier run.
    """
    if missing := outdated():
        raise UserError(
            f"the reports of {', '.join(missing)} are missing or from an earlier run; "
            "run `edgeproof run` first"
        )
    text = file.read_text(encoding="utf-8")
    markers = [pair for pair in BLOCKS if pair[0] in text] or [(BEGIN, END)]
    for begin, end in markers:
        replace(file, BLOCKS[begin, end](), begin, end)


def replace(path: Path, block: str, begin: str, end: str) -> None:
    """Writes `block` between two marking lines of a file. Raises UserError if they are missing."""
    text = path.read_text(encoding="utf-8")
    if begin not in text or end not in text:
        raise UserError(
            f"{path} has no lines {begin!r} and {end!r}; add them where the table belongs"
        )
    before, rest = text.split(begin, 1)
    after = rest.split(end, 1)[1]
    atomic.write_text(path, f"{before}{begin}\n{block}\n{end}{after}")


def block() -> str:
    """The full table and its notes, in Markdown."""
    folds = by_folds.remark(Evaluation.load())
    sentences = [result_notes.notes(VerificationReport.load()), folds, curves()]
    lines = rows()
    shown = columns(lines)
    return f"{table(shown, cells(shown, lines))}\n\n{' '.join(filter(None, sentences))}"


def short_block() -> str:
    """The short table, in Markdown: the Keras model and one row for each file."""
    lines = [line for line in rows() if line.bytes is not None]
    shown = short_columns(lines)
    text_table = table(shown, cells(shown, lines))
    verification = VerificationReport.load()
    judged_on = verification.judged_on
    if verification.numbers:
        return f"{text_table}\n\n{result_notes.notes(verification)}"
    words = result_notes.metric(verification)
    is_taken = DiagnosisReport.load().verdict == NOT_TRAINED
    unseen = "" if is_taken else " that the weights have not seen"
    note = (
        f"The worst of all runtimes on {judged_on.test:,} test {judged_on.noun}."
        f'{result_notes.verdicts(verification)} "May lose at most" is the '
        f"upper 95 % bound of the {words} lost against Keras, on {judged_on.images:,} "
        f"{judged_on.noun}{unseen}. Times are those of the fastest runtime on "
        f"one thread of {result_notes.measured_on(verification.native)}."
    )
    sentences = [note, by_folds.remark(Evaluation.load()), curves() if is_taken else ""]
    return f"{text_table}\n\n{' '.join(filter(None, sentences))}"


def short_columns(lines: Sequence[ResultRow]) -> Columns:
    return NUMBER_SHORT_COLUMNS if are_numbers(lines) else headed(SHORT_COLUMNS, lines)


BLOCKS: dict[tuple[str, str], Callable[[], str]] = {
    (BEGIN, END): block,
    (SHORT_BEGIN, SHORT_END): short_block,
}
