"""What a model's run in MLflow contains: params, metrics, tables, tags and files."""

from __future__ import annotations

import csv
import getpass
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.config import params
from pipeline.files import artifacts, digests
from pipeline.files.reports.baseline import ErrorScore
from pipeline.files.reports.evaluate import EvaluationReport
from pipeline.files.reports.run import RunReports
from pipeline.process import git
from pipeline.reporting import page_inputs
from pipeline.tracking import overview
from pipeline.verification.device_metrics import device_metrics

FOLDERS = (artifacts.REPORTS, artifacts.EXPORTED, artifacts.MODEL.parent, artifacts.DIST)
# Prefix of the tag that holds the current value of a param that has changed.
NOW = "now."
MOST_TAGS = 100  # MLflow's limit for one call
LONGEST_PARAM = 6000  # characters
FILES = (params.FILE, Path("dvc.lock"))


def log_settings(client: Any, run: Any, reports: RunReports, model_sha256: str) -> None:
    from mlflow.entities import Param, RunTag

    settings = flat(YAML(typ="safe").load(params.FILE.read_text(encoding="utf-8")))
    values = {name: str(value)[:LONGEST_PARAM] for name, value in settings.items()}
    new_params = [
        Param(name, value) for name, value in values.items() if name not in run.data.params
    ]
    client.log_batch(run.info.run_id, params=new_params)
    new_tags = {
        **tags(model_sha256, reports),
        **overview.note_tags(run, reports),
        **changed_params(values, run),
    }
    run_tags = [RunTag(*tag) for tag in new_tags.items()]
    for start in range(0, len(run_tags), MOST_TAGS):
        client.log_batch(run.info.run_id, tags=run_tags[start : start + MOST_TAGS])


def log_figures(client: Any, run: Any, reports: RunReports) -> None:
    from mlflow.entities import Metric
    from mlflow.utils.time import get_current_time_millis

    now = get_current_time_millis()
    metrics = [
        Metric(name, value, now, 0)
        for name, value in figures(reports).items()
        if run.data.metrics.get(name) != value
    ]
    client.log_batch(run.info.run_id, metrics=metrics)


def changed_params(values: dict[str, str], run: Any) -> dict[str, str]:
    """A tag for each param that differs from the last logged value: params in MLflow are final."""
    logged = {
        name: run.data.tags.get(f"{NOW}{name}", value) for name, value in run.data.params.items()
    }
    return {
        f"{NOW}{name}": value for name, value in values.items() if logged.get(name, value) != value
    }


def flat(values: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries as one, with keys joined by dots."""
    if isinstance(values, dict):
        return {
            name: value
            for key, inner in values.items()
            for name, value in flat(inner, f"{prefix}{key}.").items()
        }
    return {prefix[:-1]: values}


def figures(reports: RunReports) -> dict[str, float]:
    """The figures that are compared between runs: those of `dvc metrics`, and sizes on devices."""
    metrics = overview.figures(reports)
    if reports.train:
        metrics |= {f"kept.{name}": value for name, value in reports.train.metrics.items()}
    if reports.baseline:
        score = reports.baseline.test_score
        name = "error" if isinstance(score, ErrorScore) else "accuracy"
        metrics[f"baseline_test_{name}"] = getattr(score, name)
    if reports.evaluate:
        metrics |= reports.evaluate.metrics
    metrics |= flat(device_metrics(reports.verify.here if reports.verify else []))
    for target, name, value in measured(reports):
        if "_bytes" in name and isinstance(value, int):
            metrics[f"{target}.{name}"] = value
    return metrics


def measured(reports: RunReports) -> list[tuple[str, str, Any]]:
    """Every measurement of `embed`: the target, its name and its value."""
    return [
        (row.target, name, value)
        for row in (reports.embed.targets if reports.embed else ())
        for name, value in flat(row.figures).items()
    ]


def log_tables(client: Any, run: Any, reports: RunReports) -> None:
    """Figures on every pair, class and target, which would be hundreds of metrics."""
    logged = json.loads(run.data.tags.get("tables", "{}"))
    texts = {name: as_csv(rows) for name, rows in tables(reports).items() if rows}
    digest_of = {name: digests.of_facts([text]) for name, text in texts.items()}
    for name, text in texts.items():
        if logged.get(name) != digest_of[name]:
            client.log_text(run.info.run_id, text, f"tables/{name}.csv")
    client.set_tag(run.info.run_id, "tables", json.dumps({**logged, **digest_of}))


def tables(reports: RunReports) -> dict[str, list[dict[str, Any]]]:
    pairs = reports.verify.pairs if reports.verify else ()
    judged = reports.evaluate
    classes = judged.per_class if isinstance(judged, EvaluationReport) else {}
    columns = ("target", "figure", "value")
    return {
        "pairs": [cells(pair.model_dump(exclude={"requirements"})) for pair in pairs],
        "classes": [
            {"class": name, **cells(scores.model_dump())} for name, scores in classes.items()
        ],
        "devices": [dict(zip(columns, row, strict=True)) for row in measured(reports)],
    }


def cells(values: dict[str, Any]) -> dict[str, Any]:
    """What is known of these values, with two columns for each interval."""
    result = {}
    for name, value in flat(values).items():
        if isinstance(value, tuple):
            result[f"{name}.low"], result[f"{name}.high"] = value
        elif value is not None:
            result[name] = value
    return result


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """The rows with a header. Not every row has every field."""
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def tags(model_sha256: str, reports: RunReports) -> dict[str, str]:
    result = {
        "model_sha256": model_sha256,
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": "edgeproof",
        "mlflow.user": getpass.getuser(),
    }
    if reports.diagnose:
        result["diagnosis"] = reports.diagnose.verdict
    result |= verdicts(reports)
    if commit := git.commit():
        result["git_commit"] = result["mlflow.source.git.commit"] = commit
    if Path("dvc.lock").exists():
        result["dvc_lock_sha256"] = artifacts.sha256(Path("dvc.lock"))
    if "DVC_EXP_NAME" in os.environ:
        result["DVC_EXP_NAME"] = os.environ["DVC_EXP_NAME"]
    return result


def verdicts(reports: RunReports) -> dict[str, str]:
    """The verdict on each file, runtime and processor, and whether the gates of `package` pass."""
    result = {
        f"verdict.{pair.format}.{pair.runtime}.{pair.processor}": str(pair.state)
        for pair in (reports.verify.pairs if reports.verify else ())
    }
    # In this order MLflow's page shows them.
    return overview.gate_tags(reports) | result


def is_stale(path: Path, reports: set[str]) -> bool:
    """Whether a file in reports/ is left behind by an earlier model."""
    if path == page_inputs.PAGE:
        return page_inputs.current_page() is None
    return path.suffix == ".json" and path.stem not in reports


def log_files(client: Any, run: Any, reports: set[str]) -> None:
    """Uploads files that are new or changed.

    Skips the files of stages that have not yet processed this model.
    """
    stale = {artifacts.EXPORTED: "export", artifacts.DIST: "package"}
    folders = [folder for folder in FOLDERS if stale.get(folder, "train") in reports]
    paths = [*FILES, *(path for folder in folders for path in sorted(folder.glob("*")))]
    paths = [
        path
        for path in paths
        if path.is_file() and not (path.parent == artifacts.REPORTS and is_stale(path, reports))
    ]
    logged = json.loads(run.data.tags.get("files", "{}"))
    current = {str(path): artifacts.sha256(path)[:12] for path in paths}
    for path in paths:
        if logged.get(str(path)) != current[str(path)]:
            folder = str(path.parent) if path.parent != Path() else None
            client.log_artifact(run.info.run_id, str(path), folder)
    client.set_tag(run.info.run_id, "files", json.dumps({**logged, **current}))
