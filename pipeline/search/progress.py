"""Progress of many trainings, by examples processed: a bar on a terminal, and a line for each.

Without a terminal, a line says after the second epoch how long all of it takes: the first one also
waits for imports and for the compiler.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType

from rich import progress
from rich.console import Console

from pipeline.process import stage


class Progress:
    """Progress over numbered tasks. The cost of a task is the number of examples it processes."""

    def __init__(self, costs: Mapping[int, int]) -> None:
        self.costs = costs
        self.processed = dict.fromkeys(costs, 0)
        self.finished = 0
        self.started = time.monotonic()
        self.reports = 0
        self.first = (self.started, 0)  # when the first report came, and the examples processed
        self.console = Console(soft_wrap=True, highlight=False)
        columns = (
            progress.BarColumn(),
            progress.TextColumn("{task.description}"),
            progress.TimeElapsedColumn(),
        )
        self.bar = progress.Progress(
            *columns, console=self.console, disable=not self.console.is_terminal
        )
        self.task = self.bar.add_task(self._state(), total=sum(costs.values()))

    def __enter__(self) -> Progress:
        self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bar.stop()

    def advance(self, number: int, examples: int) -> None:
        self.processed[number] = min(self.processed[number] + examples, self.costs[number])
        self.reports += 1
        if self.reports == 1:
            self.first = time.monotonic(), sum(self.processed.values())
        self._show()
        if self.reports == 2 and not self.console.is_terminal:
            self.print(self._state())

    def reset(self, number: int, line: str) -> None:
        """Forgets the progress of a task whose work is lost, and prints `line`."""
        self.processed[number] = 0
        self._show()
        self.print(line)

    def finish(self, number: int, line: str) -> None:
        """Counts a task as finished, even if it stopped early, and prints `line`."""
        self.processed[number] = self.costs[number]
        self.finished += 1
        self._show()
        self.print(f"{line} ({self._state()})")

    def print(self, line: str) -> None:
        self.console.print(line, markup=False)

    def _show(self) -> None:
        self.bar.update(
            self.task, completed=sum(self.processed.values()), description=self._state()
        )

    def _state(self) -> str:
        state, left = f"{self.finished} of {len(self.costs)}", self._seconds_left()
        return state if left is None else f"{state}, about {stage.duration(left)} left"

    def _seconds_left(self) -> float | None:
        """None if nothing is left, or nothing shows the pace yet."""
        done, total = sum(self.processed.values()), sum(self.costs.values())
        since, before = (self.started, 0) if self.finished else self.first
        if done == total or done <= before or not self.reports:
            return None
        return (time.monotonic() - since) * (total - done) / (done - before)
