"""The checks of a model card that a type cannot express. All raise ValueError."""

from __future__ import annotations

from typing import Optional, Tuple

from serving.gate import COULD_NOT_RUN, VERDICTS


def expect(condition: bool, sentence: str) -> None:
    if not condition:
        raise ValueError(sentence)


def expect_words(**texts: str) -> None:
    for name, text in texts.items():
        expect(bool(text.strip()), f"{name} is {text[:40]!r}, expected one line of text")


def expect_fractions(**values: float) -> None:
    for name, value in values.items():
        expect(0 <= value <= 1, f"{name} is {value}, expected 0 to 1")


def expect_interval(name: str, interval: Tuple[float, float]) -> None:
    low, high = interval
    expect(0 <= low <= high <= 1, f"{name} is {low} to {high}, expected two that rise from 0 to 1")


def expect_counts(**values: int) -> None:
    for name, value in values.items():
        expect(value >= 1, f"{name} is {value}, expected 1 or more")


def expect_amounts(**values: Optional[float]) -> None:
    for name, value in values.items():
        expect(value is None or value >= 0, f"{name} is {value}, expected 0 or more")


def expect_verdict(verdict: str) -> None:
    possible = [name for name in VERDICTS if name != COULD_NOT_RUN]
    expect(
        verdict in possible, f"verdict is {verdict[:40]!r}, expected one of {', '.join(possible)}"
    )
