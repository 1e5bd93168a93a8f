"""What MLflow's own pages show first of a run: its verdict in sentences, gates as tags, figures."""

from __future__ import annotations

import hashlib
from typing import Any

from pipeline.bundle import gates
from pipeline.config import params
from pipeline.reporting import page_sections
from pipeline.verification.device_metrics import device_metrics

LONGEST_TAG = 5000  # characters
# The reports that the gates of `package` read.
JUDGED = {"evaluate", "export", "verify", "embed"}
NOTE = "mlflow.note.content"
# The digest of what was last written into NOTE, so that a description that a person has edited is
# kept. MLflow's pages hide tags with its own prefix.
NOTE_DIGEST = "mlflow.edgeproof.description"


def gate_tags(reports: dict[str, Any]) -> dict[str, str]:
    """`gate`, with the failures of all gates, and a tag for each of them; none before `embed`."""
    if not reports.keys() >= JUDGED:
        return {}
    by_gate = gates.by_gate(params.load(), reports)
    failures = [sentence for sentences in by_gate.values() for sentence in sentences]
    result = {f"gate.{name}": "failed" if by_gate[name] else "passed" for name in by_gate}
    sentence = f"failed: {'; '.join(failures)}"[:LONGEST_TAG] if failures else "passed"
    return {"gate": sentence, **result}


def status(reports: dict[str, Any]) -> str:
    """FAILED if a gate failed: a red cross in the list of runs, where tags are not shown."""
    return "FAILED" if gate_tags(reports).get("gate", "passed") != "passed" else "FINISHED"


def description(reports: dict[str, Any]) -> str:
    """The verdicts in Markdown, its first line for the list of runs; empty before `diagnose`."""
    lines = []
    if reports.keys() >= {*JUDGED, "baseline"}:
        settings = params.load()
        by_gate = gates.by_gate(settings, reports)
        failed = sum(bool(sentences) for sentences in by_gate.values())
        lines.append(
            f"No bundle: {failed} of {len(by_gate)} gates failed."
            if failed
            else f"All {len(by_gate)} gates passed."
        )
        for verdict in page_sections.gate_verdicts(settings, reports, by_gate):
            word = "passed" if verdict.passed else "failed"
            lines.append(f"- **{verdict.title}** {word}: {'; '.join(verdict.sentences)}")
    if "diagnose" in reports:
        lines.append(f"\nLearning curves: {reports['diagnose']['sentence']}.")
    return "\n".join(lines).strip()[:LONGEST_TAG]


def note_tags(run: Any, reports: dict[str, Any]) -> dict[str, str]:
    """The description of the run, unless a person has written one."""
    note, old = description(reports), run.data.tags.get(NOTE, "")
    ours = not old or run.data.tags.get(NOTE_DIGEST) == _digest(old)
    return {NOTE: note, NOTE_DIGEST: _digest(note)} if note and ours else {}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def figures(reports: dict[str, Any]) -> dict[str, float]:
    """The few figures by which runs are told apart, named so that the list can show them."""
    result: dict[str, float] = {}
    if "evaluate" in reports:
        result |= {name: reports["evaluate"][name] for name in ("test_accuracy", "test_loss")}
        scores = reports["evaluate"]["per_class"].values()
        result["worst_recall"] = min(score["recall"] for score in scores)
    bound = device_metrics(reports.get("verify", {}).get("pairs", [])).get("accuracy_lost_bound")
    if bound is not None:
        result["accuracy_lost_bound"] = bound
    if "package" in reports:
        result["bundle_bytes"] = reports["package"]["bytes"]
    return result
