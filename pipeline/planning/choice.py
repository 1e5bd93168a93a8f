"""A choice for params.yaml."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Choice:
    """A value of params.yaml, and why; a value that only fits the others has no reason."""

    key: str
    value: object
    reason: str = ""
