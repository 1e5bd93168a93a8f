"""What the columns of a recording mean, by their names and first cells.

The time may be called `time`, `timestamp`, `t`, `elapsed` and the like, with a unit or not, as in
`time_ms` or `Time (s)`; the label `activity` and so on; and a column such as `person` says who was
recorded. In the header the first of each gets the name that the rest of the code looks for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from serving.recording import TIME

LABEL = "label"
CERTAIN = (LABEL, "class")
LABELS = (*CERTAIN, "class_name", "activity", "gesture", "exercise", "movement", "target")
CODED = ("activity", "gesture")  # whose labels may be whole numbers
# Who or what was recorded, and belongs together: people before their sessions
HELD_TOGETHER = (
    *("group", "sender", "subject", "person", "participant", "user", "wearer", "volunteer"),
    *("speaker", "client", "patient", "animal", "machine", "camera", "object", "session", "fold"),
)
# What also begins a new recording where it changes
PARTS = (*HELD_TOGETHER, "recording", "trial", "repetition", "file", "id")
# What numbers the rows, as pandas writes it
COUNTERS = ("", "unnamed_0", "index", "row", "no", "number", "sample", "counter", "seq")
UNITS = {"h": 3600.0, "min": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
UNIT = {
    **dict.fromkeys(("h", "hour", "hours"), "h"),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), "min"),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("ms", "msec", "millis", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("us", "µs", "μs", "micros", "microsecond", "microseconds"), "us"),
    **dict.fromkeys(("ns", "nanos", "nanosecond", "nanoseconds"), "ns"),
}
TIMES = (
    *("time", "timestamp", "timestamps", "time stamp", "datetime", "date", "date time", "t"),
    *("elapsed", "elapsed time", "time elapsed", "epoch", "epoch time", "unix", "unix time"),
)
# Seconds since 1970 have ten digits, and are not reached by any other count of seconds.
EPOCH = ((1e17, "ns"), (1e14, "us"), (1e11, "ms"))
SINCE_1970 = 5e8  # seconds, from 1985 on
MINUTES = re.compile(r"\d+:\d\d[.,]\d+")  # and seconds; 59:02 is a time of day

Clock = Callable[[str], float]


def held_together(names: Sequence[str]) -> str | None:
    """The column that says who or what was recorded, or None."""
    known = {_plain(name): name for name in reversed(names)}
    return next((known[name] for name in HELD_TOGETHER if name in known), None)


def label_in(names: Sequence[str]) -> str | None:
    """The column of a list that holds the label; None if there is none, or more than one."""
    for known in (CERTAIN, LABELS):
        if labels := [name for name in names if name in known]:
            return labels[0] if len(labels) == 1 else None
    return None


def canonical(
    names: Sequence[str], cells: Mapping[str, str], channels: Sequence[str] = ()
) -> list[str]:
    """The names, with `time` and `label` for the first columns that are a time and a label.

    `cells` are those of the first row, by name. What is one of the `channels` keeps its name.
    """

    def is_time(name: str) -> bool:
        return _is_time(name) and clock(name, cells.get(name, "")) is not None

    def is_label(name: str) -> bool:
        return _is_label(name, cells.get(name, ""))

    result = list(names)
    for wanted, known, is_one in ((TIME, {TIME}, is_time), (LABEL, {*CERTAIN}, is_label)):
        places = (at for at, name in enumerate(result) if name not in channels and is_one(name))
        if not known & set(result) and (place := next(places, None)) is not None:
            result[place] = wanted
    return result


def is_channel(name: str, cell: str) -> bool:
    """Whether a column of numbers is a measurement, as far as its name and first cell tell."""
    known = {_plain(name), "_".join(_words(name))} & {*PARTS, *COUNTERS}
    return not (known or _is_time(name) or _is_label(name, cell))


def begins_recordings(name: str) -> bool:
    return _plain(name) in PARTS


def clock(name: str, cell: str) -> Clock | None:
    """The unit of a time column, judged by its name and first cell; None if it is no time.

    Dates, times of day, minutes and seconds, and seconds since 1970 count from the first cell, as
    spans of a list do.
    """
    try:
        value = float(cell)
    except ValueError:
        return _date_clock(cell)
    large = next((unit for least, unit in EPOCH if abs(value) > least), "s")
    factor = UNITS[_unit(name) or large]

    def read(text: str) -> float:
        return factor * float(text)

    is_plain = name == TIME and factor == 1
    return read if is_plain or abs(read(cell)) < SINCE_1970 else _since(read, read(cell))


def _since(read: Clock, start: float) -> Clock:
    return lambda text: read(text) - start


def _date_clock(cell: str) -> Clock | None:
    """That of dates, times of day, or minutes and seconds; the first cell says of which."""
    read = _minutes if MINUTES.fullmatch(cell) else _date
    with suppress(ValueError):
        if ":" in cell:  # not `nan`, nor a date without a time of day
            return _since(read, read(cell))
    return None


def _minutes(cell: str) -> float:
    """Seconds of minutes and seconds such as 59:02.50 or 61:00; NaN if it is `nan`."""
    if cell == "nan":
        return float(cell)
    if not re.fullmatch(r"\d+:[0-5]\d([.,]\d+)?", cell):
        raise ValueError(f"{cell} is not minutes and seconds")
    minutes, seconds = cell.split(":")
    return 60 * int(minutes) + float(seconds.replace(",", "."))


def _date(cell: str) -> float:
    """Seconds of a date such as 2024-03-01T09:00:00.250 or 01.03.2024 09:00:00, or a time of day.

    NaN if it is `nan`.
    """
    if cell == "nan":
        return float(cell)
    cell = re.sub(r"^(\d\d)\.(\d\d)\.(\d{4})(?=[ T])", r"\3-\2-\1", cell)  # 01.03.2024
    if MINUTES.fullmatch(cell):
        raise ValueError(f"{cell} is not a time of day")
    moment = datetime.fromisoformat(f"1970-01-01T{cell}" if cell[2:3] == ":" else cell)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _is_label(name: str, cell: str) -> bool:
    """Whether a column is that of labels. Numbers with a fraction are none, unless they say so."""
    plain = name.strip().lower().replace(" ", "_")
    if plain in CERTAIN:
        return True
    is_number = re.fullmatch(r"\s*[-+]?[\d.]+(e[-+]?\d+)?\s*", cell, re.IGNORECASE) is not None
    return plain in LABELS and (not is_number or (plain in CODED and cell.strip().isdigit()))


def _is_time(name: str) -> bool:
    if len(name.strip()) == 1 and name.strip() != "t":  # T is a temperature
        return False
    words = _words(name)
    stem = " ".join(word for word in words if word not in UNIT)
    return bool(words) and (not stem or stem in TIMES)


def _unit(name: str) -> str | None:
    return next((UNIT[word] for word in reversed(_words(name)) if word in UNIT), None)


def _words(name: str) -> list[str]:
    """Time (ms) -> time, ms."""
    return re.findall(r"[^\W_]+", name.lower())


def _plain(name: str) -> str:
    """Subject ID -> subject."""
    words = _words(name)
    return "_".join(words[:-1] if len(words) > 1 and words[-1] in ("id", "no", "number") else words)
