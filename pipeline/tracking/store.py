"""MLflow's store of runs, local or on a server, and the warning when it cannot be used."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.config import params
from pipeline.files import artifacts, atomic
from pipeline.process.imports import importing
from pipeline.process.stage import home
from pipeline.tracking import credentials, local_store

NOTE = "mlflow.note.content"  # the tag of a description, of a run or an experiment


def address() -> str:
    """MLFLOW_TRACKING_URI, or a SQLite file in the user's checkout.

    The path is absolute, because DVC runs queued experiments in another folder.
    """
    return os.environ.get("MLFLOW_TRACKING_URI") or local_store.address(home())


@contextmanager
def store() -> Iterator[tuple[Any, str]]:
    """A client of the store and the id of the experiment.

    Holds a lock, so that one process at a time creates or changes a local store.
    """
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    lock = home() / artifacts.STATE / "mlflow.lock"
    with atomic.locked(lock), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import logging

        logging.getLogger("mlflow").setLevel(logging.ERROR)
        logging.getLogger("alembic").setLevel(logging.ERROR)
        name = params.load().problem.name
        if address() == local_store.address(home()):
            local_store.relocate_artifacts(home(), name)
        with importing():
            import mlflow

            mlflow.set_tracking_uri(credentials.moved_to_environment(address()))
        if not address().startswith(("http", "sqlite")):
            _try_a_server_briefly()
        with local_store.migrations():
            with importing():
                client = mlflow.MlflowClient()  # imports the store's database driver
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                location = local_store.artifacts(home()) if address().startswith("sqlite") else None
                yield client, client.create_experiment(name, artifact_location=location)
            else:
                yield client, experiment.experiment_id


def _try_a_server_briefly() -> None:
    """One with a database, for 0.4 seconds: MLflow would try for 102 in each stage.

    It has a setting for HTTP alone.
    """
    from mlflow.store.db import utils

    utils.MAX_RETRY_COUNT = 3


def warn(error: Exception, cure: str = "`edgeproof sync` logs it later") -> None:
    reason = credentials.masked(" ".join(str(error).split()))[:200]
    server = credentials.masked(address())
    print(
        f"warning: MLflow at {server} could not log the run ({type(error).__name__}: {reason}); "
        f"nothing is lost, {cure}",
        file=sys.stderr,
        flush=True,
    )
