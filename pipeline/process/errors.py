"""The error that is shown to the user as one sentence instead of a traceback."""

from __future__ import annotations


class UserError(Exception):
    """A fault that the user can fix: the thing, what is wrong with it, and what was expected."""
