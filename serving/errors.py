"""What a user can mend. Each message is one sentence: the thing, what is wrong with it, what is allowed."""

from __future__ import annotations


class ServingError(Exception):
    """The base of all that this package tells its user; the command line prints it without a traceback."""


class BundleError(ServingError):
    """A bundle that may not be run."""


class RuntimeRefusalError(ServingError):
    """A runtime that is missing, refuses a file or died on it."""


class InputError(ServingError, ValueError):
    """Input that is no picture, or pixels of another type or shape than the model's."""
