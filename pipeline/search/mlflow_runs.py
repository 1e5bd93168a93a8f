"""A question in MLflow: one run that stands for it, with the report, and its trainings as children."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.config.overrides import written
from pipeline.search.cached_training import Result
from pipeline.tracking import runs
from pipeline.tracking.store import store, warn


class Story:
    """The run called `title`, made where the store has none. A store that is away is told of once, and stops nothing."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.away = False
        self.parent = ""
        self._tell(self._begin)

    def child(
        self, name: str, values: Mapping[str, Any], result: Result, state: str = "FINISHED"
    ) -> None:
        """A training, logged where it is not yet."""

        def log(client: Any, experiment: str) -> None:
            mine = {"part_of": self.title, "training_key": result.key, "part": name}
            if runs.find(client, experiment, **mine) is not None:
                return
            run = client.create_run(
                experiment, tags={**mine, "mlflow.parentRunId": self.parent}, run_name=name
            )
            for key, value in values.items():
                client.log_param(run.info.run_id, key, written(value))
            for row in result.rows:
                runs.log_row(client, run, row)
            for metric, value in {
                "kept.validation_accuracy": result.accuracy,
                "kept.validation_loss": result.loss,
            }.items():
                client.log_metric(run.info.run_id, metric, value)
            client.set_terminated(run.info.run_id, state)

        self._tell(log)

    def end(self, sentence: str, files: Sequence[Path], figures: Mapping[str, float]) -> None:
        """The answer, and the files that show it."""

        def log(client: Any, experiment: str) -> None:
            for path in files:
                client.log_artifact(self.parent, str(path))
            for name, value in figures.items():
                client.log_metric(self.parent, name, value)
            client.set_tag(self.parent, "mlflow.note.content", sentence)
            client.set_terminated(self.parent)

        self._tell(log)

    def _begin(self, client: Any, experiment: str) -> None:
        run = runs.find(client, experiment, search=self.title)
        run = run or client.create_run(experiment, tags={"search": self.title}, run_name=self.title)
        self.parent = run.info.run_id

    def _tell(self, log: Callable[[Any, str], None]) -> None:
        if self.away:
            return
        try:
            with store() as (client, experiment):
                log(client, experiment)
        except Exception as error:  # whatever the store does, the question goes on
            self.away = True
            warn(error, "the same command logs it later")
