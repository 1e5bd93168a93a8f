"""The progress of long work, with the time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.progress import track

from pipeline.process import stage

SOON, WORTH_SAYING = 5, 20  # seconds: when the time left is estimated, and when it is said
PARTS = 100  # of the work; the first tells the pace, as threads deliver the first item late

Item = TypeVar("Item")


def followed(items: Iterable[Item], total: int, title: str) -> Iterator[Item]:
    """The items, with a bar on a terminal; if they take long, a line says so early for any log."""
    started, is_announced = time.monotonic(), False
    hidden = not sys.stdout.isatty()
    shown = track(items, title, total=total, transient=True, disable=hidden)
    for done, item in enumerate(shown, 1):
        seconds = time.monotonic() - started
        if not is_announced and seconds > SOON and done >= total / PARTS:
            left = seconds / done * (total - done)
            is_announced = True
            if left > WORTH_SAYING:
                print(f"{title}: about {stage.duration(left)} left", flush=True)
        yield item
