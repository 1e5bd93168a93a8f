"""Exported files on one runtime, in a process of its own: a runtime that dies takes nothing with it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LARGEST_SECONDS = 1800


@dataclass(frozen=True)
class Interpreter:
    """How a Python with a runtime is run: the beginning of its command, and its environment."""

    command: tuple[str, ...]
    environment: dict[str, str]

    @classmethod
    def here(cls, python: Path) -> Interpreter:
        """This processor's own, in a virtual environment."""
        return cls((str(python),), dict(os.environ))


@dataclass(frozen=True)
class Task:
    """Files to measure on images, npy files that are read one after the other.

    `counts` says how many of all those images each file sees; where it is empty, each sees all. The probabilities
    (N, K) of each file go into the folder `output`, under the file's own name with the suffix .npy.
    """

    files: Sequence[Path]
    images: Sequence[Path]
    output: Path
    counts: Sequence[int] = ()


class RuntimeProcess:
    """`serving.measure` on a task, with an answer for each file. It stays, with the last model loaded, until it is closed."""

    def __init__(self, interpreter: Interpreter, runtime: str, task: Task) -> None:
        command: list[str | Path] = [
            *interpreter.command,
            "-m",
            "serving.measure",
            runtime,
            *task.files,
        ]
        command += ["--images", *task.images, "--output", task.output]
        command += ["--counts", *map(str, task.counts)] if task.counts else []
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command,
            env=interpreter.environment,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            text=True,
            encoding="utf-8",
        )

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
        lines = [line for line in errors.strip().splitlines() if not line.startswith("qemu-")]
        return " ".join(lines[-1:]) or f"exit status {status}"

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
