"""Runs exported files on one runtime in a process of its own, so that a crash does no harm."""

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
MEASURE = "serving.measure"


@dataclass(frozen=True)
class Interpreter:
    """How to start a Python that has a runtime: the start of the command, and its environment."""

    command: tuple[str, ...]
    environment: dict[str, str]

    @classmethod
    def here(cls, python: Path) -> Interpreter:
        """A virtual environment's Python on this processor."""
        return cls((str(python),), dict(os.environ))


@dataclass(frozen=True)
class Task:
    """Model files to run on the images of npy files, which are read one after the other.

    `counts` says how many of all these images each file sees; if it is empty, each sees all of
    them. The probabilities (N, K) of each file go into the folder `output`, under the file's name
    with the suffix .npy. `program` is MEASURE, or a module with the same arguments and answers.
    """

    files: Sequence[Path]
    images: Sequence[Path]
    output: Path
    counts: Sequence[int] = ()
    program: str = MEASURE


@dataclass(frozen=True)
class Answer:
    """What a process says of one file; `reason` is why it gives no probabilities, None if it does.

    If the process has `died`, no other file gets an answer. `arena_bytes` are the memory that
    TensorFlow Lite Micro took.
    """

    reason: str | None = None
    arena_bytes: int | None = None
    died: bool = False


class RuntimeProcess:
    """The program of a task; it answers once for each file.

    The process stays alive, with the last model loaded, until it is closed.
    """

    def __init__(self, interpreter: Interpreter, runtime: str, task: Task) -> None:
        command: list[str | Path] = [
            *interpreter.command,
            "-m",
            task.program,
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

    def answer(self) -> Answer:
        """The answer on the next file."""
        line = self._line()
        return Answer(reason=line, died=True) if isinstance(line, str) else Answer(**line)

    def _line(self) -> Any:
        """The next line of the process, parsed, or as a text the reason why there is none."""
        assert self._process.stdout is not None
        timed_out = threading.Event()

        def give_up() -> None:
            timed_out.set()
            self._process.kill()

        timer = threading.Timer(LARGEST_SECONDS, give_up)
        timer.start()
        line = self._process.stdout.readline()
        timer.cancel()
        if line:
            return json.loads(line)
        _, errors = self._process.communicate()
        status = self._process.returncode
        if timed_out.is_set():
            return f"no answer within {LARGEST_SECONDS} seconds"
        if status < 0:
            return f"the runtime died with signal {-status}"
        lines = [line for line in errors.strip().splitlines() if not line.startswith("qemu-")]
        return " ".join(lines[-1:]) or f"exit status {status}"

    def milliseconds(self, runs: int) -> list[float] | str:
        """The latencies of `runs` predictions of single images on one thread, after a warm-up.

        If they cannot be measured, the reason.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # `_line` reports the reason
            print(runs, file=self._process.stdin, flush=True)
        line = self._line()
        return line if isinstance(line, str) else line["milliseconds"]

    def close(self) -> None:
        """Kills the process."""
        with self._process as process:
            process.kill()
