"""The one error that a user sees as a sentence, and not as a traceback."""

from __future__ import annotations


class UserError(Exception):
    """What the user can mend: one sentence that names the thing, what is wrong with it and what is allowed."""
