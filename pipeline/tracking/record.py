"""What a model's run in MLflow contains: params, metrics, tags and files."""

from __future__ import annotations

import getpass
import json
import os
import subprocess
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.config import params
from pipeline.files import artifacts
from pipeline.files.reports.baseline import ErrorScore
from pipeline.files.reports.evaluate import EvaluationReport
from pipeline.files.reports.run import RunReports
from pipeline.files.reports.verify import ComparedPair
from pipeline.reporting import page_inputs
from pipeline.tracking import overview

FOLDERS = (artifacts.REPORTS, artifacts.EXPORTED, artifacts.MODEL.parent, artifacts.DIST)
CLASS_FIGURES = ("precision", "recall", "f1")
FIGURES = (
    "accuracy",
    "accuracy_lost_bound",
    "agreement",
    "error",
    "error_added_bound",
    "bytes",
    "median_milliseconds",
    "arena_bytes",
)
EMULATED_FIGURES = ("agreement", "largest_difference", "golden_difference")
# Prefix of the tag that holds the current value of a param that has changed.
NOW = "now."
MOST_TAGS = 100  # MLflow's limit for one call
LONGEST_PARAM = 6000  # characters
# Characters of a class in the name of a metric, for which MLflow allows 250 in all.
LONGEST_NAME = 200
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
    """Every figure of the reports that is compared between runs."""
    metrics = overview.figures(reports)
    for name, value in reports.train or ():
        if isinstance(value, int | float):
            metrics[f"kept.{name}"] = value
    if reports.baseline:
        score = reports.baseline.test_score
        name = "error" if isinstance(score, ErrorScore) else "accuracy"
        metrics[f"baseline_test_{name}"] = getattr(score, name)
    if isinstance(reports.evaluate, EvaluationReport):
        per_class = reports.evaluate.per_class
        for name, scores in zip(metric_names(list(per_class)), per_class.values(), strict=True):
            metrics |= {f"test_{score}.{name}": getattr(scores, score) for score in CLASS_FIGURES}
    for pair in reports.verify.pairs if reports.verify else ():
        where = "" if pair.is_native else f".{pair.processor}"
        for name in FIGURES if pair.is_native else EMULATED_FIGURES:
            value = getattr(pair, name, None)
            if value is not None:
                metrics[f"{pair.format}.{pair.runtime}{where}.{name}"] = value
        if isinstance(pair, ComparedPair) and pair.others:
            metrics[f"{pair.format}.{pair.runtime}.others_rejected"] = pair.others.share
    for row in reports.embed.targets if reports.embed else ():
        for name, value in (row.measured or {}).items():
            if isinstance(value, int | float):
                metrics[f"embedded.{row.target}.{name}"] = value
    return metrics


def metric_names(labels: Sequence[str]) -> list[str]:
    """A name that MLflow accepts for each class, distinct for distinct classes.

    Other characters become underscores, or their Unicode names if two classes would share a name.
    """
    names = [_allowed(label, "_") for label in labels]
    shared = {name for name, count in Counter(names).items() if count > 1}
    for index, label in enumerate(labels):
        if names[index] in shared:
            spelled = "".join(
                _allowed(char, f"_{unicodedata.name(char, f'{ord(char):x}').lower()}_")
                for char in label
            )
            names[index] = spelled[:LONGEST_NAME]
    for index in range(len(names)):
        while names[index] in names[:index]:
            names[index] += f".{index}"
    return names


def _allowed(text: str, replacement: str) -> str:
    allowed = (char if char.isalnum() or char in "_-. " else replacement for char in text)
    return "".join(allowed)[:LONGEST_NAME]


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
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    if commit.returncode == 0:
        result["git_commit"] = result["mlflow.source.git.commit"] = commit.stdout.strip()
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
    digests = {str(path): artifacts.sha256(path)[:12] for path in paths}
    for path in paths:
        if logged.get(str(path)) != digests[str(path)]:
            folder = str(path.parent) if path.parent != Path() else None
            client.log_artifact(run.info.run_id, str(path), folder)
    client.set_tag(run.info.run_id, "files", json.dumps({**logged, **digests}))
