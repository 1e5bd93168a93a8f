"""MLflow: one run for each trained model, identified by the SHA-256 of the model file.

    edgeproof sync     logs what the store lacks

Everything that a run contains is written to files first. So the pipeline carries on while the store
is unreachable, and a model that DVC restored from its cache gets its run from the same files.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.config import params
from pipeline.files import artifacts
from pipeline.files.reports.run import RunReports
from pipeline.files.reports.train import TrainReport
from pipeline.tracking import datasets, overview, record, registry, view
from pipeline.tracking.store import store, warn
from pipeline.training import learning_curves
from pipeline.training.learning_curves import EPOCH, VALIDATION_LOSS, Row

JOIN_SECONDS = 30
FEW = 10  # runs that one creation may have made
# A search sets this variable, so that its trainings become child runs of the run that it names.
PARENT = "MLFLOW_PARENT_RUN_ID"


@contextmanager
def live(training_key: str) -> Iterator[Callable[[Row], None]]:
    """Gives a function that logs an epoch to MLflow during training and never waits for MLflow."""
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
            run = find(client, experiment, training_key=training_key)
            run = run or create_of_training(client, experiment, training_key)
            logged = logged_epochs(client, run)
        while (row := rows.get()) is not None:
            if int(row[EPOCH]) not in logged:
                log_row(client, run, row)
    except Exception as error:  # training goes on, whatever happens to the store
        warn(error)


def find(client: Any, experiment: str, **tags: str) -> Any | None:
    """The oldest run with these tags."""
    return next(iter(_oldest(client, experiment, tags, 1)), None)


def _oldest(client: Any, experiment: str, tags: dict[str, str], count: int) -> list[Any]:
    query = " and ".join(f"tags.{name} = '{value}'" for name, value in tags.items())
    order = ["attributes.start_time ASC"]
    return list(client.search_runs([experiment], query, order_by=order, max_results=count))


def create(client: Any, experiment: str, name: str, parent: str | None = None, **tags: str) -> Any:
    """A run with these tags, by which it is found.

    MLflow's client asks again if an answer is lost, and then there are two; and two programs may
    create it at the same time. So only the first is kept.
    """
    parents = {} if parent is None else {"mlflow.parentRunId": parent}
    created = client.create_run(experiment, tags={**tags, **parents}, run_name=name)
    first, *others = _oldest(client, experiment, tags, FEW) or [created]
    for other in others:
        if other.info.start_time == created.info.start_time:  # of this creation
            client.delete_run(other.info.run_id)
    return first


def _delete_repetitions(client: Any, experiment: str, run: Any, training_key: str) -> None:
    """Deletes other runs of this training: it ended in a model that had a run, so they never end.

    After a change of code, say, that changes no weight.
    """
    for other in _oldest(client, experiment, {"training_key": training_key}, FEW):
        if other.info.run_id != run.info.run_id and other.info.status == "RUNNING":
            client.delete_run(other.info.run_id)


def create_of_training(client: Any, experiment: str, training_key: str) -> Any:
    default = f"{params.load().train.architecture}-{training_key[:6]}"
    name = os.environ.get("DVC_EXP_NAME") or default
    parent = os.environ.get(PARENT)
    return create(client, experiment, name, parent, training_key=training_key)


def log_search(
    title: str, ledger: Path, metrics: dict[str, float], finished: bool = False
) -> str | None:
    """Logs a search so far to its own run and returns the run's id.

    None if the store is unreachable.
    """
    try:
        with store() as (client, experiment):
            run = find(client, experiment, search=title)
            run = run or create(client, experiment, title, search=title)
            client.log_artifact(run.info.run_id, str(ledger))
            for name, value in metrics.items():
                client.log_metric(run.info.run_id, name, value)
            if finished:
                client.set_terminated(run.info.run_id)
            return str(run.info.run_id)
    except Exception as error:  # the ledger is on disk, so the search can go on
        warn(error)
        return None


def add(model_sha256: str, metrics: dict[str, float], tags: dict[str, str], folder: Path) -> None:
    """Adds an evaluation made after the pipeline had ended to the model's run, as a further step.

    A model without a run gets one.
    """
    try:
        with store() as (client, experiment):
            run = find(client, experiment, model_sha256=model_sha256)
            name = f"field-{model_sha256[:6]}"
            run = run or create(client, experiment, name, model_sha256=model_sha256)
            step = len(client.get_metric_history(run.info.run_id, next(iter(metrics))))
            for metric, value in metrics.items():
                client.log_metric(run.info.run_id, metric, value, step=step)
            for tag, text in tags.items():
                client.set_tag(run.info.run_id, tag, text)
            client.log_artifacts(
                run.info.run_id, str(folder), f"{folder.parent.name}/{folder.name}"
            )
            client.set_terminated(run.info.run_id)
    except Exception as error:  # the report is on disk
        warn(error, "the same command logs it later")


def logged_epochs(client: Any, run: Any) -> set[int]:
    return {metric.step for metric in client.get_metric_history(run.info.run_id, VALIDATION_LOSS)}


def log_row(client: Any, run: Any, row: Row) -> None:
    from mlflow.entities import Metric
    from mlflow.utils.time import get_current_time_millis

    now, step = get_current_time_millis(), int(row[EPOCH])
    metrics = [Metric(name, value, now, step) for name, value in row.items() if name != EPOCH]
    client.log_batch(run.info.run_id, metrics=metrics)


def sync() -> bool:
    """Brings the model's run up to date with the files here; True if everything was logged."""
    try:
        with store() as (client, experiment):
            _sync(client, experiment)
    except Exception as error:  # the files are the record, so a store that fails stops nothing
        warn(error)
        return False
    return True


def _sync(client: Any, experiment: str) -> None:
    model_sha256 = artifacts.sha256(artifacts.MODEL)
    key = TrainReport.load().training_key
    reports = RunReports.of_model(model_sha256, key)
    run = (
        find(client, experiment, model_sha256=model_sha256)
        or find(client, experiment, training_key=key)
        or create_of_training(client, experiment, key)
    )
    _delete_repetitions(client, experiment, run, key)
    logged = logged_epochs(client, run)
    for row in learning_curves.load(artifacts.LEARNING_CURVES):
        if int(row[EPOCH]) not in logged:
            log_row(client, run, row)
    run = client.get_run(run.info.run_id)
    view.describe(client, experiment)
    record.log_settings(client, run, reports, model_sha256)
    if reports.preprocess and artifacts.DESCRIPTION.exists():
        datasets.log(client, run, reports.preprocess)
    record.log_files(client, run, reports.names)
    record.log_tables(client, run, reports)
    if reports.package and reports.evaluate and overview.status(reports) == "FINISHED":
        registry.register(client, run, reports)
    # Last, because MLflow gives the figures of a logged model to the run, too
    record.log_figures(client, client.get_run(run.info.run_id), reports)
    # A later call, such as `edgeproof sync`, does not make the run last longer.
    client.set_terminated(run.info.run_id, overview.status(reports), run.info.end_time)
