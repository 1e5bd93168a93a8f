"""What a release did on a fleet: reads the line of each device, and says what to look at.

    edgeproof fleet LINES_OR_FOLDER [--devices FILE]

Reads: the lines that docs/deploy/prove.sh sends, in one file or in a folder of files. Each holds
the report of `serving prove --json`. Writes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, ValidationError

from pipeline.process.errors import UserError
from pipeline.process.words import counted
from serving.gate import COULD_NOT_RUN, NOT_SHOWN, PROVEN, WORSE

REFUSED, NOT_FETCHED, SILENT = "refused", "not fetched", "silent"
STATES = (PROVEN, NOT_SHOWN, WORSE, COULD_NOT_RUN, REFUSED, NOT_FETCHED, SILENT)


class Hardware(BaseModel):
    processor: str
    machine: str


class ProvedPair(BaseModel):
    format: str
    runtime: str
    runtime_version: str | None = None
    median_milliseconds: float | None = None


class DeviceReport(BaseModel):
    """The part of what `serving prove --json` prints that a table of a fleet needs."""

    state: Literal["proven", "not shown", "worse", "could not run"]
    sentence: str
    refused: bool = False
    device: Hardware
    chosen: ProvedPair | None = None
    pairs: list[ProvedPair] = []


class Line(BaseModel):
    """One device's line. `problem` is the last thing that curl or `serving` printed as an error."""

    device: str = Field(min_length=1)
    release: str = Field(min_length=1)
    fetched: bool
    status: int
    seconds: float = Field(ge=0, allow_inf_nan=False)
    problem: str = ""
    report: DeviceReport | None

    @property
    def state(self) -> str:
        """One of STATES."""
        if not self.fetched:
            return NOT_FETCHED
        if self.report is None:
            return COULD_NOT_RUN
        return REFUSED if self.report.refused else self.report.state

    @property
    def reason(self) -> str:
        if self.report:  # without the folders of a device, which may differ
            return re.sub(r"(?<!\S)/\S*/", "", self.report.sentence)
        return self.problem or f"`serving prove` ended with status {self.status} and no report"

    @property
    def hardware(self) -> str:
        return self.report.device.processor if self.report else ""

    @property
    def file(self) -> str:
        """The file and the runtime that the device would use."""
        pair = self.report and self.report.chosen
        return f"{pair.format} on {pair.runtime} {pair.runtime_version}" if pair else ""

    @property
    def milliseconds(self) -> float | None:
        """The median latency of the chosen file for one image."""
        if self.report is None or self.report.chosen is None:
            return None
        names = (self.report.chosen.format, self.report.chosen.runtime)
        pairs = (pair for pair in self.report.pairs if (pair.format, pair.runtime) == names)
        return next((pair.median_milliseconds for pair in pairs), None)


@dataclass
class Fleet:
    """The last line of each device for each release, by their names; what else was read."""

    releases: dict[str, dict[str, Line]] = field(default_factory=dict)
    repeated: int = 0
    broken: list[str] = field(default_factory=list)  # where, such as lines.jsonl:7


def read(source: Path) -> Fleet:
    """The lines in a file, or in the files of a folder. Raises UserError if none is good."""
    fleet = Fleet()
    for path in sorted(source.iterdir()) if source.is_dir() else [source]:
        for number, text in _lines(path):
            _add(fleet, f"{path.name}:{number}", text)
    if not fleet.releases:
        broken = f" in {counted(len(fleet.broken), 'line')}" if fleet.broken else ""
        raise UserError(
            f"{source} holds no report of a device{broken}; expected the lines that "
            "docs/deploy/prove.sh sends, one JSON object a line"
        )
    return fleet


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not empty, with their numbers from 1."""
    if path.is_file():
        with path.open("rb") as file:
            yield from ((number, text) for number, text in enumerate(file, 1) if text.strip())


def _add(fleet: Fleet, place: str, text: bytes) -> None:
    try:
        line = Line.model_validate_json(text)
    except ValidationError:
        fleet.broken.append(place)
        return
    devices = fleet.releases.setdefault(line.release, {})
    fleet.repeated += line.device in devices
    devices[line.device] = line


def names(path: Path) -> list[str]:
    """The devices of a list, one a line. Raises UserError."""
    try:
        devices = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not readable ({error}); expected one device a line") from None
    if not devices:
        raise UserError(f"{path} names no device; expected one a line")
    return list(dict.fromkeys(devices))
