"""What limits the memory of a process that reads what somebody else made."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest

from pipeline.formats import _saved_model_process
from pipeline.process import limits

LIMITED = """
import resource
from pipeline.process import limits
limits.limit_memory()
limits.limit_memory()
print(*resource.getrlimit(resource.RLIMIT_DATA), limits.in_words())
"""
THREADS = """
import os
os.cpu_count = lambda: 64
from pipeline.formats import _saved_model_program
from tensorflow.config import threading
_saved_model_program.limit_threads()
print(threading.get_intra_op_parallelism_threads(), threading.get_inter_op_parallelism_threads())
"""
STACK = "import resource; print(resource.getrlimit(resource.RLIMIT_STACK)[0])"


def printed(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def under(limit: str, command: list[str]) -> str:
    return printed(["sh", "-c", f'ulimit -S {limit}; exec "$@"', "sh", *command])


def test_a_lower_limit_of_the_user_stays() -> None:
    gigabyte = 2**30
    assert under("-d 1048576", [sys.executable, "-c", LIMITED]) == f"{gigabyte} {gigabyte} 1 GB"


def test_no_more_is_allowed_than_the_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"SC_PHYS_PAGES": 1_000_000, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
    assert limits.most_bytes() == 4_096_000_000
    assert limits.in_words() == "3.81 GB"
    sizes["SC_PHYS_PAGES"] = -1  # the system does not tell
    assert limits.in_words() == "8 GB"


def test_a_system_that_refuses_the_limit_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("current limit exceeds maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    limits.limit_memory()


def test_threads_of_tensorflow_leave_memory_for_the_model() -> None:
    assert printed([sys.executable, "-c", THREADS]) == "8 8"
    start = _saved_model_process.START
    assert under("-s 65536", [*start, sys.executable, "-c", STACK]) == str(8 * 2**20)
