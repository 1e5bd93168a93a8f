"""`edgeproof doctor`: what a run needs, and whether it is there, in a line each.

Every check looks at one thing, changes nothing, and gives up after SECONDS.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from pipeline.process.errors import UserError

SECONDS = 20  # until a server counts as one that does not answer
SKEW = 2.0  # seconds by which a clock may differ before it is worth a word


@dataclass(frozen=True)
class Finding:
    """The result of a check. A `fault` stops what depends on it; a `note` may do so later."""

    subject: str
    fact: str
    state: Literal["ok", "note", "fault"] = "ok"

    def __str__(self) -> str:
        return f"{self.state:<6}{self.subject}: {self.fact}"


@dataclass(frozen=True)
class Check:
    subject: str
    look: Callable[[], Finding]


def findings(checks: Iterable[Check]) -> Iterator[Finding]:
    """Runs all checks at once, and yields their findings in order."""
    running = [(check, _started(check)) for check in checks]
    for check, pending in running:
        try:
            yield pending.get(timeout=SECONDS)
        except queue.Empty:
            yield Finding(check.subject, f"does not answer within {SECONDS} seconds", "fault")


def _started(check: Check) -> queue.SimpleQueue[Finding]:
    """Where the finding of a check will be; its thread does not keep Python from ending."""
    pending: queue.SimpleQueue[Finding] = queue.SimpleQueue()

    def look() -> None:
        try:
            pending.put(check.look())
        except UserError as error:
            pending.put(Finding(check.subject, str(error), "fault"))

    threading.Thread(target=look, daemon=True).start()
    return pending


def clock(seconds: float) -> str:
    """How far a clock is ahead of the one here; nothing if that hardly matters."""
    if abs(seconds) <= SKEW:
        return ""
    direction = "ahead of" if seconds > 0 else "behind"
    return f"; its clock is {abs(seconds):,.0f} s {direction} the one here, so set both by NTP"
