"""Figures as text, and tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.config.parts import choices, declared
from pipeline.process.words import percent

BAR, LESS = r"\|", r"\<"  # as letters in Markdown
MILLISECONDS = "ms/input"  # the heading of latencies
# The baselines in words, by the names in reports/baseline.json.
BASELINES: dict[str, str] = {
    name: words
    for folder in ("inputs", "targets")
    for module in choices(folder)
    for name, words in declared(folder, module)["BASELINES"].items()
}


def interval(bounds: Sequence[float]) -> str:
    """A confidence interval of fractions, in percent."""
    return f"{100 * bounds[0]:.2f} to {percent(bounds[1])}"


def amount(value: float, unit: str) -> str:
    """An error or a number in its unit, with the digits that matter."""
    return f"{value:.4g} {unit}"


def amounts(bounds: Sequence[float], unit: str) -> str:
    """An interval in a unit."""
    return f"{bounds[0]:.4g} to {bounds[1]:.4g} {unit}"


def listed(names: Sequence[str], most: int = 10) -> str:
    """Names in quotes; of many only the first."""
    shown = [repr(name) for name in names[:most]]
    if len(names) > most:
        return f"{', '.join(shown)} and {len(names) - most:,} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def _as_text(cell: str) -> str:
    return " ".join(cell.split("\n")).replace("|", BAR).replace("<", LESS)


def markdown(cells: Sequence[str]) -> str:
    """One row of a table in Markdown. The name of a class may hold its signs, or begin HTML."""
    return f"| {' | '.join(_as_text(cell) for cell in cells)} |"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, with its header."""
    return "\n".join(map(markdown, [columns, ["---"] * len(columns), *rows]))
