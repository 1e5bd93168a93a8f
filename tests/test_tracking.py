"""MLflow: real stores, a real server, its page in a real browser, the registered model served."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from pipeline.files import artifacts
from pipeline.files.reports.bundle import BundleReports
from pipeline.files.reports.run import RunReports
from pipeline.files.reports.train import TrainReport
from pipeline.search.cached_training import TrainingResult
from pipeline.search.mlflow_runs import AnalysisRun
from pipeline.tracking import record, view
from pipeline.tracking import runs as tracking
from pipeline.training.learning_curves import Row
from serving import gate
from tests.conftest import EDGEPROOF, Project
from tests.waiting import SECONDS, Hold, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


SECONDS_TO_STOP = 10  # after which a server is killed


def client(project: Project, uri: str | None = None) -> Any:
    import mlflow

    return mlflow.MlflowClient(
        uri or f"sqlite:///{project.folder / 'mlflow.db'}",
        registry_uri=uri or f"sqlite:///{project.folder / 'mlflow.db'}",
    )


def runs(store: Any, name: str = "mnist-digits") -> list[Any]:
    experiment = store.get_experiment_by_name(name)
    return list(store.search_runs([experiment.experiment_id])) if experiment else []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_up(address: str) -> bool:
    try:
        urllib.request.urlopen(address, timeout=10).close()
    except OSError:  # URLError is one
        return False
    return True


@contextmanager
def server(
    project: Project, *command: str, port: int, health: str
) -> Iterator[subprocess.Popen[bytes]]:
    # Jobs would run in processes of their own, each of which imports MLflow.
    alone = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    process = project.start(*command, "--host", "127.0.0.1", "--port", str(port), **alone)
    try:
        wait_for(lambda: is_up(f"http://127.0.0.1:{port}{health}"), process)
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_one_run_holds_everything(finished: Project) -> None:
    store = client(finished)
    (run,) = runs(store)
    assert run.info.status == "FINISHED"
    assert run.data.params["train.architecture"] == "edge"
    assert {"model_sha256", "training_key", "git_commit", "dvc_lock_sha256"} <= set(run.data.tags)
    assert {
        "test_accuracy",
        "kept.validation_loss",
        "tflite_int8.litert.accuracy",
        "baseline_test_accuracy",
    } <= set(run.data.metrics)
    assert [
        metric.step for metric in store.get_metric_history(run.info.run_id, "validation_loss")
    ] == [1, 2]

    def listed(path: str | None) -> set[str]:
        return {file.path for file in store.list_artifacts(run.info.run_id, path)}

    assert {"params.yaml", "reports", "exported", "model", "dist"} <= listed(None)
    assert len(listed("exported")) == 6
    assert {
        f"reports/{name}"
        for name in (
            "learning_curves.csv",
            "learning_curves.png",
            "confusion.png",
            "mistakes.png",
            "evaluate.json",
        )
    } <= listed("reports")


def test_the_pages_of_a_run_say_what_it_came_to(finished: Project) -> None:
    store = client(finished)
    (run,) = runs(store)
    tags = run.data.tags
    for name in ("target", "baseline", "export", "verify", "embed"):
        assert tags[f"gate.{name}"] == "passed"
    assert tags["mlflow.note.content"].startswith("All 6 gates passed.\n- **Target** passed: ")
    assert "Learning curves: " in tags["mlflow.note.content"]
    assert tags["mlflow.source.name"] == "edgeproof"
    assert tags["mlflow.source.git.commit"] == tags["git_commit"]
    version = store.get_model_version_by_alias("mnist-digits", "champion")
    assert version.description.startswith(version.tags["format"])
    assert "All 6 gates passed." in version.description
    per_class = json.loads((finished.folder / "reports/evaluate.json").read_text())["per_class"]
    worst = min(scores["recall"] for scores in per_class.values())
    assert run.data.metrics["worst_recall"] == worst
    pages = {file.path for file in store.list_artifacts(run.info.run_id, "reports")}
    assert "reports/index.html" in pages
    shown = {f"tags.`{name}`" for name in tags} | {f"metrics.`{name}`" for name in run.data.metrics}
    assert set(view.columns(view.FIGURES)) <= shown


def test_the_splits_are_the_datasets_of_the_run(finished: Project) -> None:
    (run,) = runs(client(finished))
    inputs = run.inputs.dataset_inputs
    examples = {
        entry.tags[0].value: json.loads(entry.dataset.profile)["num_rows"] for entry in inputs
    }
    assert examples == {"training": 3600, "validation": 400, "test": 10000}
    assert len({entry.dataset.digest for entry in inputs}) == 3


@pytest.mark.long
def test_a_run_that_failed_a_gate_is_marked_failed_and_an_edited_description_is_kept(
    finished: Project, tmp_path: Path
) -> None:
    project = finished.copy(tmp_path / "failed")
    uri = f"sqlite:///{tmp_path / 'failed.db'}"
    store = client(project, uri)

    def package(target: float) -> Any:
        """The run after the test set was judged by another target."""
        project.change({"problem.target": target})
        project.run("python", "-m", "pipeline.evaluate")
        project.attempt("python", "-m", "pipeline.package", MLFLOW_TRACKING_URI=uri)
        (run,) = runs(store)
        return run

    run = package(1.0)
    assert run.info.status == "FAILED"
    assert (run.data.tags["gate.target"], run.data.tags["gate.verify"]) == ("failed", "passed")
    assert run.data.tags["mlflow.note.content"].startswith(
        "No bundle: 1 of 6 gates failed.\n- **Target** failed: test accuracy 0."
    )
    assert list(store.search_model_versions("")) == []
    pages = {file.path for file in store.list_artifacts(run.info.run_id, "reports")}
    assert "reports/index.html" in pages
    edited = "the first with photos of camera 4"
    store.set_tag(run.info.run_id, "mlflow.note.content", edited)
    again = package(0.5)
    assert again.info.status == "FINISHED"
    assert again.data.tags["gate.target"] == "passed"
    assert again.data.tags["mlflow.note.content"] == edited
    assert again.info.end_time == run.info.end_time
    assert len(store.search_model_versions("")) == 1

    project.change({"problem.version": "1.0.1"})
    package(0.5)
    assert store.get_registered_model("mnist-digits").aliases == {"champion": 2}


def test_the_list_of_runs_opens_as_model_training_with_the_figures_in_it(
    finished: Project, chromium: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    uri = f"sqlite:///{finished.folder / 'mlflow.db'}"
    monkeypatch.chdir(finished.folder)
    link = view.link(f"http://127.0.0.1:{port}")
    command = ("mlflow", "server", "--workers", "1", "--backend-store-uri", uri)
    with server(finished, *command, port=port, health="/health"):
        page = chromium.new_page(viewport={"width": 2400, "height": 900})
        page.goto(link)
        for text in ("worst_recall", "accuracy_lost_bound", "Which digit does a scanned image"):
            page.get_by_text(text).first.wait_for()
        assert page.get_by_text("Detect Issues").count() == 0


def test_dvc_compares_the_figures_of_every_file(finished: Project) -> None:
    shown = json.loads(finished.run("dvc", "metrics", "show", "--json"))[""]["data"]
    metrics = shown["reports/metrics/verify.json"]["data"]
    pairs = json.loads((finished.folder / "reports/verify.json").read_text())["pairs"]
    assert set(metrics) == {"accuracy_lost_bound", *(pair["format"] for pair in pairs)}
    int8 = metrics["tflite_int8"]
    assert set(int8) == {
        "test_accuracy",
        "accuracy_lost_bound",
        "bytes",
        "median_milliseconds",
        "arena_bytes",
    }
    (size,) = {pair["bytes"] for pair in pairs if pair["format"] == "tflite_int8"}
    assert int8["bytes"] == size
    assert metrics["accuracy_lost_bound"] >= int8["accuracy_lost_bound"]
    assert "worst_recall" in shown["reports/metrics/evaluate.json"]["data"]


def test_the_verdicts_of_all_pairs_even_emulated_ones_and_the_gate_are_tags(
    finished: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = runs(client(finished))
    reports = {
        name: json.loads((finished.folder / f"reports/{name}.json").read_text())
        for name in BundleReports.model_fields
    }
    expected = {
        f"verdict.{pair['format']}.{pair['runtime']}.{pair['processor']}": pair["state"]
        for pair in reports["verify"]["pairs"]
    }
    assert {
        name: state for name, state in run.data.tags.items() if name.startswith("verdict.")
    } == expected
    assert run.data.tags["verdict.onnx_int8.onnxruntime.nehalem"] in gate.VERDICTS
    assert run.data.tags["gate"] == "passed"

    monkeypatch.chdir(finished.folder)
    pair = next(pair for pair in reports["verify"]["pairs"] if pair["processor"] == "nehalem")
    pair |= {"state": gate.WORSE, "reason": "9 of 50 images lost"}
    verdicts = record.verdicts(RunReports.model_validate(reports))
    name = f"{pair['format']} on {pair['runtime']} on nehalem"
    assert verdicts[f"verdict.{pair['format']}.{pair['runtime']}.nehalem"] == "worse"
    assert verdicts["gate"] == f"failed: {name} is worse (9 of 50 images lost)"
    assert record.verdicts(RunReports()) == {}


def test_a_second_repro_creates_no_second_run_and_a_lost_store_is_recreated(
    finished: Project,
) -> None:
    finished.run("dvc", "repro")
    finished.run(*EDGEPROOF, "sync")
    assert len(runs(client(finished))) == 1
    other = f"sqlite:///{finished.folder / 'other.db'}"
    finished.run(*EDGEPROOF, "sync", MLFLOW_TRACKING_URI=other)
    (run,) = runs(client(finished, other))
    assert "test_accuracy" in run.data.metrics


def test_a_training_that_ends_in_a_model_with_a_run_leaves_no_other(
    finished: Project, tmp_path: Path
) -> None:
    key = TrainReport.load(finished.folder / TrainReport.PATH).training_key
    store = client(finished, uri := f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = store.create_experiment("mnist-digits", (tmp_path / "mlruns").as_uri())
    sha256 = artifacts.sha256(finished.folder / artifacts.MODEL)
    earlier = {"model_sha256": sha256, "training_key": "of earlier code"}
    first = store.create_run(experiment, tags=earlier)
    store.set_terminated(first.info.run_id)
    store.create_run(experiment, tags={"training_key": key})  # as during the training
    finished.run(*EDGEPROOF, "sync", MLFLOW_TRACKING_URI=uri)
    (run,) = runs(store)
    assert (run.info.run_id, run.info.status) == (first.info.run_id, "FINISHED")


def test_a_param_that_changed_after_its_run_began_is_a_tag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    monkeypatch.chdir(tmp_path)
    store = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    run = store.create_run(store.create_experiment("digits"))
    for target in (0.98, 0.99, 0.98):
        Path("params.yaml").write_text(f"problem: {{target: {target}}}\ntrain: {{seed: 0}}\n")
        record.log_settings(store, run, RunReports(), "model")
        run = store.get_run(run.info.run_id)
        assert run.data.params == {"problem.target": "0.98", "train.seed": "0"}
        now = {tag: value for tag, value in run.data.tags.items() if tag.startswith("now.")}
        assert now.get("now.problem.target", "0.98") == str(target)
        assert set(now) <= {"now.problem.target"}
    assert now


def test_every_file_is_a_logged_model_with_its_accuracy_and_size(finished: Project) -> None:
    store = client(finished)
    experiment = store.get_experiment_by_name("mnist-digits").experiment_id
    models = {
        model.name: {metric.key: metric.value for metric in model.metrics}
        for model in store.search_logged_models([experiment])
    }
    pairs = json.loads((finished.folder / "reports/verify.json").read_text())["pairs"]
    assert set(models) == {pair["format"] for pair in pairs}
    for pair in pairs:
        if pair["processor"] != "native":
            continue
        assert models[pair["format"]]["bytes"] == pair["bytes"]
        assert models[pair["format"]][f"{pair['runtime']}.accuracy"] == pair["accuracy"]


def test_the_registered_model_is_a_tflite_file_that_can_be_served_and_agrees_with_keras(
    finished: Project,
) -> None:
    store = client(finished)
    champion = store.get_model_version_by_alias("mnist-digits", "champion")
    assert champion.tags["format"].startswith("tflite")
    port = free_port()
    options = ("-m", "models:/mnist-digits@champion", "--env-manager", "local")
    command = ("mlflow", "models", "serve", *options)
    finished.environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{finished.folder / 'mlflow.db'}"
    try:
        with server(finished, *command, port=port, health="/ping"):
            images = np.load(finished.folder / "data/prepared/test/images.npy", mmap_mode="r")[:5]
            body = json.dumps({"instances": images.tolist()}).encode()
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": "application/json"}
            )
            with urllib.request.urlopen(request, timeout=SECONDS) as response:
                answer = np.array(json.load(response)["predictions"])
    finally:
        del finished.environment["MLFLOW_TRACKING_URI"]
    keras = np.load(finished.folder / "evaluation/test_probabilities.npy")[:5]
    np.testing.assert_allclose(answer, keras, atol=0.02)


def test_a_copied_project_leaves_the_store_of_the_original_alone(
    finished: Project, tmp_path: Path
) -> None:
    copied = finished.copy(tmp_path / "copied")
    shutil.copy(finished.folder / "mlflow.db", copied.folder)
    shutil.copytree(finished.folder / "mlruns", copied.folder / "mlruns")
    before = sorted((finished.folder / "mlruns").rglob("*"))
    (copied.folder / "reports/new.txt").write_text("only in the copy")
    copied.run(*EDGEPROOF, "sync")
    store = client(copied)
    (run,) = runs(store)
    assert run.info.artifact_uri.startswith((copied.folder / "mlruns").as_uri())
    assert any((copied.folder / "mlruns").rglob("new.txt"))
    assert sorted((finished.folder / "mlruns").rglob("*")) == before
    models = store.search_logged_models([run.info.experiment_id])
    assert models
    assert all(
        model.artifact_location.startswith((copied.folder / "mlruns").as_uri()) for model in models
    )


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
        found = through.search_runs([experiment])
        assert {run.info.run_id for run in found} == {run.info.run_id for run in created}
        assert len(found) == len(titles)
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
        (found,) = [run for run in runs(store) if "part" in run.data.tags]
        assert found.info.status == "FINISHED"
        assert found.data.metrics["kept.validation_accuracy"] == 0.9
        history = store.get_metric_history(found.info.run_id, "validation_loss")
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
        hold = Hold(tmp_path / "hold", "*/.state/train/*/state.json", times=2)
        variables = {**hold.environment, "MLFLOW_TRACKING_URI": uri}
        training = project.start("dvc", "repro", "train", **variables)
        hold.wait(training)
        stop(running)
        hold.release()
        assert training.wait(SECONDS) == 0
    log = (project.folder.parent / f"{project.folder.name}.log").read_text()
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
