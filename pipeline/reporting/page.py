"""reports/index.html: a run on one page, which needs no other file and no network."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from pipeline.config.params import Params
from pipeline.files import atomic
from pipeline.files.reports.bundle import BundleReports
from pipeline.files.reports.evaluate import EvaluationReport, NumberReport
from pipeline.process.words import percent
from pipeline.reporting import (
    html,
    page_data,
    page_files,
    page_gates,
    page_inputs,
    page_steps,
    pair_table,
    result_notes,
    result_row,
    summary,
)
from pipeline.reporting.page_gates import Gates
from serving.gate import COULD_NOT_RUN, NOT_SHOWN, PROVEN, WORSE

TEMPLATE = "page.html"
HEALTHY = "good_fit"
SHOWN_ROWS = 20  # classes, or groups, shown at first; the others are folded away
LONGEST_NAME = 60  # characters
# A browser decodes a picture of more pixels slowly or not at all, as that of 1,000 classes.
MOST_PIXELS = 50_000_000
# A sign and a word beside the colour, for readers who cannot tell colours apart, and for print.
SIGNS = {
    "passed": "✓",
    "failed": "✗",
    PROVEN: "✓",
    NOT_SHOWN: "?",
    WORSE: "✗",
    COULD_NOT_RUN: "○",
}
MEANINGS = {
    PROVEN: "the upper 95 % bound of the accuracy lost is within the loss allowed",
    NOT_SHOWN: "no significant loss, but too few examples to bound it further",
    WORSE: "a significant loss, or more than is allowed",
    COULD_NOT_RUN: "no result, for the reason given",
}

Facts = dict[
    str, list[tuple[str, str]]
]  # for each embedded target, what was measured, and how much


def write(
    settings: Params, reports: BundleReports, gates: Gates, facts: Facts, bundle: str
) -> None:
    """Writes the page, the same bytes for the same reports.

    `gates` has for each gate the sentences on its failures, `bundle` is the path that the bundle
    has or would have.
    """
    context = {
        "digest": page_inputs.DIGEST.format(page_inputs.digest(settings)),
        "problem": settings.problem,
        "pictures": pictures(reports),
        **sections(settings, reports, gates, facts, bundle),
    }
    # A file name that is not UTF-8 can be the name of a class.
    atomic.write_bytes(page_inputs.PAGE, render(context).encode("utf-8", "replace"))


def sections(
    settings: Params, reports: BundleReports, gates: Gates, facts: Facts, bundle: str
) -> dict[str, Any]:
    """What the template shows, but for the pictures."""
    rows = summary.rows()
    columns = summary.columns(rows)
    return {
        "failed": [name for name, failures in gates.items() if failures],
        "bundle": bundle,
        "gates": page_gates.gate_verdicts(settings, reports, gates),
        "files": page_files.file_verdicts(reports),
        "score": page_gates.score(reports),
        "test": reports.evaluate,
        "is_number": isinstance(reports.evaluate, NumberReport),
        "number_remarks": page_gates.number_remarks(reports),
        "diagnosis": reports.diagnose,
        "healthy": reports.diagnose.verdict == HEALTHY,
        "train": reports.train,
        "classes": page_data.class_rows(reports),
        "groups": page_data.group_rows(reports),
        "groups_in_words": page_data.groups_in_words(reports),
        "shown": SHOWN_ROWS,
        "splits": page_data.split_rows(reports.preprocess),
        "corrected": reports.preprocess.corrected,
        "warnings": page_data.data_warnings(reports.preprocess),
        "columns": list(columns),
        "rows": result_row.cells(columns, rows),
        "notes": result_notes.notes(reports.verify),
        "pairs": pair_table.pair_rows(reports),
        "targets": reports.embed.targets,
        "facts": facts,
        "steps": page_steps.next_steps(settings, reports, gates, bundle),
        "text_columns": summary.TEXT_COLUMNS,
        "signs": SIGNS,
        "meanings": meanings(reports),
    }


def meanings(reports: BundleReports) -> dict[str, str]:
    if isinstance(reports.evaluate, EvaluationReport):
        words = f"the {reports.evaluate.score.words} lost"
        return {name: text.replace("the accuracy lost", words) for name, text in MEANINGS.items()}
    proven = "the upper 95 % bound of the error added is within what is allowed"
    others = {name: meaning.replace("loss", "added error") for name, meaning in MEANINGS.items()}
    return {**others, PROVEN: proven}


def render(context: dict[str, Any]) -> str:
    environment = html.environment(Path(__file__).parent)
    environment.filters["percent"] = percent
    environment.filters["shorten"] = shorten
    return environment.get_template(TEMPLATE).render(context)


def shorten(text: str) -> str:
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 1]}…"


def pictures(reports: BundleReports) -> dict[str, dict[str, str]]:
    """For each picture its caption, its path, and its contents unless it is too large."""
    result = {}
    is_number = isinstance(reports.evaluate, NumberReport)
    captions = page_inputs.PICTURES | (page_inputs.NUMBER_PICTURES if is_number else {})
    for name, caption in captions.items():
        path = page_inputs.picture(name)
        png = path.read_bytes()
        fits = int.from_bytes(png[16:20]) * int.from_bytes(png[20:24]) <= MOST_PIXELS
        data = base64.b64encode(png).decode() if fits else ""
        result[name] = {"caption": caption, "path": str(path), "data": data}
    return result
