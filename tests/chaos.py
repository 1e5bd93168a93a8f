"""Kills the servers of a team at random moments in the midst of work: `make chaos`.

    python -m tests.chaos [--moments 20] [--seed 0]

Works on copies of this folder's finished run. A moment is a push, an upload of the run or a sweep,
one of whose servers is killed. The command is then given again, and must succeed. At the end,
nothing may be lost and nothing may be there twice.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import optuna

from tests import postgresql
from tests.conftest import EDGEPROOF, ROOT, Project
from tests.test_team import Team, kill, team
from tests.test_tracking import client, runs
from tests.waiting import SECONDS

BYTES = 20 * 2**20  # of each file that is pushed
EPOCHS = (1, 2)  # of the trials of each sweep
SUBSET = "preprocess.subset=1000"
HIDDEN = (".git", ".mypy_cache", ".ruff_cache", ".state", ".team", ".venv", "image", "mlruns")


@dataclass
class Work:
    """A kind of work on the servers: what is done for a number, and what that must leave."""

    name: str
    servers: tuple[str, ...]  # those that it uses, by a word of their commands
    prepare: Callable[[int], list[str]]  # the command
    check: Callable[[int], None]
    seconds: float = 0.0  # that the command takes undisturbed
    numbers: list[int] = field(default_factory=list)


class Chaos:
    def __init__(self, running: Team, seed: int) -> None:
        self.team, self.project = running, running.project
        self.random = random.Random(seed)
        self.studies = f"postgresql+psycopg://{running.storage.split('//')[1]}"
        self.works = [
            Work("push", ("weed server",), self.new_file, self.is_stored),
            Work("sweep", ("bin/postgres -D",), self.new_sweep, self.has_each_trial_once),
            Work(
                "upload",
                ("mlflow server", "bin/postgres -D", "weed server"),
                self.new_experiment,
                self.has_one_run,
            ),
        ]

    def new_file(self, number: int) -> list[str]:
        path = self.project.folder / "chaos" / str(number)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(random.Random(number).randbytes(BYTES))
        self.project.run("dvc", "add", "--quiet", f"chaos/{number}")
        return ["dvc", "push", "--quiet", f"chaos/{number}.dvc"]

    def is_stored(self, number: int) -> None:
        """Whether a pull without a cache gives the same file."""
        path = self.project.folder / "chaos" / str(number)
        path.unlink()
        shutil.rmtree(self.project.folder / ".dvc/cache")
        self.project.run("dvc", "pull", "--quiet", f"chaos/{number}.dvc")
        expected = hashlib.sha256(random.Random(number).randbytes(BYTES)).digest()
        assert hashlib.sha256(path.read_bytes()).digest() == expected, number

    def new_sweep(self, number: int) -> list[str]:
        space = f"train.epochs={','.join(map(str, EPOCHS))}"
        command = [*EDGEPROOF, "sweep", space, "--sampler", "grid", "-S", SUBSET]
        command += ["-S", f"train.seed={number}"]  # or it would find the results of the last one
        command += ["--heartbeat", "2", "--storage", self.team.storage]
        return [*command, "--name", f"c{number}"]

    def has_each_trial_once(self, number: int) -> None:
        study = optuna.load_study(study_name=f"c{number}", storage=self.studies)
        done = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
        values = [trial.params["train.epochs"] for trial in done]
        assert sorted(values) == [str(epochs) for epochs in EPOCHS], values

    def new_experiment(self, number: int) -> list[str]:
        self.project.change({"problem.name": f"chaos-{number}"})
        return [*EDGEPROOF, "sync"]

    def has_one_run(self, number: int) -> None:
        store = client(self.project, os.environ["MLFLOW_TRACKING_URI"])
        found = runs(store, f"chaos-{number}")
        of_sweeps = ("search", "mlflow.parentRunId")  # which may log to the same experiment
        (run,) = [each for each in found if not any(tag in each.data.tags for tag in of_sweeps)]
        assert run.info.status == "FINISHED"
        assert "index.html" in str(store.list_artifacts(run.info.run_id, "reports"))

    def undisturbed(self) -> None:
        for work in self.works:
            command = work.prepare(0)
            started = time.monotonic()
            self.project.run(*command)
            work.seconds = time.monotonic() - started
            work.numbers.append(0)
            print(f"{work.name}: {work.seconds:.1f} s undisturbed", flush=True)

    def moment(self, number: int) -> None:
        work = self.works[(number - 1) % len(self.works)]
        command, server = work.prepare(number), self.random.choice(work.servers)
        after = self.random.uniform(0, work.seconds)
        work.numbers.append(number)
        process = self.project.start(*command)
        time.sleep(after)
        was = "ended before" if process.poll() is not None else "was at work"
        kill(server, self.team)
        status = process.wait(SECONDS)
        self.project.run(*command)
        word = server.split()[0].removeprefix("bin/")
        print(f"| {number} | {work.name} | {word} | {after:.1f} s | {was} | {status} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with postgresql.folder() as folder:
        ignored = shutil.ignore_patterns(*HIDDEN)
        copy = Path(shutil.copytree(ROOT, folder / "copy", symlinks=True, ignore=ignored))
        copy.chmod(0o755)
        project = Project(copy, Path(os.environ.get("DATA_MIRROR", "")))
        project.run("git", "init", "--quiet")
        with team(project) as running:
            project.environment.update(running.variables())
            os.environ.update(running.variables())
            for command in running.commands("dvc"):
                project.run(*command)
            try_all(Chaos(running, arguments.seed), arguments.moments)


def try_all(chaos: Chaos, moments: int) -> None:
    chaos.undisturbed()
    print("| moment | work | killed | after | the command | its exit status |")
    print("| ---: | --- | --- | ---: | --- | ---: |")
    for number in range(1, moments + 1):
        chaos.moment(number)
    for work in chaos.works:
        for number in work.numbers:
            work.check(number)
    print(f"{moments} kills: nothing is lost, and nothing is there twice")
    print(f"tracebacks that users saw: {chaos.team.output().count('Traceback')}")


if __name__ == "__main__":
    main()
