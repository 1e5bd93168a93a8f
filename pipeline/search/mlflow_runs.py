"""An analysis in MLflow: one run with the report, and its trainings as children."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.config.overrides import written
from pipeline.search.cached_training import TrainingResult
from pipeline.tracking import runs
from pipeline.tracking.store import store, warn
from pipeline.training.learning_curves import EPOCH


class AnalysisRun:
    """The run named `title`, created if missing. An unreachable store is reported once only."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.unreachable = False
        self.parent = ""
        self._log(self._begin)

    def log_training(
        self, name: str, values: Mapping[str, Any], result: TrainingResult, state: str = "FINISHED"
    ) -> None:
        """Logs a training as a child, or what an interruption has left out of it."""

        def log(client: Any, experiment: str) -> None:
            tags = {"part_of": self.title, "training_key": result.key, "part": name}
            run = runs.find(client, experiment, **tags)
            if run is not None and run.info.status == state:
                return
            run = run or runs.create(client, experiment, name, self.parent, **tags)
            logged = runs.logged_epochs(client, run)
            for key, value in values.items():
                client.log_param(run.info.run_id, key, written(value))
            for row in result.rows:
                if int(row[EPOCH]) not in logged:
                    runs.log_row(client, run, row)
            client.log_metric(run.info.run_id, f"kept.{result.measure}", result.score)
            client.log_metric(run.info.run_id, "kept.validation_loss", result.loss)
            client.set_terminated(run.info.run_id, state)

        self._log(log)

    def finish(self, sentence: str, files: Sequence[Path], figures: Mapping[str, float]) -> None:
        """Logs the conclusion and the report's files."""

        def log(client: Any, experiment: str) -> None:
            for path in files:
                client.log_artifact(self.parent, str(path))
            for name, value in figures.items():
                client.log_metric(self.parent, name, value)
            client.set_tag(self.parent, "mlflow.note.content", sentence)
            client.set_terminated(self.parent)

        self._log(log)

    def _begin(self, client: Any, experiment: str) -> None:
        run = runs.find(client, experiment, search=self.title)
        run = run or runs.create(client, experiment, self.title, search=self.title)
        self.parent = run.info.run_id

    def _log(self, log: Callable[[Any, str], None]) -> None:
        if self.unreachable:
            return
        try:
            with store() as (client, experiment):
                log(client, experiment)
        except Exception as error:  # whatever the store does, the analysis continues
            self.unreachable = True
            warn(error, "the same command logs it later")
