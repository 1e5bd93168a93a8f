"""What of the files that lie here belongs into a model's run in MLflow: params, figures, tags and the files themselves."""

from __future__ import annotations

import json
import os
import subprocess
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.bundle import gates
from pipeline.config import params
from pipeline.config.processors import NATIVE
from pipeline.files import artifacts

REPORTS = (
    "preprocess",
    "baseline",
    "train",
    "diagnose",
    "evaluate",
    "export",
    "verify",
    "embed",
    "package",
)
JUDGED = {"evaluate", "export", "verify", "embed"}  # by the gates of package
FOLDERS = (artifacts.REPORTS, artifacts.EXPORTED, artifacts.MODEL.parent, artifacts.DIST)
FIGURES = (
    "accuracy",
    "accuracy_lost_bound",
    "agreement",
    "bytes",
    "median_milliseconds",
    "arena_bytes",
)
EMULATED_FIGURES = ("agreement", "largest_difference", "golden_difference")
NOW = "now."  # before the name of a param, in the tag that holds what it has become
MOST_TAGS = 100  # that MLflow takes at a time
LONGEST_TAG = 5000  # letters
LONGEST_NAME = 200  # letters of a class in the name of a metric, to which MLflow allows 250
FILES = (params.FILE, Path("dvc.lock"))


def current_reports(model: str) -> dict[str, Any]:
    """The reports that speak of this model; one that an earlier model left behind does not."""
    paths = {name: artifacts.report(name) for name in REPORTS}
    reports = {name: artifacts.load_json(path) for name, path in paths.items() if path.exists()}
    current = {"model_sha256": model, "training_key": reports["train"]["training_key"]}
    return {
        name: report
        for name, report in reports.items()
        if all(report.get(key, value) == value for key, value in current.items())
    }


def log_settings(client: Any, run: Any, reports: dict[str, Any], model: str) -> None:
    from mlflow.entities import Param, RunTag

    values = {
        name: str(value)[:6000]
        for name, value in flat(
            YAML(typ="safe").load(params.FILE.read_text(encoding="utf-8"))
        ).items()
    }
    new_params = [
        Param(name, value) for name, value in values.items() if name not in run.data.params
    ]
    new_tags = {**tags(model, reports), **changed(values, run)}
    client.log_batch(run.info.run_id, params=new_params)
    named = [RunTag(*tag) for tag in new_tags.items()]
    for start in range(0, len(named), MOST_TAGS):
        client.log_batch(run.info.run_id, tags=named[start : start + MOST_TAGS])


def log_figures(client: Any, run: Any, reports: dict[str, Any]) -> None:
    from mlflow.entities import Metric
    from mlflow.utils.time import get_current_time_millis

    now = get_current_time_millis()
    metrics = [
        Metric(name, value, now, 0)
        for name, value in figures(reports).items()
        if run.data.metrics.get(name) != value
    ]
    client.log_batch(run.info.run_id, metrics=metrics)


def changed(values: dict[str, str], run: Any) -> dict[str, str]:
    """A tag for each param that is another since the run was begun, or was for a time: MLflow lets no param change."""
    known = {
        name: run.data.tags.get(f"{NOW}{name}", value) for name, value in run.data.params.items()
    }
    return {
        f"{NOW}{name}": value for name, value in values.items() if known.get(name, value) != value
    }


def flat(values: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(values, dict):
        return {
            name: value
            for key, inner in values.items()
            for name, value in flat(inner, f"{prefix}{key}.").items()
        }
    return {prefix[:-1]: values}


def figures(reports: dict[str, Any]) -> dict[str, float]:
    """Every figure of the reports that one compares between runs."""
    found: dict[str, float] = {}
    for name, value in reports.get("train", {}).items():
        if isinstance(value, int | float):
            found[f"kept.{name}"] = value
    if "baseline" in reports:
        found["baseline_test_accuracy"] = reports["baseline"]["test_accuracy"]
    if "evaluate" in reports:
        found |= {name: reports["evaluate"][name] for name in ("test_accuracy", "test_loss")}
        per_class = reports["evaluate"]["per_class"]
        for name, scores in zip(metric_names(list(per_class)), per_class.values(), strict=True):
            found |= {f"test_{score}.{name}": value for score, value in scores.items()}
    for pair in reports.get("verify", {}).get("pairs", []):
        there = "" if pair["processor"] == NATIVE else f".{pair['processor']}"
        names = FIGURES if pair["processor"] == NATIVE else EMULATED_FIGURES
        found |= {
            f"{pair['format']}.{pair['runtime']}{there}.{name}": pair[name]
            for name in names
            if name in pair
        }
    for row in reports.get("embed", {}).get("targets", []):
        numbers = {
            name: value
            for name, value in row.get("measured", {}).items()
            if isinstance(value, int | float)
        }
        found |= {f"embedded.{row['target']}.{name}": value for name, value in numbers.items()}
    return found


def metric_names(labels: Sequence[str]) -> list[str]:
    """For each class a name of letters that MLflow takes, distinct for distinct classes.

    What it does not take becomes an underscore, or, where two classes would share a name, the sign's name in Unicode.
    """
    names = [_allowed(label, "_") for label in labels]
    shared = {name for name, count in Counter(names).items() if count > 1}
    for index, label in enumerate(labels):
        if names[index] in shared:
            spelled = "".join(
                _allowed(sign, f"_{unicodedata.name(sign, f'{ord(sign):x}').lower()}_")
                for sign in label
            )
            names[index] = spelled[:LONGEST_NAME]
    for index in range(len(names)):
        while names[index] in names[:index]:
            names[index] += f".{index}"
    return names


def _allowed(text: str, other: str) -> str:
    return "".join(sign if sign.isalnum() or sign in "_-. " else other for sign in text)[
        :LONGEST_NAME
    ]


def tags(model: str, reports: dict[str, Any]) -> dict[str, str]:
    result = {"model_sha256": model}
    if "diagnose" in reports:
        result["diagnosis"] = reports["diagnose"]["verdict"]
    result |= verdicts(reports)
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    if commit.returncode == 0:
        result["git_commit"] = commit.stdout.strip()
    if Path("dvc.lock").exists():
        result["dvc_lock_sha256"] = artifacts.sha256(Path("dvc.lock"))
    if "DVC_EXP_NAME" in os.environ:
        result["DVC_EXP_NAME"] = os.environ["DVC_EXP_NAME"]
    return result


def verdicts(reports: dict[str, Any]) -> dict[str, str]:
    """The verdict on each file, runtime and processor, and whether `package` has a gate that stops them."""
    pairs = reports.get("verify", {}).get("pairs", [])
    found = {
        f"verdict.{pair['format']}.{pair['runtime']}.{pair['processor']}": str(pair["state"])
        for pair in pairs
    }
    if reports.keys() >= JUDGED:
        failed = gates.failures(params.load(), reports)
        found["gate"] = f"failed: {'; '.join(failed)}"[:LONGEST_TAG] if failed else "passed"
    return found


def log_files(client: Any, run: Any, reports: set[str]) -> None:
    """Uploads the files that the run lacks or has otherwise. Those of stages that have not yet seen this model stay out."""
    stale = {artifacts.EXPORTED: "export", artifacts.DIST: "package"}
    folders = [folder for folder in FOLDERS if stale.get(folder, "train") in reports]
    paths = [*FILES, *(path for folder in folders for path in sorted(folder.glob("*")))]
    paths = [
        path
        for path in paths
        if path.is_file() and not (path.suffix == ".json" and path.stem in set(REPORTS) - reports)
    ]
    known = json.loads(run.data.tags.get("files", "{}"))
    logged = {str(path): artifacts.sha256(path)[:12] for path in paths}
    for path in paths:
        if known.get(str(path)) != logged[str(path)]:
            client.log_artifact(
                run.info.run_id, str(path), str(path.parent) if path.parent != Path() else None
            )
    client.set_tag(run.info.run_id, "files", json.dumps({**known, **logged}))
