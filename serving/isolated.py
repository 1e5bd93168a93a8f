"""A runtime in a child process, which may die without the program dying: tflite-runtime 2.14 can end with signal 11.

The child reads from its standard input the length of the model file and its bytes, and then, as often as wanted, a length
and the pixels of images. It answers on its standard output: a byte that tells whether it could, a length, and the
probabilities or the reason. Lengths are 8 bytes, little-endian. The end of its input is the child's end.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

import numpy as np

from serving.errors import RuntimeRefusalError
from serving.model_card import ModelCard

OK, REFUSED = b"\0", b"\1"
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
            child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        except OSError as error:
            raise RuntimeRefusalError(
                f"{self.runtime} cannot have a process of its own here ({error}); load it with isolated=False"
            ) from None
        self._ask(child, self._data)
        return child

    def probabilities(self, images: Any) -> Any:
        """Images (N, H, W, C), or ids (N, L) -> probabilities (N, K) float32. Raises RuntimeRefusalError where the child died."""
        with self._lock:
            if self._child.poll() is not None:
                self._child = self._start()
            answer = self._ask(self._child, images.tobytes())
        return np.frombuffer(answer, np.float32).reshape(len(images), self._num_classes).copy()

    def _ask(self, child: subprocess.Popen[bytes], message: bytes) -> bytes:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            _send(child.stdin, message)
            status, answer = child.stdout.read(1), _receive(child.stdout)
        except (BrokenPipeError, EOFError):
            raise RuntimeRefusalError(f"{self.runtime} died with {_cause(_end(child))}; the program goes on") from None
        except BaseException:  # interrupted half-way: what this child says next would be taken for the answer to another question
            child.kill()
            _end(child)
            raise
        if status == REFUSED:
            _end(child)
            raise RuntimeRefusalError(answer.decode())
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
            with contextlib.suppress(BrokenPipeError):
                stream.close()
    return child.wait()


def _cause(status: int) -> str:
    return f"signal {-status} ({signal.Signals(-status).name})" if status < 0 else f"exit status {status}"


def _send(stream: IO[bytes], message: bytes) -> None:
    stream.write(len(message).to_bytes(8, "little") + message)
    stream.flush()


def _receive(stream: IO[bytes]) -> bytes:
    """The next message. Raises EOFError at the end of the stream."""
    header = stream.read(8)
    message = stream.read(int.from_bytes(header, "little"))
    if len(header) < 8 or len(message) < int.from_bytes(header, "little"):
        raise EOFError
    return message


def main() -> None:
    """The child."""
    from serving import runtimes

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the runtime prints must not mix with the answers
    try:
        model = runtimes.open_model(sys.argv[1], _receive(requests))
    except RuntimeRefusalError as error:
        answers.write(REFUSED)
        _send(answers, str(error).encode())
        return
    answers.write(OK)
    _send(answers, b"")
    while True:
        try:
            message = _receive(requests)
        except EOFError:
            return
        answer = model.probabilities(np.frombuffer(message, model.input_type).reshape(-1, *model.input_shape))
        answers.write(OK)
        _send(answers, answer.tobytes())
