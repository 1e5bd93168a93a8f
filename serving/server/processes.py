"""Several server processes on one port, and the process that starts, replaces and ends them.

Each is a whole server, so none waits for another one, and one that is killed loses only the
requests that it held.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from multiprocessing.process import BaseProcess
from typing import Callable, Dict, Optional, Sequence

from serving.errors import ServingError
from serving.server.place import Place

Serve = Callable[[Place], None]

LONG_SECONDS = 10.0  # the end of a process that lived as long is not the fault of its start
LONGEST_PAUSE = 30.0  # seconds between two starts, if they keep failing


class Group:
    def __init__(self, places: Sequence[Place], serve: Serve) -> None:
        """One process for each place; `serve` is pickled."""
        self._places, self._serve = places, serve
        self._processes: Dict[int, BaseProcess] = {}  # by the number of their place
        self._stopping = threading.Event()

    def run(self) -> int:
        """Serves until a signal; returns the exit status of the server.

        If the first process finds a fault, no other one is started.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop())
        first, *others = self._places
        listens, connection = multiprocessing.Pipe(duplex=False)
        first.listens = connection
        process = self._start(first)
        first.listens = None
        connection.close()
        try:
            listens.recv_bytes()
        except EOFError:
            process.join()
            return 0 if self._stopping.is_set() else 1
        keepers = [threading.Thread(target=self._keep, args=(first, process))]
        keepers += [threading.Thread(target=self._keep, args=(place,)) for place in others]
        for keeper in keepers:
            keeper.start()
        for keeper in keepers:
            keeper.join()
        return 0

    def _stop(self) -> None:
        """Has all processes drain; at the second signal each ends without a drain."""
        # Two signals of one kind are one to a process that had no time for the first of them.
        number = signal.SIGINT if self._stopping.is_set() else signal.SIGTERM
        self._stopping.set()
        for process in list(self._processes.values()):
            if process.pid is not None and process.exitcode is None:
                os.kill(process.pid, number)

    def _keep(self, place: Place, process: Optional[BaseProcess] = None) -> None:
        """Has a process at the place until the server stops."""
        failures = 0
        while not self._stopping.is_set():
            start = time.monotonic()
            process = process or self._start(place)
            process.join()
            if self._stopping.is_set():
                return
            code = process.exitcode or 0
            reason = f"signal {-code}" if code < 0 else f"exit status {code}"
            failures = 0 if time.monotonic() - start > LONG_SECONDS else failures + 1
            pause = min(LONGEST_PAUSE, 2.0**failures) if failures > 1 else 0.0
            print(
                f"error: process {process.pid} of the server has ended ({reason}); "
                f"another one starts{f' in {pause:.0f} s' if pause else ''}",
                file=sys.stderr,
            )
            process = None
            self._stopping.wait(pause)

    def _start(self, place: Place) -> BaseProcess:
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=_serve, args=(self._serve, place))
        # On Ctrl-C the terminal asks every process to end, and this one asks the others. A child
        # inherits the block and leaves the terminal's group, so that it is asked once.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        self._processes[place.number] = process
        if self._stopping.is_set():  # since the start began
            process.terminate()
        return process


def _serve(serve: Serve, place: Place) -> None:
    """The life of a process, which ends with the one that started it."""
    os.setpgrp()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        serve(place)
    except ServingError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
