"""The tables of results in a file, between marking lines.

    edgeproof report README.md    writes into the file each table that it has markers for

Without a file the command prints the table of `terminal`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipeline.files import atomic
from pipeline.files.reports.diagnose import NOT_TRAINED, DiagnosisReport
from pipeline.files.reports.evaluate import Evaluation
from pipeline.files.reports.verify import VerificationReport
from pipeline.process.errors import UserError
from pipeline.reporting import by_folds, confidence_cells, result_notes
from pipeline.reporting.summary import (
    ACCURACY,
    KERAS,
    Row,
    columns,
    curves,
    headline,
    kilobytes,
    outdated,
    rows,
    table,
)
from pipeline.reporting.tables import MILLISECONDS

SHORT_COLUMNS = (
    *("file", "size", ACCURACY, "may lose at most"),
    *confidence_cells.COLUMNS,
    *(MILLISECONDS, "verdict"),
)
# Of a model that gives a number
NUMBER_SHORT_COLUMNS = (
    *("file", "size", "error", "may add at most", "interval", "holds", MILLISECONDS, "verdict"),
)
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
    with atomic.replacing(path) as temporary:
        temporary.write_text(f"{before}{begin}\n{block}\n{end}{after}", encoding="utf-8")


def block() -> str:
    """The full table and its notes, in Markdown."""
    folds = by_folds.remark(Evaluation.load())
    sentences = [result_notes.notes(VerificationReport.load()), folds, curves()]
    lines = rows()
    return f"{table(columns(lines), lines)}\n\n{' '.join(filter(None, sentences))}"


def short_block() -> str:
    """The short table, in Markdown: the Keras model and one row for each file."""
    lines = [short_row(line) for line in rows() if "bytes" in line]
    verification = VerificationReport.load()
    judged_on = verification.judged_on
    if verification.numbers:
        note = result_notes.notes(verification)
        return f"{table(NUMBER_SHORT_COLUMNS, lines)}\n\n{note}"
    words = result_notes.metric(verification)
    is_taken = DiagnosisReport.load().verdict == NOT_TRAINED
    unseen = "" if is_taken else " that the weights have not seen"
    note = (
        f"The worst of all runtimes on {judged_on.test:,} test {judged_on.noun}."
        f'{result_notes.verdicts(verification)} "May lose at most" is the '
        f"upper 95 % bound of the {words} lost against Keras, on {judged_on.images:,} "
        f"{judged_on.noun}{unseen}. {confidence_cells.NOTE} Times are those of the fastest "
        f"runtime on one thread of {result_notes.measured_on(verification.native)}."
    )
    sentences = [note, by_folds.remark(Evaluation.load()), curves() if is_taken else ""]
    name = headline(lines)
    columns = [name if column == ACCURACY else column for column in SHORT_COLUMNS]
    return f"{table(columns, lines)}\n\n{' '.join(filter(None, sentences))}"


def short_row(line: Row) -> Row:
    size = int(line["bytes"].replace(",", ""))
    name = "error" if "error" in line else headline([line])
    score = line.get(name, "")
    if line["model"] == KERAS:
        score = f"{score} ({line['95 % interval']})"
    return {
        "file": line["model"],
        "size": kilobytes(size),
        name: score,
        **(_may_add(line) if name == "error" else _may_lose(line)),
        MILLISECONDS: line.get(MILLISECONDS, "").split(" ")[0],
        "verdict": line["verdict"],
    }


def _may_lose(line: Row) -> Row:
    cells = {name: line.get(name, "") for name in confidence_cells.COLUMNS}
    return {**cells, "may lose at most": line.get("loses at most", "").replace("%", "points")}


def _may_add(line: Row) -> Row:
    cells = {name: line.get(name, "") for name in ("interval", "holds")}
    return {**cells, "may add at most": line.get("adds at most", "")}


BLOCKS: dict[tuple[str, str], Callable[[], str]] = {
    (BEGIN, END): block,
    (SHORT_BEGIN, SHORT_END): short_block,
}
