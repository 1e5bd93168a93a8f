"""Worker processes, and the signals that reach their parent."""

from __future__ import annotations

import signal
from multiprocessing.context import SpawnProcess
from pathlib import Path

import pytest

from pipeline.search import workers
from pipeline.search.progress import Progress


def test_a_log_says_after_the_second_epoch_how_long_all_of_it_takes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Progress({0: 10, 1: 10}) as progress:
        progress.started -= 600  # of imports and compilation, which come once
        progress.advance(0, 4)
        assert capsys.readouterr().out == ""
        progress.first = progress.first[0] - 60, progress.first[1]
        progress.advance(0, 4)
        progress.advance(0, 2)
        assert capsys.readouterr().out == "0 of 2, about 3 min left\n"
        progress.started += 480  # a finished training shows the pace with all that it waits for
        progress.finish(0, "the first")
        assert capsys.readouterr().out == "the first (1 of 2, about 2 min left)\n"


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
