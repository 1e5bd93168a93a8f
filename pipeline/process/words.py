"""Numbers in sentences."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """`1 image`, `2,000 images`; `plural` is that of a noun which takes more than an s."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def verb(number: int, singular: str, plural: str) -> str:
    return singular if number == 1 else plural


def percent(fraction: float, digits: int = 2) -> str:
    """`99.63 %`."""
    return f"{100 * fraction:.{digits}f} %"
