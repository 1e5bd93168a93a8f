"""Worker processes, and the signals that reach their parent."""

from __future__ import annotations

import signal
from multiprocessing.context import SpawnProcess
from pathlib import Path

import pytest

from pipeline.search import workers


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
