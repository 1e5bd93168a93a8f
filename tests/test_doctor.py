"""`edgeproof doctor`: servers that are there, that are missing, and that are something else."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import mlflow
import pytest

from pipeline import doctor
from pipeline.doctor import Check, Finding, machine, servers
from pipeline.search import server_checks
from tests import postgresql
from tests.conftest import ROOT
from tests.tracking.conftest import free_port
from tests.web import Quiet, served


@contextmanager
def web(answer: Callable[[str], tuple[int, str]], ahead: float = 0.0) -> Iterator[str]:
    """A server whose `answer` gives status and text for a path, and whose clock is `ahead`."""

    class Handler(Quiet, BaseHTTPRequestHandler):
        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate(time.time() + ahead, usegmt=True)

        def do_GET(self) -> None:
            status, text = answer(self.path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

    with served(Handler) as address:
        yield address


def look(check: Callable[[], Finding]) -> str:
    return str(*doctor.findings([Check("it", check)]))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for command in (["git", "init", "--quiet"], ["dvc", "init", "--quiet"]):
        subprocess.run(command, check=True)
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    return tmp_path


def test_mlflow_is_a_file_or_a_server_that_says_its_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert look(servers.mlflow).endswith("mlflow.db, no server")
    answers = {"/version": (200, mlflow.__version__), "/api": (200, "{}")}

    def answer(path: str) -> tuple[int, str]:
        return next(value for name, value in answers.items() if path.startswith(name))

    with web(answer, ahead=3600) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        finding = look(servers.mlflow)
        assert finding.startswith(f"ok    MLflow: {address} has version {mlflow.__version__}")
        assert re.search(
            r"its clock is 3,(59|60)\d s ahead of the one here, so set both by NTP", finding
        )
        answers["/version"] = (200, "1.30.0")
        assert look(servers.mlflow).startswith("note  MLflow")
        answers["/api"] = (401, "")
        assert "refuses requests without a name (status 401); set MLFLOW_" in look(servers.mlflow)
        answers["/api"] = answers["/version"] = (404, "")
        assert "is not an MLflow server (it answers with status 404); correct" in look(
            servers.mlflow
        )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret-word@127.0.0.1:{free_port()}")
    finding = look(servers.mlflow)
    assert finding.startswith("fault it: http://127.0.0.1:")
    assert "does not answer ([Errno 111] Connection refused); start the server" in finding
    assert "secret-word" not in finding


def test_remotes_of_dvc_are_looked_into(project: Path) -> None:
    store = project / "store"
    gone = f"http://127.0.0.1:{free_port()}/x"
    for name, url in (("disk", store), ("web", gone), ("cloud", "gs://bucket/x")):
        subprocess.run(["dvc", "remote", "add", "--quiet", name, str(url)], check=True)
    findings = {check.subject: look(check.look) for check in servers.checks()}
    assert "is reachable and empty; `dvc push` fills it" in findings["DVC remote disk"]
    assert "Connection refused" in findings["DVC remote web"]
    assert "gs is supported, but requires 'dvc-gs' to be installed" in findings["DVC remote cloud"]
    (store / "files/md5").mkdir(parents=True)
    with web(lambda path: (403, ""), ahead=3600) as address:
        finding = look(lambda: servers.remote("disk", str(store), address))
        assert f"is reachable on {address} (BaseHTTP/" in finding
        assert "; its clock is 3,6" in finding
        finding = look(lambda: servers.remote("cloud", "gs://bucket/x", address))
        assert finding.startswith("fault")
        assert "; its clock is 3,6" in finding
    gone = f"http://127.0.0.1:{free_port()}"
    assert look(lambda: servers.remote("disk", str(store), gone)).endswith("is reachable")
    assert look(lambda: servers.remote("disk", str(store))).startswith("ok    DVC remote disk")


def test_postgresql_says_its_version_and_a_missing_one_is_a_fault() -> None:
    with postgresql.server() as address:
        assert "has version 1" in look(lambda: server_checks.postgresql(address))
        assert "clock" not in look(lambda: server_checks.postgresql(address))
        wrong = re.sub("//.*@", "//nobody:secret-word@", address)
        finding = look(lambda: server_checks.postgresql(wrong))
    assert finding.startswith("fault it: ")
    assert 'password authentication failed for user "nobody"' in finding
    assert "secret-word" not in finding
    assert "is unreachable" in look(lambda: server_checks.postgresql(address))


def test_the_machine_and_the_mirror_of_data(project: Path) -> None:
    findings = {check.subject: look(check.look) for check in machine.checks()}
    assert " GB free here" in findings["disk"]
    assert " cores" in findings["memory"]
    assert "litert " in findings["runtimes"]
    assert "is not a folder; name one" in look(lambda: machine.data_mirror(str(project / "x")))
    with web(lambda path: (200, "")) as address:
        assert "status 200" in look(lambda: machine.data_mirror(address))


def test_an_experiment_needs_a_name_and_an_address_in_git(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, "/dev/null")
    assert look(machine.author) == (
        "note  git: `dvc exp run` makes commits: set `git config user.name ...` and "
        "`git config user.email ...` first"
    )
    for command in ("user.name", "user.email"):
        subprocess.run(["git", "config", command, "test"], check=True)
    assert look(machine.author).startswith("ok    git: knows who")


def test_what_never_answers_is_said_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "SECONDS", 0.1)
    never = threading.Event()
    hanging = Check("a server", lambda: Finding("a server", str(never.wait())))
    started = time.monotonic()
    findings = [*doctor.findings([hanging, Check("disk", machine.disk)])]
    assert str(findings[0]) == "fault a server: does not answer within 0.1 seconds"
    assert findings[1].subject == "disk"
    assert time.monotonic() - started < 10
    never.set()
