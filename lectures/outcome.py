"""What came of a variation: its figures, one for each seed, and its curves; and the file that keeps those of a study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pipeline.files import artifacts, timing_cache

Figure = float | str  # a measure, or a verdict


@dataclass(frozen=True)
class Outcome:
    """`figures` holds for each measure one value of each seed; `curves` are those of the first seed; `seconds` are of one core."""

    name: str
    figures: dict[str, list[Figure]]
    curves: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Results:
    """`data` says how many examples there were, which is fewer where only a part of a dataset could be had; `study` is the digest
    of the study as it was run."""

    outcomes: list[Outcome]
    data: str
    study: str
    processor: str

    @property
    def seconds(self) -> float:
        return sum(outcome.seconds for outcome in self.outcomes)


def save(path: Path, outcomes: Sequence[Outcome], data: str, study: str) -> None:
    facts = {"data": data, "study": study, "processor": timing_cache.processor()}
    artifacts.save_json(path, {**facts, "outcomes": [asdict(outcome) for outcome in outcomes]})


def load(path: Path) -> Results | None:
    """None where the study has not been run."""
    if not path.exists():
        return None
    values = artifacts.load_json(path)
    outcomes = [Outcome(**one) for one in values.pop("outcomes")]
    return Results(outcomes, **values)


def rounded(values: Sequence[float], digits: int = 5) -> list[float]:
    """To so many significant digits, which is all that a picture shows."""
    return [float(f"{value:.{digits}g}") for value in values]
