"""The experiment's page in MLflow: what it is about, and a list of runs with the figures in it."""

from __future__ import annotations

import json
from typing import Any

from pipeline.config import params
from pipeline.tracking.store import NOTE, store, warn

# MLflow 3.17 opens every experiment as GenAI, whatever its kind; other versions heed it.
KIND = "mlflow.experimentKind"
KEY = "edgeproof"
VIEW = f"mlflow.sharedViewState.{KEY}"
FIGURES = ["test_accuracy", "worst_recall", "accuracy_lost_bound"]
NUMBER_FIGURES = ["test_error", "r_squared", "error_added_bound"]  # if the model gives a number


def columns(figures: list[str]) -> list[str]:
    """The columns of the list of runs, with these figures."""
    metrics = [f"metrics.`{name}`" for name in (*figures, "bundle_bytes")]
    return ["tags.`gate`", *metrics, "tags.`diagnosis`"]


def describe(client: Any, experiment: str) -> None:
    """Gives the experiment its description, kind and view, and leaves what a person has written."""
    tags = client.get_experiment(experiment).tags
    problem = params.load().problem
    state = {
        "selectedColumns": columns(FIGURES if problem.unit is None else NUMBER_FIGURES),
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
    }
    defaults = {NOTE: problem.statement, KIND: "custom_model_development"}
    changed = {name: value for name, value in defaults.items() if name not in tags}
    for name, value in {**changed, VIEW: json.dumps(state)}.items():
        if tags.get(name) != value:
            client.set_experiment_tag(experiment, name, value)


def link(server: str) -> str:
    """The list of runs on a server, as model training and with its columns.

    If the store is unreachable, the server's home page, which says why.
    """
    try:
        with store() as (client, experiment):
            describe(client, experiment)
    except Exception as error:  # the server runs nevertheless
        warn(error, "the server's page says more")
        return server
    query = f"workflowType=machine_learning&viewStateShareKey={KEY}"
    return f"{server}/#/experiments/{experiment}/runs?{query}"
