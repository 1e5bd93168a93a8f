"""What the MLflow run of a training holds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.files import artifacts
from pipeline.files.reports.bundle import BundleReports
from pipeline.files.reports.run import RunReports
from pipeline.files.reports.train import TrainReport
from pipeline.tracking import record, view
from serving import gate
from tests.conftest import EDGEPROOF, Project
from tests.tracking.conftest import client, free_port, runs, server

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def test_one_run_holds_everything(finished: Project) -> None:
    store = client(finished)
    (run,) = runs(store)
    assert run.info.status == "FINISHED"
    assert run.data.params["train.architecture"] == "edge"
    assert {"model_sha256", "training_key", "git_commit", "dvc_lock_sha256"} <= set(run.data.tags)
    assert {
        "test_accuracy",
        "kept.validation_loss",
        "tflite_int8.test_accuracy",
        "c.arena_bytes",
        "baseline_test_accuracy",
    } <= set(run.data.metrics)
    assert [
        metric.step for metric in store.get_metric_history(run.info.run_id, "validation_loss")
    ] == [1, 2]

    def listed(path: str | None) -> set[str]:
        return {file.path for file in store.list_artifacts(run.info.run_id, path)}

    assert {"params.yaml", "reports", "tables", "exported", "model", "dist"} <= listed(None)
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
    finished: Project, tmp_path: Path
) -> None:
    finished.run("dvc", "repro")
    finished.run(*EDGEPROOF, "sync")
    assert len(runs(client(finished))) == 1
    other = f"sqlite:///{tmp_path / 'other.db'}"
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
