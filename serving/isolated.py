"""A runtime in a child process, which may die without the program dying: tflite-runtime 2.14 can end with signal 11.

The child reads messages from its standard input: the bytes of the model file and then, as often as wanted, the pixels of
images. To each it answers on its standard output with a byte that tells whether it could, and the probabilities or the
reason. A message begins with its length in 8 bytes, little-endian. The end of its input is the child's end.

To put a process to sleep and to wake it takes some 25 microseconds, which is much beside a model that takes 40. So both sides
ask for what comes next again and again for a while before they sleep.
"""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

import numpy as np

from serving.errors import RuntimeRefusalError
from serving.model_card import ModelCard

OK, REFUSED = b"\0", b"\1"
PIPE_BYTES = 1 << 16  # what a pipe of Linux holds
POLLING_SECONDS = 2e-4  # a few times what it saves (Karlin et al., "Empirical studies of competitive spinning", 1991)
# Python puts the current folder first for a command, and that may be a bundle that somebody else has made.
PROGRAM = "import sys; sys.path[:] = [path for path in sys.path if path]; from serving.isolated import main; main()"


class Isolated:
    """The model `data` on `runtime` in a child. A child that died is replaced at the next call."""

    def __init__(self, runtime: str, data: bytes, card: ModelCard) -> None:
        self.runtime, self._data, self.input_shape = runtime, data, card.input_shape
        self.input_type = card.input.type
        self._num_classes = len(card.class_names)
        self._lock = threading.Lock()
        self._child = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        paths = [str(Path(__file__).parent.parent), *filter(None, sys.path)]
        command = [sys.executable, "-c", PROGRAM, self.runtime]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        try:
            child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env=environment)
        except OSError as error:
            raise RuntimeRefusalError(
                f"{self.runtime} cannot have a process of its own here ({error}); load it with isolated=False"
            ) from None
        assert child.stdout is not None
        os.set_blocking(child.stdout.fileno(), False)
        self._ask(child, self._data)
        return child

    def probabilities(self, images: Any) -> Any:
        """Images (N, H, W, C), or ids (N, L) -> probabilities (N, K) float32. Raises RuntimeRefusalError where the child died."""
        with self._lock:
            if self._child.poll() is not None:
                self._child = self._start()
            answer = self._ask(self._child, images.tobytes())
        return np.frombuffer(answer, np.float32, offset=1).reshape(len(images), self._num_classes).copy()

    def _ask(self, child: subprocess.Popen[bytes], message: bytes) -> bytes:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            _send(child.stdin, message)
            answer = _receive(child.stdout)
        except (BrokenPipeError, EOFError):
            raise RuntimeRefusalError(f"{self.runtime} died with {_cause(_end(child))}; the program goes on") from None
        except BaseException:  # interrupted half-way: what this child says next would be taken for the answer to another question
            child.kill()
            _end(child)
            raise
        if answer[:1] == REFUSED:
            _end(child)
            raise RuntimeRefusalError(answer[1:].decode())
        return answer

    def close(self) -> None:
        """Ends the child."""
        _end(self._child)

    def __del__(self) -> None:
        if hasattr(self, "_child"):
            self.close()


def _end(child: subprocess.Popen[bytes]) -> int:
    """Closes both pipes, at which a living child ends; its exit status."""
    for stream in (child.stdin, child.stdout):
        if stream is not None:
            stream.close()
    return child.wait()


def _cause(status: int) -> str:
    return f"signal {-status} ({signal.Signals(-status).name})" if status < 0 else f"exit status {status}"


def _send(stream: IO[bytes], message: bytes) -> None:
    rest = len(message).to_bytes(8, "little") + message
    while rest:
        rest = rest[stream.write(rest) :]


def _receive(stream: IO[bytes]) -> bytes:
    """The next message of a stream that does not block, where no other is sent before its answer. Raises EOFError at the end."""
    message = b""
    while len(message) < 8 or len(message) < 8 + int.from_bytes(message[:8], "little"):
        part = _read(stream)
        if not part:
            raise EOFError
        message += part
    return message[8:]


def _read(stream: IO[bytes]) -> bytes:
    """What has come, as soon as anything has; nothing at the end of the stream."""
    start = time.perf_counter()
    while time.perf_counter() - start < POLLING_SECONDS:
        part = stream.read(PIPE_BYTES)
        if part is not None:
            return part
    os.set_blocking(stream.fileno(), True)
    try:
        return stream.read(PIPE_BYTES)
    finally:
        os.set_blocking(stream.fileno(), False)


def main() -> None:
    """The child."""
    from serving import runtimes

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    requests, answers = io.FileIO(0), io.FileIO(os.dup(1), "wb")
    os.set_blocking(requests.fileno(), False)
    os.dup2(2, 1)  # what the runtime prints must not mix with the answers
    try:
        model = runtimes.open_model(sys.argv[1], _receive(requests))
    except RuntimeRefusalError as error:
        _send(answers, REFUSED + str(error).encode())
        return
    _send(answers, OK)
    while True:
        try:
            message = _receive(requests)
        except EOFError:
            return
        answer = model.probabilities(np.frombuffer(message, model.input_type).reshape(-1, *model.input_shape))
        _send(answers, OK + answer.tobytes())
