"""What the columns of a recording mean, by their names and first cells.

The time may be called `time`, `timestamp`, `t`, `elapsed` and the like, with a unit or not, as in
`time_ms` or `Time (s)`; the label `activity` and so on; and a column such as `person` says who was
recorded. In the header the first of each gets the name that the rest of the code looks for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from serving.recording import TIME

LABEL = "label"
LABELS = (LABEL, "class", "class_name", "activity", "gesture", "exercise", "movement", "target")
# Who or what was recorded, and belongs together
HELD_TOGETHER = (
    *("group", "sender", "subject", "person", "participant", "user", "wearer", "volunteer"),
    *("speaker", "patient", "animal", "machine", "camera", "session", "object"),
)
# What also begins a new recording where it changes
PARTS = (*HELD_TOGETHER, "recording", "trial", "repetition", "file", "id")
# What numbers the rows, as pandas writes it
COUNTERS = ("", "unnamed: 0", "index", "row", "no", "number")
UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
UNIT = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("ms", "msec", "millis", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("us", "µs", "μs", "micros", "microsecond", "microseconds"), "us"),
    **dict.fromkeys(("ns", "nanos", "nanosecond", "nanoseconds"), "ns"),
}
TIMES = ("time", "timestamp", "timestamps", "datetime", "date", "t", "elapsed", "epoch", "unix")
# Seconds since 1970 have ten digits, and are not reached by any other count of seconds.
EPOCH = ((1e17, "ns"), (1e14, "us"), (1e11, "ms"))

Clock = Callable[[str], float]


def held_together(names: Sequence[str]) -> str | None:
    """The first column that says who or what was recorded, or None."""
    return next((name for name in names if _plain(name) in HELD_TOGETHER), None)


def canonical(
    names: Sequence[str], cells: Mapping[str, str], channels: Sequence[str] = ()
) -> list[str]:
    """The names, with `time` and `label` for the first columns that are a time and a label.

    `cells` are those of the first row, by name. What is one of the `channels` keeps its name.
    """

    def is_time(name: str) -> bool:
        return _is_time(name) and clock(name, cells.get(name, "")) is not None

    result = list(names)
    for wanted, known, is_one in ((TIME, {TIME}, is_time), (LABEL, {LABEL, "class"}, _is_label)):
        found = (at for at, name in enumerate(result) if name not in channels and is_one(name))
        if not known & set(result) and (place := next(found, None)) is not None:
            result[place] = wanted
    return result


def is_channel(name: str) -> bool:
    """Whether a column of numbers is a measurement, as far as its name tells."""
    plain = _plain(name)
    known = plain in PARTS or name.strip().lower() in COUNTERS
    return not (known or _is_time(name) or _is_label(name))


def begins_recordings(name: str) -> bool:
    return _plain(name) in PARTS


def clock(name: str, cell: str) -> Clock | None:
    """How the cells of a time become seconds, by the column's name and first cell; None if not."""
    try:
        value = float(cell)
    except ValueError:
        return _date if _is_date(cell) else None
    large = next((unit for least, unit in EPOCH if abs(value) > least), "s")
    factor = UNITS[_unit(name) or large]
    return lambda text: factor * float(text)


def _date(cell: str) -> float:
    """Seconds of a date such as 2024-03-01T09:00:00.250; NaN if it is `nan`."""
    if cell == "nan":
        return float(cell)
    moment = datetime.fromisoformat(cell)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _is_date(cell: str) -> bool:
    try:
        _date(cell)
    except ValueError:
        return False
    return cell != "nan"


def _is_label(name: str) -> bool:
    return name.strip().lower().replace(" ", "_") in LABELS


def _is_time(name: str) -> bool:
    words = _words(name)
    stem = [word for word in words if word not in UNIT]
    return bool(words) and (not stem or (stem[0] in TIMES and len(stem) <= 2))


def _unit(name: str) -> str | None:
    return next((UNIT[word] for word in reversed(_words(name)) if word in UNIT), None)


def _words(name: str) -> list[str]:
    """Time (ms) -> time, ms."""
    return re.findall(r"[^\W_]+", name.lower())


def _plain(name: str) -> str:
    """Subject ID -> subject."""
    words = _words(name)
    return "_".join(words[:-1] if len(words) > 1 and words[-1] in ("id", "no", "number") else words)
