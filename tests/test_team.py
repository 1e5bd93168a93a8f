"""The servers of a team, on this machine: `make team`, and SSH."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import requests

from pipeline.team import settings
from tests import openssh, postgresql
from tests.conftest import EDGEPROOF, Project
from tests.tracking.conftest import client, runs
from tests.waiting import SECONDS, wait_for

pytestmark = pytest.mark.filterwarnings("ignore")
MODEL = Path("model/model.keras")


@pytest.fixture
def shared(finished: Project) -> Iterator[Project]:
    """A finished project that may be changed, in a folder that any user may enter."""
    with postgresql.folder() as folder:
        project = finished.whole_copy(folder / "shared")
        project.folder.chmod(0o755)
        yield project


@pytest.fixture
def colleague(shared: Project, mirror: Path, tmp_path: Path) -> Callable[[], Project]:
    """Makes a copy of the project as it is now, without outputs and without DVC's cache."""
    hidden = ("cache", "model", "mlruns", "mlflow.db", ".state", ".team")
    without = shutil.ignore_patterns(*hidden)
    return lambda: Project(
        shutil.copytree(shared.folder, tmp_path / "clone", symlinks=True, ignore=without), mirror
    )


@dataclass
class Team:
    """A running `edgeproof team`."""

    project: Project
    process: subprocess.Popen[bytes]

    def output(self) -> str:
        return self.project.log.read_text("utf-8")

    def children(self) -> dict[str, psutil.Process]:
        """Its servers, by a word of their command."""
        words = ("bin/postgres -D", "weed server", "mlflow server", "dask_scheduler")
        processes = psutil.Process(self.process.pid).children()
        return {
            word: process
            for process in processes
            for word in words
            if word in " ".join(process.cmdline())
        }

    def variables(self) -> dict[str, str]:
        """What `source .team/environment` sets."""
        lines = (self.project.folder / ".team/environment").read_text("utf-8").splitlines()
        words = [shlex.split(line) for line in lines]
        assert {word for word, _ in words} == {"export"}
        return dict(assignment.split("=", 1) for _, assignment in words)

    @property
    def storage(self) -> str:
        """The address of the database for studies."""
        (doctor,) = self.commands("edgeproof doctor")
        return doctor[-1]

    @property
    def cluster(self) -> str:
        """The address of the scheduler."""
        (folds,) = self.commands("edgeproof folds")
        return folds[-1]

    def commands(self, start: str) -> list[list[str]]:
        """The commands that it tells the user."""
        return [
            shlex.split(line) for line in re.findall(rf"^    ({start}.*)$", self.output(), re.M)
        ]


@contextmanager
def team(project: Project) -> Iterator[Team]:
    """The servers, ready; they are ended by Ctrl-C."""
    project.log.unlink(missing_ok=True)
    running = Team(project, project.start(*EDGEPROOF, "team"))
    try:
        wait_for(lambda: "Ctrl-C ends them" in running.output(), running.process)
        yield running
    except BaseException:
        print(running.output())
        raise
    finally:
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(SECONDS) == 0


@pytest.mark.long
def test_models_and_runs_travel_by_the_servers_of_a_team(
    shared: Project, colleague: Callable[[], Project]
) -> None:
    """Started, used, killed one by one, ended by Ctrl-C, and started again on the same data."""
    with team(shared) as first:
        variables = first.variables()
        shared.environment.update(variables)
        nothing_is_open(shared.folder / ".team", first, variables)
        for command in first.commands("dvc"):
            shared.run(*command)
        in_the_midst(first, ["dvc", "push"], stored, "weed server")
        in_the_midst(first, [*EDGEPROOF, "sync"], uploaded, "mlflow server", "bin/postgres -D")
        (doctor,) = first.commands("edgeproof doctor")
        findings = shared.run(*EDGEPROOF, *doctor[1:])
        for fact in ("MLflow: ", "PostgreSQL: ", "DVC remote team: s3://dvc/store is reach"):
            assert f"ok    {fact}" in findings
        s3 = f"is reachable on http://127.0.0.1:{settings.load(shared.folder / '.team').ports.s3} "
        assert re.search(rf"{s3}\(SeaweedFS [^)]*4\.\d+\)\n", findings)
        kill("dask_scheduler", first)
        assert shared.attempt(*EDGEPROOF, *doctor[1:]).returncode == 0
        assert "Traceback" not in first.output()
        ended = first.children()
    assert len(ended) == 4
    assert not [name for name, server in ended.items() if server.is_running()]
    clone = colleague()
    with team(shared) as second:
        assert second.variables() == variables
        clone.environment.update(variables)
        clone.run("dvc", "pull", str(MODEL))
        assert (clone.folder / MODEL).read_bytes() == (shared.folder / MODEL).read_bytes()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            store = client(shared, variables["MLFLOW_TRACKING_URI"])
            (run,) = runs(store)
            paths = [entry.path for entry in store.list_artifacts(run.info.run_id, "reports")]
        assert "reports/index.html" in paths
        clone.environment["AWS_SECRET_ACCESS_KEY"] = "wrong-secret"
        wrong = clone.attempt(*EDGEPROOF, "doctor")
        assert wrong.returncode == 1
        assert "fault" in wrong.stdout
        assert "wrong-secret" not in wrong.stdout + wrong.stderr


def in_the_midst(
    running: Team, command: list[str], arrived: Callable[[Path], int], *names: str
) -> None:
    """Kills each server while the command uses it, which then needs only to be given again."""
    for name in names:
        before = arrived(running.project.folder / ".team")
        process = running.project.start(*command)
        while process.poll() is None and arrived(running.project.folder / ".team") == before:
            time.sleep(0.05)
        kill(name, running)
        process.wait(SECONDS)
    running.project.run(*command)


def stored(folder: Path) -> int:
    """The bytes of the volumes for DVC's files on S3."""
    return sum(path.stat().st_size for path in (folder / "s3").glob("dvc_*.dat"))


def uploaded(folder: Path) -> int:
    """How many files of runs MLflow has got."""
    return (folder / "mlflow.log").read_text("utf-8").count("PUT /api/2.0/mlflow-artifacts")


def kill(name: str, running: Team) -> None:
    """Returns when the server is running again."""
    before = running.output().count("is ready again")
    running.children()[name].kill()
    wait_for(lambda: running.output().count("is ready again") > before, running.process)


def nothing_is_open(folder: Path, running: Team, variables: dict[str, str]) -> None:
    """No secret is shown or readable, and no port answers those without one."""
    team = settings.load(folder)
    secrets = team.secrets.model_dump().values()
    assert not [secret for secret in secrets if secret in running.output()]
    for name in ("settings.json", "environment", "team.key", "mlflow.ini"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    for server in running.children().values():
        assert not [secret for secret in secrets if secret in " ".join(server.cmdline())]
        for each in (server, *server.children(recursive=True)):
            for connection in each.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN:
                    assert connection.laddr.ip in ("127.0.0.1", "::1")
    ports = team.ports
    experiments = f"{variables['MLFLOW_TRACKING_URI']}/api/2.0/mlflow/experiments/search"
    assert requests.get(experiments, params={"max_results": 1}, timeout=10).status_code == 401
    for port in (ports.s3, ports.filer, ports.volume, ports.master):
        for path in ("dvc/", "buckets/dvc/", "dir/assign", "dir/lookup?volumeId=1"):
            assert refuses(f"http://127.0.0.1:{port}/{path}"), (port, path)
    for port in (ports.master_grpc, ports.filer_grpc, ports.volume_grpc, ports.dask):
        with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
            talk_without_certificate(port)


def talk_without_certificate(port: int) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain) as talk,
    ):
        talk.recv(1)


def refuses(url: str) -> bool:
    try:
        return requests.get(url, timeout=10).status_code >= 400
    except requests.ConnectionError:
        return True


@pytest.mark.long
def test_models_travel_by_ssh(
    shared: Project, colleague: Callable[[], Project], tmp_path: Path
) -> None:
    with openssh.server(tmp_path / "ssh") as (address, key):
        store = tmp_path / "store"
        shared.run("dvc", "remote", "add", "--default", "team", f"ssh://{address}{store}")
        for name, value in {"keyfile": str(key), "allow_agent": "false"}.items():
            shared.run("dvc", "remote", "modify", "--local", "team", name, value)
        shared.run("dvc", "push", str(MODEL))
        clone = colleague()
        clone.run("dvc", "pull", str(MODEL))
        assert (clone.folder / MODEL).read_bytes() == (shared.folder / MODEL).read_bytes()
        findings = clone.run(*EDGEPROOF, "doctor")
        assert f"ok    DVC remote team: ssh://{address}{store} is reachable" in findings
