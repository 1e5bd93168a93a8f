"""MLflow: one run for each trained model, found by the SHA-256 of the model file.

    python -m pipeline.tracking sync     logs what the store lacks of the files that lie here

The reports are the journal: all that a run holds stands in files first, so a store that is away stops nothing, and a
model that DVC restored from its cache gets its run from the same files.
"""

from __future__ import annotations

import fcntl
import json
import os
import queue
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline import artifacts, learning_curves, params, registry, stage
from pipeline.learning_curves import Row

REPORTS = ("preprocess", "baseline", "train", "diagnose", "evaluate", "export", "verify", "package")
FOLDERS = (artifacts.REPORTS, artifacts.EXPORTED, artifacts.MODEL.parent, artifacts.DIST)
FILES = (params.FILE, Path("dvc.lock"))
JOIN_SECONDS = 30
PARENT = "MLFLOW_PARENT_RUN_ID"  # where a search sets it, its trainings are children of that run


def home() -> Path:
    """The user's checkout, also from the copy that DVC makes of it for a queued experiment."""
    here = Path.cwd()
    parts = here.parts
    for index in range(len(parts) - 2):
        if parts[index : index + 3] == (".dvc", "tmp", "exps"):
            return Path(*parts[:index])
    return here


def address() -> str:
    """MLFLOW_TRACKING_URI, or a SQLite file in the user's checkout; absolute, because experiments run elsewhere."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home() / 'mlflow.db'}"


@contextmanager
def store() -> Iterator[tuple[Any, str]]:
    """A client of the store and the id of the experiment. One process at a time creates or changes a local store."""
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    with _lock(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import logging

        logging.getLogger("mlflow").setLevel(logging.ERROR)
        logging.getLogger("alembic").setLevel(logging.ERROR)
        import mlflow

        mlflow.set_tracking_uri(address())
        client = mlflow.MlflowClient()
        name = params.load().problem.name
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            location = (home() / "mlruns").as_uri() if address().startswith("sqlite:") else None
            yield client, client.create_experiment(name, artifact_location=location)
        else:
            yield client, experiment.experiment_id


@contextmanager
def _lock() -> Iterator[None]:
    path = home() / artifacts.STATE / "mlflow.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def warn(error: Exception) -> None:
    reason = " ".join(str(error).split())[:200]
    print(
        f"warning: MLflow at {address()} did not take the record ({type(error).__name__}: {reason}); "
        "nothing is lost, `python -m pipeline.tracking sync` logs it later",
        file=sys.stderr,
        flush=True,
    )


@contextmanager
def live(training_key: str) -> Iterator[Callable[[Row], None]]:
    """A function that shows each epoch in MLflow while the training runs, without ever waiting for MLflow."""
    rows: queue.Queue[Row | None] = queue.Queue()
    thread = threading.Thread(target=_follow, args=(training_key, rows), daemon=True)
    thread.start()
    try:
        yield rows.put
    finally:
        rows.put(None)
        thread.join(JOIN_SECONDS)


def _follow(training_key: str, rows: queue.Queue[Row | None]) -> None:
    try:
        with store() as (client, experiment):
            run = find(client, experiment, training_key=training_key) or create(client, experiment, training_key)
            known = logged_epochs(client, run)
        while (row := rows.get()) is not None:
            if int(row["epoch"]) not in known:
                log_row(client, run, row)
    except Exception as error:  # whatever the store does, training goes on
        warn(error)


def find(client: Any, experiment: str, **tags: str) -> Any | None:
    """The oldest run with these tags."""
    query = " and ".join(f"tags.{name} = '{value}'" for name, value in tags.items())
    found = client.search_runs([experiment], query, order_by=["attributes.start_time ASC"], max_results=1)
    return found[0] if found else None


def create(client: Any, experiment: str, training_key: str) -> Any:
    name = os.environ.get("DVC_EXP_NAME") or f"{params.load().train.architecture}-{training_key[:6]}"
    tags = {"training_key": training_key}
    if PARENT in os.environ:
        tags["mlflow.parentRunId"] = os.environ[PARENT]
    return client.create_run(experiment, tags=tags, run_name=name)


def tell(title: str, ledger: Path, metrics: dict[str, float]) -> str | None:
    """The run that stands for a whole search, with its story so far; its id, or None where the store is away."""
    try:
        with store() as (client, experiment):
            run = find(client, experiment, search=title) or client.create_run(experiment, tags={"search": title}, run_name=title)
            client.log_artifact(run.info.run_id, str(ledger))
            for name, value in metrics.items():
                client.log_metric(run.info.run_id, name, value)
            return str(run.info.run_id)
    except Exception as error:  # the ledger is a file; a store that is away stops nothing
        warn(error)
        return None


def logged_epochs(client: Any, run: Any) -> set[int]:
    return {metric.step for metric in client.get_metric_history(run.info.run_id, "validation_loss")}


def log_row(client: Any, run: Any, row: Row) -> None:
    from mlflow.entities import Metric
    from mlflow.utils.time import get_current_time_millis

    now, step = get_current_time_millis(), int(row["epoch"])
    metrics = [Metric(name, value, now, step) for name, value in row.items() if name != "epoch"]
    client.log_batch(run.info.run_id, metrics=metrics)


def sync() -> bool:
    """Brings the model's run up to date with the files that lie here; True where the store took all of it."""
    try:
        with store() as (client, experiment):
            _sync(client, experiment)
    except Exception as error:  # the files are the record; a store that is away or full stops nothing
        warn(error)
        return False
    return True


def _sync(client: Any, experiment: str) -> None:
    model = artifacts.sha256(artifacts.MODEL)
    reports = current_reports(model)
    key = reports["train"]["training_key"]
    run = find(client, experiment, model_sha256=model) or find(client, experiment, training_key=key) or create(client, experiment, key)
    known = logged_epochs(client, run)
    for row in learning_curves.load(artifacts.LEARNING_CURVES):
        if int(row["epoch"]) not in known:
            log_row(client, run, row)
    run = client.get_run(run.info.run_id)
    log_facts(client, run, reports, model)
    log_files(client, run, set(reports))
    if "package" in reports:
        registry.register(client, run, reports, model)
    client.set_terminated(run.info.run_id)


def current_reports(model: str) -> dict[str, Any]:
    """The reports that speak of this model; one that an earlier model left behind does not."""
    paths = {name: artifacts.report(name) for name in REPORTS}
    reports = {name: artifacts.load_json(path) for name, path in paths.items() if path.exists()}
    current = {"model_sha256": model, "training_key": reports["train"]["training_key"]}
    return {name: report for name, report in reports.items() if all(report.get(key, value) == value for key, value in current.items())}


def log_facts(client: Any, run: Any, reports: dict[str, Any], model: str) -> None:
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.utils.time import get_current_time_millis

    values = YAML(typ="safe").load(params.FILE.read_text(encoding="utf-8"))
    new_params = [Param(name, str(value)[:6000]) for name, value in flat(values).items() if name not in run.data.params]
    now = get_current_time_millis()
    metrics = [Metric(name, value, now, 0) for name, value in figures(reports).items() if run.data.metrics.get(name) != value]
    client.log_batch(run.info.run_id, metrics=metrics, params=new_params, tags=[RunTag(*tag) for tag in tags(model, reports).items()])


def flat(values: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(values, dict):
        return {name: value for key, inner in values.items() for name, value in flat(inner, f"{prefix}{key}.").items()}
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
        for label, scores in reports["evaluate"]["per_class"].items():
            found |= {f"test_{score}.{_metric_name(label)}": value for score, value in scores.items()}
    for pair in reports.get("verify", {}).get("pairs", []):
        for name in ("accuracy", "accuracy_lost_bound", "agreement", "bytes", "median_milliseconds", "arena_bytes"):
            if name in pair:
                found[f"{pair['format']}.{pair['runtime']}.{name}"] = pair[name]
    return found


def _metric_name(label: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "_-. " else "_" for letter in label)


def tags(model: str, reports: dict[str, Any]) -> dict[str, str]:
    result = {"model_sha256": model}
    if "diagnose" in reports:
        result["diagnosis"] = reports["diagnose"]["verdict"]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if commit.returncode == 0:
        result["git_commit"] = commit.stdout.strip()
    if Path("dvc.lock").exists():
        result["dvc_lock_sha256"] = artifacts.sha256(Path("dvc.lock"))
    if "DVC_EXP_NAME" in os.environ:
        result["DVC_EXP_NAME"] = os.environ["DVC_EXP_NAME"]
    return result


def log_files(client: Any, run: Any, reports: set[str]) -> None:
    """Uploads the files that the run lacks or has otherwise. Those of stages that have not yet seen this model stay out."""
    stale = {artifacts.EXPORTED: "export", artifacts.DIST: "package"}
    folders = [folder for folder in FOLDERS if stale.get(folder, "train") in reports]
    paths = [*FILES, *(path for folder in folders for path in sorted(folder.glob("*")))]
    paths = [path for path in paths if path.is_file() and not (path.suffix == ".json" and path.stem in set(REPORTS) - reports)]
    known = json.loads(run.data.tags.get("files", "{}"))
    logged = {str(path): artifacts.sha256(path)[:12] for path in paths}
    for path in paths:
        if known.get(str(path)) != logged[str(path)]:
            client.log_artifact(run.info.run_id, str(path), str(path.parent) if path.parent != Path() else None)
    client.set_tag(run.info.run_id, "files", json.dumps({**known, **logged}))


def main() -> None:
    if sys.argv[1:] != ["sync"]:
        sys.exit("usage: python -m pipeline.tracking sync")
    sys.exit(0 if sync() else 1)


if __name__ == "__main__":
    stage.run(main)
