"""Kills the servers of a team at random moments in the midst of work, and writes the outcome.

    python -m tests.chaos [--moments 20] [--seed 0]

A moment is a whole run of the pipeline, a sweep on a cluster or a push, one of whose servers is
killed. The command is then given again, and must succeed. At the end nothing may be lost, and
nothing may be there twice. Each moment works on a seed, a study or a file of its own, in a fresh
copy of the project. Writes benchmarks/chaos.md, and exits with 1 if it found a fault.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks import machine
from benchmarks.project import environment
from pipeline.process import stage
from pipeline.reporting.tables import markdown
from tests import dask_cluster, postgresql, team_work
from tests.conftest import EDGEPROOF, ROOT, Project
from tests.team_work import SERVERS, Line, Push, Sweep, Work
from tests.test_team import Team, kill, team
from tests.waiting import SECONDS

PAGE = ROOT / "benchmarks" / "chaos.md"
SENTENCE = re.compile(r"^(?:(?:error|warning|ERROR): |(?=trial: its worker))(.*)$", re.M)
HAD_ENDED, NOTHING, SUCCEEDED, TRACES = "had ended", "nothing", "succeeded", "tracebacks"
LONGEST = 110  # characters of a sentence in the table


class Chaos:
    """Works on a team's servers, and kills them."""

    def __init__(self, running: Team, checkout: Path, seed: int) -> None:
        self.team, self.project, self.checkout = running, running.project, checkout
        self.random = random.Random(seed)
        self.works: list[Work] = [Line(running), Sweep(running), Push(running)]
        self.refused: list[str] = []  # commands that failed when they were given again
        self.join()

    def join(self) -> None:
        """Starts a worker of the cluster."""
        command = [*dask_cluster.program("worker"), self.team.cluster, "--protocol", "tls"]
        command += [*dask_cluster.HERE, *dask_cluster.WORKER]
        self.worker: subprocess.Popen[bytes] = dask_cluster.run(self.checkout, *command)

    def undisturbed(self) -> None:
        """How long each command takes, once the data are prepared."""
        self.project.run(*EDGEPROOF, "run", "baseline")
        for work in self.works:
            command = work.command(0)
            started = time.monotonic()
            self.project.run(*command)
            work.seconds = time.monotonic() - started
            work.succeeded(0)
            print(f"{work.name}: {work.seconds:.1f} s undisturbed", flush=True)

    def moment(self, number: int) -> list[str]:
        """Kills a server in the midst of a command and gives it again; returns the table's row."""
        work = self.works[number % len(self.works)]
        command, server = work.command(number), self.random.choice(work.servers)
        after, before = self.random.uniform(0, work.seconds), len(self.team.output())
        process = self.project.start(*command)
        time.sleep(after)
        at_work = process.poll() is None
        self.kill(server)
        status = process.wait(SECONDS)
        output = self.team.output()[before:]
        again = self.project.attempt(*command)
        if again.returncode:
            ended = said(again.stdout + again.stderr)
            self.refused.append(f"{work.name} {number}: given again, it failed: {ended}")
        else:
            work.succeeded(number)
        row = [str(number), work.name, SERVERS[server], f"{after:.1f}", outcome(at_work, status)]
        return [*row, said(output), "failed" if again.returncode else SUCCEEDED]

    def kill(self, server: str) -> None:
        """Returns when it is running again."""
        kill(server, self.team)
        if SERVERS[server] == "Dask":
            self.worker.wait(SECONDS)  # it ends with its scheduler
            self.join()

    def faults(self) -> Iterator[str]:
        """What is lost, or there twice."""
        yield from self.refused
        for work in self.works:
            for number in work.numbers:
                try:
                    yield from (f"{work.name} {number}: {fault}" for fault in work.faults(number))
                except Exception as error:  # the other moments are looked at all the same
                    yield f"{work.name} {number}: {type(error).__name__}: {error}"


def outcome(at_work: bool, status: int) -> str:
    if not at_work:
        return HAD_ENDED
    return f"ended with {status}" if status else "went on"


def said(output: str) -> str:
    """What a command said of its failure, for the table."""
    lines = list(dict.fromkeys(SENTENCE.findall(output)))
    if traces := output.count("Traceback"):
        lines.append(f"{traces} {TRACES}")
    short = [line if len(line) <= LONGEST else f"{line[:LONGEST]} …" for line in lines]
    return "; ".join(short).replace("|", "/") or NOTHING


def main() -> None:
    parser = argparse.ArgumentParser(description="Kills the servers of a team at random moments.")
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with begun(arguments.seed) as chaos:
        started = time.monotonic()
        chaos.undisturbed()
        rows = []
        for number in range(1, arguments.moments + 1):
            rows.append(chaos.moment(number))
            print(markdown(rows[-1]), flush=True)
        faults = list(chaos.faults())
        text = page(rows, faults, arguments.seed, time.monotonic() - started)
    PAGE.write_text(text, encoding="utf-8")
    print(text)
    sys.exit(1 if faults else 0)


@contextmanager
def begun(seed: int) -> Iterator[Chaos]:
    """A team's servers, a worker of their cluster, and a project that uses them."""
    with postgresql.folder() as folder:
        (folder / "project").mkdir(mode=0o755)
        project = Project(folder / "project", ROOT).begin()
        project.environment["DATA_MIRROR"] = environment().get("DATA_MIRROR", "")
        project.change(team_work.PARAMS)
        checkout = dask_cluster.checkout(project, folder / "worker")
        with team(project) as running:
            project.environment.update(running.variables())
            os.environ.update(running.variables())
            for command in running.commands("dvc"):
                project.run(*command)
            chaos = Chaos(running, checkout, seed)
            try:
                yield chaos
            finally:
                chaos.worker.terminate()
                chaos.worker.wait(SECONDS)


def page(rows: Sequence[list[str]], faults: Sequence[str], seed: int, seconds: float) -> str:
    """The text of benchmarks/chaos.md."""
    midst = [row for row in rows if row[4] != HAD_ENDED]
    again = sum(row[-1] == SUCCEEDED for row in rows)
    traces = sum(TRACES in cell for row in rows for cell in row)
    outcome = "; ".join(faults) or "nothing was lost, and nothing was there twice"
    columns = ("moment", "work", "killed", "after, s", "the command", "it said", "given again")
    lines = [
        "# The servers of a team, killed in the midst of work",
        "",
        f"{len(rows)} random moments (seed {seed}), {len(midst)} of them while the command was at"
        f" work. Given again, it succeeded {again} times, and then {outcome}."
        f" Tracebacks were seen in {traces} of the commands. `make chaos` makes this page; it took"
        f" {stage.duration(seconds)} beside other work on {machine.sentence()}.",
        "",
        markdown(columns),
        "|---:|---|---|---:|---|---|---|",
        *map(markdown, rows),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
