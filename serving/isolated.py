"""A runtime in a child process, which may die without the program dying: tflite-runtime 2.14 can end with signal 11.

The child reads the model file from its standard input and answers with a line on its standard output, which is empty or tells
why the runtime refuses the file. Then it reads one image after the other, and answers each with its probabilities. The end of
its input is the child's end.

To put a process to sleep and to wake it takes some 25 microseconds, which is much beside a model that takes 30. So both sides
ask for what comes next again and again for a while before they sleep.
"""

from __future__ import annotations

import io
import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Optional

import numpy as np

from serving import runtimes
from serving.errors import RuntimeRefusalError
from serving.model_card import ModelCard

POLLING_SECONDS = 3e-4  # a few times what it saves (Karlin et al., "Empirical studies of competitive spinning", 1991)
# Python puts the current folder first for a command, and that may be a bundle that somebody else has made.
PROGRAM = "import sys; sys.path[:] = [path for path in sys.path if path]; from serving.isolated import main; main()"


class Isolated:
    """The model `data` on `runtime` in a child. A child that has died is replaced, and asked once more."""

    def __init__(self, runtime: str, data: bytes, card: ModelCard) -> None:
        self.runtime, self._data = runtime, data
        self.input_shape, self.input_type = card.input_shape, card.input.type
        self._image_bytes = math.prod(card.input_shape) * np.dtype(card.input.type).itemsize
        self._num_classes = len(card.class_names)
        self._lock = threading.Lock()
        self._child: Optional[_Child] = None
        self._child = self._start()

    def _start(self) -> _Child:
        try:
            child = _Child(self.runtime, self._data, self._image_bytes, self._num_classes)
        except OSError as error:
            raise RuntimeRefusalError(
                f"{self.runtime} cannot have a process of its own here ({error}); load it with isolated=False"
            ) from None
        if child.refusal != "\n":
            ended = child.end()
            raise RuntimeRefusalError(child.refusal.strip() or self._death(ended))
        return child

    def _death(self, ended: str) -> str:
        return f"{self.runtime} died with {ended}; the program goes on"

    def probabilities(self, images: Any) -> Any:
        """Images (N, H, W, C), or ids (N, L) -> probabilities (N, K) float32. Raises RuntimeRefusalError where an image kills children."""
        with self._lock:
            return runtimes.one_by_one(self._ask, images)

    def _ask(self, image: Any) -> Any:
        ended = ""
        for _ in range(2):  # the first child may have died before it was asked
            child = self._child = self._child or self._start()
            try:
                return child.ask(image)
            except EOFError:
                self._child = None
                ended = child.end()
            except BaseException:  # interrupted: what this child says next would be taken for the answer to another question
                self._child = None
                child.kill()
                raise
        raise RuntimeRefusalError(self._death(ended))

    def close(self) -> None:
        """Ends the child."""
        child, self._child = self._child, None
        if child:
            child.end()

    def __del__(self) -> None:
        if hasattr(self, "_child"):
            self.close()


class _Child:
    """A process with a model, unless `refusal` tells why not: a line, or nothing where the process died."""

    def __init__(self, runtime: str, data: bytes, image_bytes: int, num_classes: int) -> None:
        self._num_classes = num_classes
        paths = [str(Path(__file__).parent.parent), *filter(None, sys.path)]
        sizes = len(data), image_bytes, num_classes
        command = [sys.executable, "-c", PROGRAM, runtime, *map(str, sizes)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env=environment)
        assert isinstance(self._process.stdin, io.FileIO)
        assert isinstance(self._process.stdout, io.FileIO)
        self._images, self._answers = self._process.stdin, self._process.stdout
        try:
            _send(self._images, data)
            self.refusal = self._answers.readline().decode()
        except EOFError:
            self.refusal = ""
        os.set_blocking(self._answers.fileno(), False)

    def ask(self, image: Any) -> Any:
        """An image (1, H, W, C) or ids (1, L) -> probabilities (1, K) float32. Raises EOFError where the process has died."""
        _send(self._images, image.tobytes())
        return _receive(self._answers, np.empty((1, self._num_classes), np.float32))

    def end(self) -> str:
        """Closes both pipes, at which a living child ends; how it ended."""
        self._images.close()
        self._answers.close()
        status = self._process.wait()
        return f"signal {-status} ({signal.Signals(-status).name})" if status < 0 else f"exit status {status}"

    def kill(self) -> None:
        self._process.kill()
        self.end()


def _send(stream: io.FileIO, data: bytes) -> None:
    try:
        sent = stream.write(data)
        while sent < len(data):  # a signal came between
            sent += stream.write(data[sent:])
    except BrokenPipeError:
        raise EOFError from None


def _receive(stream: io.FileIO, array: Any) -> Any:
    """The array, filled from a stream that does not block. Raises EOFError at the end of the stream."""
    received = _read(stream, array)
    while received < array.nbytes:
        received += _read(stream, memoryview(array).cast("B")[received:])
    return array


def _read(stream: io.FileIO, buffer: Any) -> int:
    """Reads what has come, as soon as anything has; how many bytes. Raises EOFError at the end of the stream."""
    end = time.perf_counter() + POLLING_SECONDS
    count = stream.readinto(buffer)
    while count is None and time.perf_counter() < end:
        os.sched_yield()  # to the other side, where both are on one processor
        count = stream.readinto(buffer)
    if count is None:
        os.set_blocking(stream.fileno(), True)
        count = stream.readinto(buffer)
        os.set_blocking(stream.fileno(), False)
    if not count:
        raise EOFError
    return count


def main() -> None:
    """The child."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
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
                f"the model takes {image.nbytes} bytes an image and its card says {image_bytes}; make the bundle again"
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
