"""One exported file on one runtime, in a process of its own: a runtime that dies takes nothing with it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from pathlib import Path
from typing import Any

LARGEST_SECONDS = 1800


class RuntimeProcess:
    """`serving.measure` with these arguments under the interpreter `python`. It stays, with the model loaded, until it is closed."""

    def __init__(self, python: Path, *arguments: str | Path) -> None:
        command = [python, "-m", "serving.measure", *arguments]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, encoding="utf-8")

    def answer(self) -> dict[str, Any] | str:
        """The next answer of the process, or in words the reason why there is none."""
        assert self._process.stdout is not None
        late = threading.Event()

        def give_up() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(LARGEST_SECONDS, give_up)
        timer.start()
        line = self._process.stdout.readline()
        timer.cancel()
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        _, errors = self._process.communicate()
        status = self._process.returncode
        if late.is_set():
            return f"no answer within {LARGEST_SECONDS} seconds"
        if status < 0:
            return f"the runtime died with signal {-status}"
        return " ".join(errors.strip().splitlines()[-1:]) or f"exit status {status}"

    def milliseconds(self, runs: int) -> list[float] | str:
        """The times of `runs` predictions of single images on one thread, after a warm-up; or the reason why there are none."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the answer tells why
            print(runs, file=self._process.stdin, flush=True)
        answer = self.answer()
        return answer if isinstance(answer, str) else answer["milliseconds"]

    def close(self) -> None:
        """Ends the process, whatever it is doing."""
        with self._process as process:
            process.kill()
