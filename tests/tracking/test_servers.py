"""MLflow servers that come late, go down or forget an answer."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest

from pipeline.search.cached_training import TrainingResult
from pipeline.search.mlflow_runs import AnalysisRun
from pipeline.tracking import runs as tracking
from pipeline.training.learning_curves import Row
from tests.conftest import EDGEPROOF, Project
from tests.tracking.conftest import client, free_port, runs, server, stop
from tests.waiting import SECONDS, Hold, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


# A training that takes a second beside the start of TensorFlow.
TINY = {"preprocess.subset": 600, "train.architecture": "mlp", "train.network.hidden": [16]}


@pytest.mark.long
def test_queued_experiments_on_a_fresh_store_create_a_run_each(project: Project) -> None:
    """Two at a time, so that both may find that the store has to be created."""
    project.change(TINY)
    project.run("dvc", "repro", "baseline")
    project.commit()
    names = {f"seed-{seed}" for seed in (1, 2)}
    for seed, name in enumerate(sorted(names), 1):
        settings = ("-S", f"train.seed={seed}", "-S", "train.epochs=1")
        project.run("dvc", "exp", "run", "--queue", "--name", name, *settings, "train")
    project.run("dvc", "queue", "start", "--jobs", "2")

    def ended() -> bool:
        status = project.run("dvc", "queue", "status")
        assert "Failed" not in status, status
        return status.count("Success") == len(names)

    wait_for(ended, every=2)
    project.run("dvc", "queue", "stop")
    assert {run.data.tags["DVC_EXP_NAME"] for run in runs(client(project))} == names


class Forgetful(ThreadingHTTPServer):
    """Passes requests on to a server. Loses every other answer to each request named in `loses`,
    beginning with the first, and does not pass on those named in `refuses`."""

    def __init__(self, port: int, loses: Sequence[str] = (), refuses: Sequence[str] = ()) -> None:
        super().__init__(("127.0.0.1", 0), Forwarding)
        self.behind, self.loses, self.refuses = f"http://127.0.0.1:{port}", loses, refuses
        self.answers = Counter[str]()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def server_close(self) -> None:
        self.shutdown()
        super().server_close()


class Forwarding(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server, path = cast(Forgetful, self.server), self.path.partition("?")[0]
        named = f"{self.command} {path.removeprefix('/api/2.0/mlflow/')}"
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size) if size else None
        self.close_connection = True
        if named in server.refuses:
            return
        passed = {"Content-Type": self.headers.get("Content-Type", "application/json")}
        request = urllib.request.Request(server.behind + self.path, body, passed)
        request.method = self.command
        try:
            with urllib.request.urlopen(request) as answer:
                status, content = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, content = error.code, error.read()
        server.answers[named] += 1
        if named in server.loses and server.answers[named] % 2:
            return
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PATCH = do_PUT = do_DELETE = do_POST  # noqa: N815 - names of the standard library

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.attacks
def test_a_run_is_there_once_although_the_answer_to_its_creation_was_lost(
    project: Project,
) -> None:
    from mlflow.entities import ViewType

    with proxied(project) as (proxy, _):
        proxy.loses = ["POST runs/create"]
        through = client(project, proxy.address)
        experiment = through.create_experiment("lossy")
        titles = [f"title {number}" for number in range(5)]
        created = [tracking.create(through, experiment, "one", search=title) for title in titles]
        stored = through.search_runs([experiment])
        assert {run.info.run_id for run in stored} == {run.info.run_id for run in created}
        assert len(stored) == len(titles)
        deleted = through.search_runs([experiment], run_view_type=ViewType.DELETED_ONLY)
        assert len(deleted) == len(titles), "the client asked twice"


# What registering a bundle asks of MLflow's server, in that order.
REGISTERING = (
    "POST logged-models",
    "POST registered-models/create",
    "POST model-versions/create",
    "POST registered-models/alias",
    "PATCH model-versions/update",
)


@pytest.mark.attacks
def test_a_bundle_is_registered_once_wherever_the_server_fails(
    finished: Project, tmp_path: Path
) -> None:
    """Each upload fails at another request, and the last one goes on from there."""
    project = finished.copy(tmp_path / "project")
    with proxied(project) as (proxy, store):
        for request in REGISTERING:
            proxy.refuses = [request]
            failed = project.attempt(*EDGEPROOF, "sync", MLFLOW_TRACKING_URI=proxy.address)
            assert failed.returncode == 1, request
            assert failed.stderr.count("nothing is lost, `edgeproof sync` logs it later") == 1
            assert "Traceback" not in failed.stderr
        proxy.refuses = []
        project.run(*EDGEPROOF, "sync", MLFLOW_TRACKING_URI=proxy.address)
        is_registered_once(project, store)


@pytest.mark.attacks
def test_a_bundle_is_registered_once_although_answers_were_lost(
    finished: Project, tmp_path: Path
) -> None:
    project = finished.copy(tmp_path / "project")
    with proxied(project) as (proxy, store):
        proxy.loses = REGISTERING
        project.run(*EDGEPROOF, "sync", MLFLOW_TRACKING_URI=proxy.address)
        assert all(proxy.answers[request] >= 2 for request in REGISTERING)
        is_registered_once(project, store)


@pytest.mark.attacks
def test_a_training_of_an_analysis_is_logged_whole_wherever_the_server_fails(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[Row] = [
        {"epoch": epoch, "validation_accuracy": 0.9, "validation_loss": 0.4} for epoch in (1.0, 2.0)
    ]
    result = TrainingResult("key", rows, kept=2, validation_examples=100)
    monkeypatch.chdir(project.folder)
    with proxied(project) as (proxy, store):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.address)
        for refused in ("log-parameter", "log-batch", "log-metric", "update", None):
            proxy.refuses = [f"POST runs/{refused}"]
            AnalysisRun("folds").log_training("fold 1", {"train.epochs": 2}, result)
        (part,) = [run for run in runs(store) if "part" in run.data.tags]
        assert part.info.status == "FINISHED"
        assert part.data.metrics["kept.validation_accuracy"] == 0.9
        history = store.get_metric_history(part.info.run_id, "validation_loss")
        assert [metric.step for metric in history] == [1, 2]


@contextmanager
def proxied(project: Project) -> Iterator[tuple[Forgetful, Any]]:
    """A server behind a proxy, and a client of the server itself."""
    port = free_port()
    command = ["mlflow", "server", "--workers", "1", "--backend-store-uri", "sqlite:///s.db"]
    with server(project, *command, port=port, health="/health"), Forgetful(port) as proxy:
        yield proxy, client(project, f"http://127.0.0.1:{port}")


def is_registered_once(project: Project, store: Any) -> None:
    (run,) = runs(store)
    assert run.info.status == "FINISHED"
    (version,) = store.search_model_versions("name = 'mnist-digits'")
    assert version.description
    assert store.get_registered_model("mnist-digits").aliases == {"champion": version.version}
    models = store.search_logged_models([run.info.experiment_id])
    formats = project.params()["export"]["formats"]
    assert sorted(model.name for model in models) == sorted(formats)
    assert all(model.status == "READY" and model.metrics for model in models)


@pytest.mark.attacks
def test_training_survives_a_server_that_goes_down_and_sync_logs_it_later(
    project: Project, chromium: Any, tmp_path: Path
) -> None:
    project.change({**TINY, "train.epochs": 3})
    project.run("dvc", "repro", "baseline")
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    store = f"sqlite:///{project.folder}/server.db"
    command = ["mlflow", "server", "--workers", "1", "--backend-store-uri", store]
    command += ["--artifacts-destination", str(project.folder / "served")]
    with server(project, *command, port=port, health="/health") as running:
        hold = Hold(tmp_path / "hold", "*/.state/train/*/checkpoint.json", times=2)
        variables = {**hold.environment, "MLFLOW_TRACKING_URI": uri}
        training = project.start("dvc", "repro", "train", **variables)
        hold.wait(training)
        stop(running)
        hold.release()
        assert training.wait(SECONDS) == 0
    log = project.log.read_text()
    assert "nothing is lost" in log
    with server(project, *command, port=port, health="/health"):
        patient = {"MLFLOW_TRACKING_URI": uri, "MLFLOW_HTTP_REQUEST_TIMEOUT": str(SECONDS)}
        project.run(*EDGEPROOF, "sync", **patient)
        tracked = client(project, uri)
        (run,) = runs(tracked)
        history = tracked.get_metric_history(run.info.run_id, "validation_loss")
        assert sorted({metric.step for metric in history}) == [1, 2, 3]
        page = chromium.new_page()
        page.goto(f"{uri}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}")
        page.get_by_text("validation_accuracy").first.wait_for()
        assert run.info.run_name in page.content()
