"""The table of what a release did on a fleet, as Markdown that is also read on a terminal."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.field import fleet
from pipeline.field.fleet import SILENT, STATES, Fleet, Line
from pipeline.process.words import counted, percent, verb
from pipeline.reporting import tables
from serving.gate import PROVEN

MOST_NAMES = 10
SLOW = 2.0  # times the median of the same processor, file and runtime
FEWEST = 5  # devices of a kind, to say that one of them is slow
KINDS = ("processor", "file and runtime", "devices", *STATES[:4], "ms an input", "5 to 95 %")


def show(source: Path, devices: Path | None) -> None:
    """Prints the table of each release. Raises UserError."""
    expected = fleet.names(devices) if devices else []
    print(text(fleet.read(source), expected))


def text(read: Fleet, expected: Sequence[str] = ()) -> str:
    """A section for each release, and what could not be read.

    Devices that are `expected` and sent no line are silent.
    """
    sections = [release(name, lines, expected) for name, lines in read.releases.items()]
    return "\n\n".join([*sections, *_remarks(read)])


def release(name: str, lines: Mapping[str, Line], expected: Sequence[str]) -> str:
    """What one release did on each kind of device, and which devices need attention."""
    silent = [device for device in expected if device not in lines]
    return "\n\n".join(
        [
            _headline(name, lines, len(silent)),
            tables.table(("", "devices", "share"), _totals(lines, len(silent))),
            tables.table(KINDS, _kinds(lines)),
            *_to_look_at(lines, silent),
        ]
    )


def _headline(name: str, lines: Mapping[str, Line], silent: int) -> str:
    total, proven = len(lines) + silent, _count(lines, PROVEN)
    seconds = np.percentile([line.seconds for line in lines.values()], [50, 95])
    return (
        f"**{name}: proven on {proven:,} of {counted(total, 'device')}** "
        f"({percent(proven / total)}); {len(lines):,} reported, half of them within "
        f"{seconds[0]:.0f} s and 95 % within {seconds[1]:.0f} s of their start."
    )


def _count(lines: Mapping[str, Line], state: str) -> int:
    return sum(line.state == state for line in lines.values())


def _totals(lines: Mapping[str, Line], silent: int) -> list[list[str]]:
    counts = {state: _count(lines, state) for state in STATES} | {SILENT: silent}
    total = len(lines) + silent
    return [[state, f"{count:,}", percent(count / total)] for state, count in counts.items()]


def _kinds(lines: Mapping[str, Line]) -> list[list[str]]:
    """One row for each processor, file and runtime, of the devices that ran the bundle."""
    rows = []
    for (processor, file), kind in sorted(_by_kind(lines).items()):
        counts = [sum(line.state == state for line in kind) for state in STATES[:4]]
        times = [line.milliseconds for line in kind if line.milliseconds is not None]
        low, median, high = np.percentile(times, [5, 50, 95]) if times else [None] * 3
        spread = [f"{median:.3f}", f"{low:.3f} to {high:.3f}"] if times else ["", ""]
        rows.append([processor, file or "none", *map(str, [len(kind), *counts]), *spread])
    return rows


def _by_kind(lines: Mapping[str, Line]) -> dict[tuple[str, str], list[Line]]:
    kinds = defaultdict(list)
    for line in lines.values():
        if line.report and line.state in STATES[:4]:
            kinds[line.hardware, line.file].append(line)
    return kinds


def _to_look_at(lines: Mapping[str, Line], silent: Sequence[str]) -> list[str]:
    """One bullet for each reason why a device is not proven, then silent and slow devices."""
    reasons = defaultdict(list)
    for line in lines.values():
        if line.state != PROVEN:
            # Sentences that differ in their figures alone have one reason.
            reasons[line.state, re.sub(r"\d+(\.\d+)?", "#", line.reason)].append(line)
    order = sorted(reasons.items(), key=lambda item: (STATES.index(item[0][0]), -len(item[1])))
    bullets = [
        f"- {len(group):,} {state} ({_named([line.device for line in group])}): {group[0].reason}"
        for (state, _), group in order
    ]
    if silent:
        bullets.append(f"- {len(silent):,} {SILENT} ({_named(silent)}): no line came from them")
    if slow := _slow(lines):
        bullets.append(
            f"- {len(slow):,} slow ({_named(slow)}): an input takes more than {SLOW:g} times as "
            "long as the median of the same processor, file and runtime"
        )
    return ["\n".join(["Devices that need attention:", "", *bullets])] if bullets else []


def _slow(lines: Mapping[str, Line]) -> list[str]:
    slow = []
    for kind in _by_kind(lines).values():
        times = {line.device: line.milliseconds for line in kind if line.milliseconds is not None}
        if len(times) >= FEWEST:
            limit = SLOW * float(np.median(list(times.values())))
            slow += [device for device, time in times.items() if time > limit]
    return slow


def _named(devices: Sequence[str]) -> str:
    """The first of them."""
    more = len(devices) - MOST_NAMES
    return ", ".join(devices[:MOST_NAMES]) + (f" and {more:,} more" if more > 0 else "")


def _remarks(read: Fleet) -> list[str]:
    remarks = []
    if read.repeated:
        remarks.append(
            f"{counted(read.repeated, 'line')} {verb(read.repeated, 'was', 'were')} followed by a "
            "later one of the same device, which counts."
        )
    if read.broken:
        count = len(read.broken)
        remarks.append(
            f"{counted(count, 'line')} {verb(count, 'is', 'are')} no report of a device and "
            f"{verb(count, 'was', 'were')} left out: {_named(read.broken)}."
        )
    return remarks
