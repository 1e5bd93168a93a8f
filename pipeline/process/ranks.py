"""Several processes that train one model together, each on its part of every batch.

`train.processes` says how many. The process of the stage starts them as copies of itself, and
waits: if one is lost, it ends the others, and if it ends itself, they do. Such a process is called
a rank, as in MPI; its number and the address of rank 0 are in the variables that Keras documents
for `keras.distribution.initialize`. Whoever sets them starts ranks on several hosts.

Keras trains so on JAX alone. Ranks exchange gradients by Gloo on processors, and by NCCL on GPUs,
of which each rank takes one.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import IO, TypeVar

from pipeline.process.errors import UserError

ADDRESS = "KERAS_DISTRIBUTION_JOB_ADDRESSES"  # of rank 0
COUNT = "KERAS_DISTRIBUTION_NUM_PROCESSES"
RANK = "KERAS_DISTRIBUTION_PROCESS_ID"
LIFELINE = "EDGEPROOF_LIFELINE"  # a pipe from the process that started the ranks of this host

HOST = "127.0.0.1"
SILENT_SECONDS = 30  # after which JAX ends the other ranks
GRACE_SECONDS = 2  # for ranks that fail alike, and until a lost one is noticed
EVERY_SECONDS = 0.1
EXCHANGES = ("Gloo", "NCCL")  # in the error of a rank that another one has left
LAST_BYTES = 4000  # of the log of a rank that failed
GOES_ON = "run again, and the training goes on after its last complete epoch"

Rows = TypeVar("Rows")


def joined() -> bool:
    """Whether this process is a rank."""
    return ADDRESS in os.environ


def rank() -> int:
    return int(os.environ.get(RANK, "0"))


def part(rows: Rows) -> Rows:
    """This rank's rows of a batch, as many as every other has: the rest is left out."""
    if not joined():
        return rows
    each = len(rows) // int(os.environ[COUNT])  # type: ignore[arg-type]
    return rows[rank() * each : (rank() + 1) * each]  # type: ignore[index,no-any-return]


def even(count: int) -> int:
    """The largest multiple of the number of ranks up to `count`."""
    return count - count % int(os.environ[COUNT]) if joined() else count


def join() -> None:
    """Makes this process a rank, if its environment says so, before JAX computes anything."""
    if not joined():
        return
    lifeline = os.environ.get(LIFELINE)
    if lifeline:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the process at the other end
        threading.Thread(target=_end_with, args=(int(lifeline),), daemon=True).start()
    import jax

    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    address = os.environ[ADDRESS]
    jax.distributed.initialize(
        address,
        int(os.environ[COUNT]),
        rank(),
        local_device_ids=[rank()] if lifeline else None,  # of GPUs
        coordinator_bind_address=address if lifeline else None,
        heartbeat_timeout_seconds=SILENT_SECONDS,
    )
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # JAX's own handler would only note it


def _end_with(lifeline: int) -> None:
    os.read(lifeline, 1)  # nothing is ever written, so it returns when the other end is closed
    os._exit(1)


@contextmanager
def ending_at_once() -> Iterator[None]:
    """If the block fails, this rank ends without waiting for the others, as JAX would."""
    try:
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        os._exit(1)
    except BaseException as error:
        if any(name in str(error) for name in EXCHANGES):
            # A process that started this one ends it meanwhile, and says which one is lost.
            time.sleep(GRACE_SECONDS)
            reason = " ".join(str(error).split())[:200]
            print(
                f"error: a process of this training is lost ({reason}); {GOES_ON}", file=sys.stderr
            )
        else:
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def run(count: int) -> None:
    """Starts this program again as `count` ranks, and waits for them.

    Raises UserError if one is lost, and SystemExit if they fail for a reason that rank 0 has told.
    """
    reading, writing = os.pipe()
    processes: list[subprocess.Popen[bytes]] = []
    try:
        with reserved_address() as address, ExitStack() as files:
            logs = [files.enter_context(tempfile.TemporaryFile()) for _ in range(count)]
            for number, log in enumerate(logs):
                processes.append(_start(number, count, address, reading, log))
            _wait(processes, logs)
    finally:
        os.close(writing)
        for process in processes:
            process.kill()
            process.wait()
        os.close(reading)


@contextmanager
def reserved_address() -> Iterator[str]:
    """An address on this host with a port that no other program gets meanwhile."""
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # gRPC's servers set it too
        reserved.bind((HOST, 0))
        yield f"{HOST}:{reserved.getsockname()[1]}"


def _start(
    number: int, count: int, address: str, lifeline: int, log: IO[bytes]
) -> subprocess.Popen[bytes]:
    """A rank. Only that with the number 0 writes to the terminal, the others to `log`."""
    cores = max(1, len(os.sched_getaffinity(0)) // count)
    environment = {
        "NPROC": str(cores),  # the threads of JAX
        **os.environ,
        ADDRESS: address,
        COUNT: str(count),
        RANK: str(number),
        LIFELINE: str(lifeline),
    }
    output = log if number else None
    return subprocess.Popen(
        [sys.executable, *sys.orig_argv[1:]],
        env=environment,
        pass_fds=[lifeline],
        stdout=output,
        stderr=output,
    )


def _wait(processes: list[subprocess.Popen[bytes]], logs: Sequence[IO[bytes]]) -> None:
    """Returns when all have succeeded. Raises as `run` does when the first fails."""
    while None in (statuses := [process.poll() for process in processes]) and not any(statuses):
        time.sleep(EVERY_SECONDS)
    failed = [number for number, process in enumerate(processes) if process.returncode]
    if failed:
        _tell(failed[0], processes, logs)


def _tell(number: int, processes: list[subprocess.Popen[bytes]], logs: Sequence[IO[bytes]]) -> None:
    """Says why a rank failed."""
    status = processes[number].returncode
    if status < 0:
        raise UserError(
            f"training process {number + 1} of {len(processes)} was killed by "
            f"{signal.Signals(-status).name}, perhaps because memory ran out; {GOES_ON}"
        )
    with suppress(subprocess.TimeoutExpired):
        if processes[0].wait(GRACE_SECONDS / 2) > 0:  # it has told the reason
            sys.exit(1)
    log = logs[number]
    log.seek(max(0, log.seek(0, os.SEEK_END) - LAST_BYTES))
    sys.stderr.write(log.read().decode(errors="replace"))
    raise UserError(
        f"process {number + 1} of the {len(processes)} that train together failed, as it says "
        f"above; {GOES_ON}"
    )
