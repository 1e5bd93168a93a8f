"""Progress of many trainings, by examples processed: a bar on a terminal, and a line for each.

Without a terminal, a line says after the second epoch how long all of it takes. The first is no
measure: it includes the start of a process, and the features of a published network, which all
trainings share.
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
        self.first: tuple[float, int] | None = None  # when an epoch was first done, and examples
        self.is_told = False
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
        if self.first is None:
            self.first = time.monotonic(), examples
        elif not self.is_told and not self.console.is_terminal:
            self.is_told = True
            self.print(self._state())
        self._show()

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
        done, total = sum(self.processed.values()), sum(self.costs.values())
        state = f"{self.finished} of {len(self.costs)}"
        began, before = self.first or (0.0, total)
        if done <= before or done == total:
            return state
        left = (time.monotonic() - began) * (total - done) / (done - before)
        return f"{state}, about {stage.duration(left)} left"
