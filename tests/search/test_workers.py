"""Worker processes, and the signals that reach their parent."""

from __future__ import annotations

import signal
import subprocess
import sys
from multiprocessing.context import SpawnProcess
from pathlib import Path

import pytest

from pipeline.search import workers
from pipeline.search.progress import Progress
from tests.conftest import ROOT

WITHOUT = """
import sys
sys.modules["{package}"] = None  # as if it were not installed
from pipeline.process import stage
from pipeline.search import folds, improve, optuna_storage, shrink, sweep
from pipeline.search.engine import Engine
print("imported", flush=True)
stage.run(lambda: {use})
"""


def test_a_log_says_after_two_epochs_how_long_all_of_it_takes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Progress({0: 20, 1: 20}) as progress:
        progress.started -= 6000  # features of frozen layers, which are computed once
        progress.advance(0, 5)
        assert not capsys.readouterr().out
        progress.epoch_ends[0] -= 30
        progress.advance(0, 5)
        progress.epoch_ends[0] -= 30
        progress.advance(0, 5)
        (line,) = capsys.readouterr().out.splitlines()
        assert line == "0 of 2, about 3 min left"
        progress.advance(1, 5)
        assert progress._state() == "0 of 2, about 60 s left", "two trainings share what is left"


def test_trainings_of_one_epoch_are_timed_by_those_that_have_ended(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Progress({0: 10, 1: 10, 2: 10}) as progress:
        progress.started -= 60
        progress.advance(0, 10)
        progress.finish(0, "first")
    assert capsys.readouterr().out == "first (1 of 3, about 2 min left)\n"


@pytest.mark.parametrize(
    ("package", "use", "extra"),
    [
        ("distributed", "Engine(1, 'tcp://127.0.0.1:9').side_by_side()", "cluster"),
        ("psycopg", "optuna_storage.address('postgresql://me@127.0.0.1/x')", "postgres"),
    ],
)
def test_without_the_package_of_an_extra_only_its_use_is_refused(
    package: str, use: str, extra: str
) -> None:
    command = [sys.executable, "-c", WITHOUT.format(package=package, use=use)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "imported\n"), done.stderr
    (sentence,) = done.stderr.splitlines()
    assert package in sentence
    assert sentence.endswith(f"; run `uv sync --extra {extra}`")


def blocked_signals(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("SigBlk:")[1].split()[0], 16)


def test_ctrl_c_does_not_reach_a_worker() -> None:
    worker = workers.start()
    try:
        assert worker.process.pid
        assert blocked_signals(worker.process.pid) >> (signal.SIGINT - 1) & 1
    finally:
        workers.end([worker])
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & {signal.SIGINT}


def test_ctrl_c_is_not_lost_while_a_worker_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    start = SpawnProcess.start

    def interrupted(process: SpawnProcess) -> None:
        signal.raise_signal(signal.SIGINT)
        start(process)

    monkeypatch.setattr(SpawnProcess, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        workers.start()
