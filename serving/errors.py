"""Errors that a user can fix. Each message is one sentence: the thing, what is wrong, the cure."""

from __future__ import annotations

from typing import Tuple


class ServingError(Exception):
    """The base of this package's errors. The command line prints them without a traceback.

    A message may quote a file, so it is escaped: it can neither break the line nor control the
    terminal.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(printable(sentence))


def printable(text: str) -> str:
    r"""`text` in one line, with \x1b and the like in place of control characters."""
    escaped = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return "".join(escaped)


def reason(error: Exception) -> str:
    """The message of a foreign exception, as part of a sentence."""
    return " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__


class BundleError(ServingError):
    """A bundle that must not be run."""


class RuntimeRefusalError(ServingError):
    """A runtime that is missing, refuses a file or crashed on it."""


class RuntimeTimeoutError(RuntimeRefusalError):
    """A runtime that is alive and does not answer."""


class InputError(ServingError, ValueError):
    """Input that is not a picture, or an array of another type or shape than the model's."""


class LogError(ServingError):
    """A prediction log that cannot be read or written."""


class RequestError(ServingError):
    """An HTTP request that is refused, with the status and extra headers of the response."""

    def __init__(self, status: int, sentence: str, *headers: Tuple[bytes, bytes]) -> None:
        super().__init__(sentence)
        self.status, self.headers = status, headers
