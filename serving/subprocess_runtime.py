"""A runtime in a child process, because tflite-runtime 2.14 can crash with signal 11.

The child reads the model file from its standard input and answers with one line on its standard
output: empty, or why the runtime refuses the file. It then answers each image with its
probabilities, until its input ends.

Blocking on a pipe costs about 25 microseconds, as much as a model that takes 30. Both sides
therefore poll for a while before they block.

A child that is alive but does not answer in time, for instance because it was stopped, is replaced
like one that has died.
"""

from __future__ import annotations

import io
import math
import os
import select
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any, Optional

import numpy as np

from serving import runtimes
from serving.errors import RuntimeRefusalError, RuntimeTimeoutError
from serving.model_card import ModelCard

# A few times what blocking costs (Karlin et al., "Empirical studies of competitive spinning", 1991)
POLLING_SECONDS = 3e-4
# To load Python, the runtime and the model, or to answer once, on the slowest device
FIRST_SECONDS = 120.0
SECONDS_TO_LOAD, SECONDS_TO_ANSWER = 10.0, 3.0  # at least, from the second time on
TIMES_THE_FIRST = 10  # a later time may take this much longer, on a busy processor
SECONDS_TO_END = 2.0
# Python puts the current folder first in the path, and that may be a bundle from somebody else.
PROGRAM = (
    "import sys; sys.path[:] = [path for path in sys.path if path]; "
    "from serving.subprocess_runtime import main; main()"
)


class SubprocessModel:
    """The model `data` on `runtime` in a child. A dead or hanging child is replaced once."""

    def __init__(self, runtime: str, data: bytes, card: ModelCard) -> None:
        self.runtime, self._data = runtime, data
        self.input_shape, self.input_type = card.input_shape, card.input.type
        self._image_bytes = math.prod(card.input_shape) * np.dtype(card.input.type).itemsize
        self._num_classes = len(card.class_names)
        self._lock = threading.Lock()
        self._seconds_to_load = self._seconds_to_answer = FIRST_SECONDS
        self._child: Optional[_Child] = None
        self._child = self._start()

    def _start(self) -> _Child:
        start = time.perf_counter()
        try:
            child = _Child(
                self.runtime,
                self._data,
                self._image_bytes,
                self._num_classes,
                self._seconds_to_load,
            )
        except OSError as error:
            raise RuntimeRefusalError(
                f"{self.runtime} cannot run in a process of its own here ({error}); "
                "load it with isolated=False"
            ) from None
        if child.refusal != "\n":
            status = child.end()
            raise RuntimeRefusalError(child.refusal.strip() or self._death(status))
        if self._seconds_to_load == FIRST_SECONDS:
            self._seconds_to_load = _time_limit(start, SECONDS_TO_LOAD)
        return child

    def _death(self, status: str) -> str:
        return f"{self.runtime} died with {status}; the program goes on"

    def probabilities(self, images: Any) -> Any:
        """Images (N, H, W, C), or ids (N, L) -> probabilities (N, K) float32.

        Raises RuntimeRefusalError if an image kills two children in a row, RuntimeTimeoutError if
        they do not answer.
        """
        with self._lock:
            return runtimes.one_by_one(self._predict, images)

    def _predict(self, image: Any) -> Any:
        fault = RuntimeRefusalError("")
        for _ in range(2):  # the first child may have died before
            child = self._child = self._child or self._start()
            try:
                return self._ask(child, image)
            except EOFError:
                self._child = None
                fault = RuntimeRefusalError(self._death(child.end()))
            except TimeoutError:
                self._child = None
                child.kill()
                fault = RuntimeTimeoutError(
                    f"{self.runtime} did not answer within {self._seconds_to_answer:.0f} seconds"
                )
            except BaseException:
                # Interrupted: the answer of this child would be taken for that to another image.
                self._child = None
                child.kill()
                raise
        raise fault

    def _ask(self, child: _Child, image: Any) -> Any:
        start = time.perf_counter()
        answer = child.ask(image, self._seconds_to_answer)
        if self._seconds_to_answer == FIRST_SECONDS:
            self._seconds_to_answer = _time_limit(start, SECONDS_TO_ANSWER)
        return answer

    def close(self) -> None:
        """Ends the child."""
        child, self._child = self._child, None
        if child:
            child.end()

    def __del__(self) -> None:
        if hasattr(self, "_child"):
            self.close()


def _time_limit(start: float, least: float) -> float:
    """The seconds allowed for a repetition of what took from `start` to now."""
    return max(least, TIMES_THE_FIRST * (time.perf_counter() - start))


class _Child:
    """A process with a model, unless `refusal` says why not: a line, or "" if the process died.

    Raises RuntimeTimeoutError if it does not load the model in time.
    """

    def __init__(
        self, runtime: str, data: bytes, image_bytes: int, num_classes: int, seconds: float
    ) -> None:
        self._num_classes = num_classes
        paths = [str(Path(__file__).parent.parent), *filter(None, sys.path)]
        sizes = len(data), image_bytes, num_classes
        command = [sys.executable, "-c", PROGRAM, runtime, *map(str, sizes)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env=environment
        )
        assert isinstance(self._process.stdin, io.FileIO)
        assert isinstance(self._process.stdout, io.FileIO)
        # A stopped child would otherwise outlive the program.
        weakref.finalize(self, self._process.kill)
        self._images, self._answers = self._process.stdin, self._process.stdout
        for stream in (self._images, self._answers):
            os.set_blocking(stream.fileno(), False)
        try:
            self._send(data, seconds)
            self.refusal = self._line(seconds)
        except EOFError:
            self.refusal = ""
        except TimeoutError:
            self.kill()
            raise RuntimeTimeoutError(
                f"the process of {runtime} did not load the model within {seconds:.0f} seconds"
            ) from None

    def ask(self, image: Any, seconds: float) -> Any:
        """An image (1, H, W, C) or ids (1, L) -> probabilities (1, K) float32.

        Raises EOFError if the process has died, TimeoutError if it does not answer in time.
        """
        self._send(image.tobytes(), seconds)
        return _receive(self._answers, np.empty((1, self._num_classes), np.float32), seconds)

    def end(self) -> str:
        """Closes both pipes, which ends the child, kills it if it hangs, and says how it ended."""
        self._images.close()
        self._answers.close()
        try:
            status = self._process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        if status < 0:
            return f"signal {-status} ({signal.Signals(-status).name})"
        return f"exit status {status}"

    def kill(self) -> None:
        self._process.kill()
        self.end()

    def _send(self, data: bytes, seconds: float) -> None:
        """Raises EOFError if the reader is gone, TimeoutError if it does not read in time."""
        left = memoryview(data)
        try:
            while left:
                sent = self._images.write(left)
                if sent is None:
                    _wait(self._images, select.POLLOUT, seconds)
                left = left[sent or 0 :]
        except BrokenPipeError:
            raise EOFError from None

    def _line(self, seconds: float) -> str:
        line = bytearray()
        while not line.endswith(b"\n"):
            byte = bytearray(1)
            _read(self._answers, byte, seconds)
            line += byte
        return line.decode()


def _receive(stream: io.FileIO, array: Any, seconds: Optional[float] = None) -> Any:
    """Fills and returns the array, from a stream that does not block.

    Raises EOFError at the stream's end, TimeoutError if nothing arrives.
    """
    received = _read(stream, array, seconds)
    while received < array.nbytes:
        received += _read(stream, memoryview(array).cast("B")[received:], seconds)
    return array


def _read(stream: io.FileIO, buffer: Any, seconds: Optional[float]) -> int:
    """Waits for data and reads it. Returns the number of bytes; raises EOFError at the end."""
    end = time.perf_counter() + POLLING_SECONDS
    count = stream.readinto(buffer)
    while count is None and time.perf_counter() < end:
        os.sched_yield()  # to the other side, if both share a processor
        count = stream.readinto(buffer)
    while count is None:
        _wait(stream, select.POLLIN, seconds)
        count = stream.readinto(buffer)
    if not count:
        raise EOFError
    return count


def _wait(stream: io.FileIO, event: int, seconds: Optional[float]) -> None:
    """Blocks until the stream is ready. Raises TimeoutError."""
    poll = select.poll()
    poll.register(stream, event)
    if not poll.poll(None if seconds is None else 1000 * seconds):
        raise TimeoutError


def main() -> None:
    """The child."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    runtime, *sizes = sys.argv[1:]
    model_bytes, image_bytes, num_classes = map(int, sizes)
    data = sys.stdin.buffer.read(model_bytes)
    images, answers = io.FileIO(0), io.FileIO(os.dup(1), "wb")
    os.dup2(2, 1)  # what the runtime prints must not mix with the answers
    try:
        model = runtimes.open_model(runtime, data)
        image = np.empty((1, *model.input_shape), model.input_type)
        if image.nbytes != image_bytes:
            raise RuntimeRefusalError(
                f"the model takes {image.nbytes} bytes an image and its card says {image_bytes}; "
                "make the bundle again"
            )
    except RuntimeRefusalError as error:
        answers.write(f"{error}\n".encode())
        return
    del data
    answers.write(b"\n")
    os.set_blocking(images.fileno(), False)
    probabilities: Any = np.empty((1, num_classes), np.float32)
    while True:
        try:
            _receive(images, image)
        except EOFError:
            return
        probabilities[...] = model.probabilities(image)
        answers.write(probabilities)
