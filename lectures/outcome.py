"""The outcome of a variation: its figures and curves; and the file of an example's outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pipeline.files import artifacts, timing_cache

Figure = float | str  # a measure, or a verdict


@dataclass(frozen=True)
class Outcome:
    """`figures` holds one value per seed for each measure; `curves` are those of the first seed.

    `seconds` are seconds of one core.
    """

    name: str
    figures: dict[str, list[Figure]]
    curves: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class ExampleResults:
    """`data` describes the data used; `example` is the digest of the example as it was run."""

    outcomes: list[Outcome]
    data: str
    example: str
    processor: str

    @property
    def seconds(self) -> float:
        return sum(outcome.seconds for outcome in self.outcomes)


def save(path: Path, outcomes: Sequence[Outcome], data: str, example: str) -> None:
    facts = {"data": data, "example": example, "processor": timing_cache.processor()}
    artifacts.save_json(path, {**facts, "outcomes": [asdict(outcome) for outcome in outcomes]})


def load(path: Path) -> ExampleResults | None:
    """The outcomes in a file, or None if the example has not been run."""
    if not path.exists():
        return None
    values = artifacts.load_json(path)
    outcomes = [Outcome(**fields) for fields in values.pop("outcomes")]
    return ExampleResults(outcomes, **values)


def rounded(values: Sequence[float], digits: int = 5) -> list[float]:
    """`values` with as many significant digits as a picture shows."""
    return [float(f"{value:.{digits}g}") for value in values]
