"""A server: a process that is started, waited for, started again, and ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.process.errors import UserError

HOST = "127.0.0.1"
SECONDS_TO_START = 300  # MLflow took 97 s on a busy machine of two cores
SECONDS_TO_END = 60
PAUSE = 0.2  # seconds between two looks


@dataclass
class Server:
    """A server in a process group of its own, so that a terminal's Ctrl-C does not reach it."""

    name: str
    address: str
    command: Sequence[str | Path]
    ready: Callable[[], bool]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None  # who runs it, if not this process's user
    end_by: signal.Signals = signal.SIGTERM
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it is ready. Raises UserError if it ends or never is."""
        self.log.touch(mode=0o600)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                env={**os.environ, **self.environment},
                user=self.user,
                cwd=self.log.parent,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + SECONDS_TO_START
        while not self.ready():
            if self.ended or time.monotonic() > end:
                raise UserError(f"{self.name} {self._fate()}; see {self.log}")
            time.sleep(PAUSE)

    @property
    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def _fate(self) -> str:
        assert self.process is not None
        status = self.process.poll()
        if status is None:
            return f"is not ready after {SECONDS_TO_START} seconds"
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        return f"{how} before it was ready"

    def end(self) -> None:
        """Ends it, and what is left of its group."""
        if self.process is None:
            return
        self.process.send_signal(self.end_by)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(SECONDS_TO_END)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """The server, ready; it is ended after the block."""
    try:
        server.start()
        yield server
    finally:
        server.end()
