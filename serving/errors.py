"""What a user can mend. Each message is one sentence: the thing, what is wrong with it, what is allowed."""

from __future__ import annotations

from typing import Tuple


class ServingError(Exception):
    """The base of all that this package tells its user; the command line prints it without a traceback.

    What comes from a file can be part of it, and must neither break the line nor command the terminal.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(printable(sentence))


def printable(text: str) -> str:
    """`text` in one line, with \\x1b and the like in place of what a terminal would obey."""
    escaped = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return "".join(escaped)


def reason(error: Exception) -> str:
    """What somebody else's exception says, as a part of a sentence of ours."""
    return " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__


class BundleError(ServingError):
    """A bundle that may not be run."""


class RuntimeRefusalError(ServingError):
    """A runtime that is missing, refuses a file or died on it."""


class RuntimeTimeoutError(RuntimeRefusalError):
    """A runtime that lives and does not answer."""


class InputError(ServingError, ValueError):
    """Input that is no picture, or pixels of another type or shape than the model's."""


class LogError(ServingError):
    """A log of predictions that cannot be read or written."""


class RequestError(ServingError):
    """A request over HTTP that is refused, with the status and the further headers of its answer."""

    def __init__(self, status: int, sentence: str, *headers: Tuple[bytes, bytes]) -> None:
        super().__init__(sentence)
        self.status, self.headers = status, headers
