"""What MLflow's own pages show first of a run: its verdict in sentences, gates as tags, figures."""

from __future__ import annotations

import hashlib
from typing import Any

from pipeline.bundle import gates
from pipeline.config import params
from pipeline.files.reports.evaluate import EvaluationReport, NumberReport
from pipeline.files.reports.run import RunReports
from pipeline.reporting import page_gates
from pipeline.tracking.store import NOTE
from pipeline.verification.device_metrics import device_metrics

LONGEST_TAG = 5000  # characters
# The digest of what was last written into NOTE, so that a description that a person has edited is
# kept. MLflow's pages hide tags with its own prefix.
NOTE_DIGEST = "mlflow.edgeproof.description"


def gate_tags(reports: RunReports) -> dict[str, str]:
    """`gate`, with the failures of all gates, and a tag for each of them; none before `embed`."""
    if not (bundled := reports.bundled):
        return {}
    by_gate = gates.by_gate(params.load(), bundled)
    failures = [sentence for sentences in by_gate.values() for sentence in sentences]
    result = {f"gate.{name}": "failed" if by_gate[name] else "passed" for name in by_gate}
    sentence = f"failed: {'; '.join(failures)}"[:LONGEST_TAG] if failures else "passed"
    return {"gate": sentence, **result}


def status(reports: RunReports) -> str:
    """FAILED if a gate failed: a red cross in the list of runs, where tags are not shown."""
    return "FAILED" if gate_tags(reports).get("gate", "passed") != "passed" else "FINISHED"


def description(reports: RunReports) -> str:
    """The verdicts in Markdown, its first line for the list of runs; empty before `diagnose`."""
    lines = []
    if bundled := reports.bundled:
        settings = params.load()
        by_gate = gates.by_gate(settings, bundled)
        failed = sum(bool(sentences) for sentences in by_gate.values())
        lines.append(
            f"No bundle: {failed} of {len(by_gate)} gates failed."
            if failed
            else f"All {len(by_gate)} gates passed."
        )
        for verdict in page_gates.gate_verdicts(settings, bundled, by_gate):
            word = "passed" if verdict.passed else "failed"
            lines.append(f"- **{verdict.title}** {word}: {'; '.join(verdict.sentences)}")
    if reports.diagnose:
        lines.append(f"\nLearning curves: {reports.diagnose.sentence}.")
    return "\n".join(lines).strip()[:LONGEST_TAG]


def note_tags(run: Any, reports: RunReports) -> dict[str, str]:
    """The description of the run, unless a person has written one."""
    note, old = description(reports), run.data.tags.get(NOTE, "")
    ours = not old or run.data.tags.get(NOTE_DIGEST) == _digest(old)
    return {NOTE: note, NOTE_DIGEST: _digest(note)} if note and ours else {}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def figures(reports: RunReports) -> dict[str, float]:
    """The few figures by which runs are told apart, named so that the list can show them."""
    result: dict[str, float] = {}
    if isinstance(reports.evaluate, EvaluationReport):
        result["test_accuracy"] = reports.evaluate.test_accuracy
        result[f"test_{reports.evaluate.score.name}"] = reports.evaluate.score.value
        result["test_loss"] = reports.evaluate.test_loss
        result["worst_recall"] = reports.evaluate.worst_recall
    elif isinstance(reports.evaluate, NumberReport):
        result["test_error"] = reports.evaluate.test_error
        result["r_squared"] = reports.evaluate.r_squared
    bounds = device_metrics(reports.verify.here if reports.verify else [])
    result |= {name: value for name, value in bounds.items() if name.endswith("_bound")}
    if reports.package:
        result["bundle_bytes"] = reports.package.bytes
    return result
