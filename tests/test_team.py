"""The servers of a team, on this machine: S3, MLflow on PostgreSQL, SSH."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import openssh, postgresql, seaweedfs
from tests.conftest import EDGEPROOF, Project
from tests.test_tracking import client, free_port, runs, server

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def shared(finished: Project, mirror: Path, tmp_path: Path) -> Project:
    """A finished project that may be changed."""
    return Project(shutil.copytree(finished.folder, tmp_path / "shared", symlinks=True), mirror)


def add_remote(project: Project, url: str, **values: str) -> None:
    project.run("dvc", "remote", "add", "--default", "team", url)
    for name, value in values.items():
        project.run("dvc", "remote", "modify", "--local", "team", name, value)


@pytest.fixture
def colleague(shared: Project, mirror: Path, tmp_path: Path) -> Callable[[], Project]:
    """Makes a copy of the project as it is now, without outputs and without DVC's cache."""
    without = shutil.ignore_patterns("cache", "model", "mlruns", "mlflow.db", ".state")
    return lambda: Project(
        shutil.copytree(shared.folder, tmp_path / "clone", symlinks=True, ignore=without), mirror
    )


def test_models_and_runs_travel_by_s3_and_postgresql(
    shared: Project, colleague: Callable[[], Project], tmp_path: Path
) -> None:
    """As docs/dvc.md and docs/mlflow.md have it."""
    with (
        seaweedfs.server(tmp_path / "s3", "dvc", "mlflow") as s3,
        postgresql.server() as database,
    ):
        keys = {"access_key_id": seaweedfs.KEY, "secret_access_key": seaweedfs.SECRET}
        add_remote(shared, "s3://dvc/store", endpointurl=s3, region="us-east-1", **keys)
        port = free_port()
        address = f"http://127.0.0.1:{port}"
        command = ["env", f"MLFLOW_S3_ENDPOINT_URL={s3}"]
        command += [f"{name}={value}" for name, value in seaweedfs.VARIABLES.items()]
        command += ["mlflow", "server", "--workers", "1", "--backend-store-uri"]
        command += [database.replace("postgresql:", "postgresql+psycopg:")]
        command += ["--artifacts-destination", "s3://mlflow/runs"]
        with server(shared, *command, port=port, health="/health"):
            uri = {"MLFLOW_TRACKING_URI": address}
            shared.run("dvc", "push")
            shared.run(*EDGEPROOF, "sync", **uri)
            found = shared.run(*EDGEPROOF, "doctor", "--storage", database, **uri)
            for fact in ("MLflow: ", "PostgreSQL: ", "DVC remote team: s3://dvc/store is reach"):
                assert f"ok    {fact}" in found
            (run,) = runs(client(shared, address))
            paths = client(shared, address).list_artifacts(run.info.run_id, "reports")
            assert "reports/index.html" in [entry.path for entry in paths]
        clone = colleague()
        clone.run("dvc", "pull", "model/model.keras")
        model = Path("model/model.keras")
        assert (clone.folder / model).read_bytes() == (shared.folder / model).read_bytes()
        clone.run("dvc", "remote", "modify", "--local", "team", "secret_access_key", "wrong-secret")
        wrong = clone.attempt(*EDGEPROOF, "doctor")
        assert wrong.returncode == 1
        assert "fault" in wrong.stdout
        assert "wrong-secret" not in wrong.stdout + wrong.stderr


def test_models_travel_by_ssh(
    shared: Project, colleague: Callable[[], Project], tmp_path: Path
) -> None:
    with openssh.server(tmp_path / "ssh") as (address, key):
        store = tmp_path / "store"
        add_remote(shared, f"ssh://{address}{store}", keyfile=str(key), allow_agent="false")
        shared.run("dvc", "push", "model/model.keras")
        clone = colleague()
        clone.run("dvc", "pull", "model/model.keras")
        model = Path("model/model.keras")
        assert (clone.folder / model).read_bytes() == (shared.folder / model).read_bytes()
        found = clone.run(*EDGEPROOF, "doctor")
        assert f"ok    DVC remote team: ssh://{address}{store} is reachable" in found
