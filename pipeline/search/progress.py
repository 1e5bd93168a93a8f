"""How far many trainings have come, by the examples they have seen: a bar on a terminal, and a line on each that is done."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType

from rich import progress
from rich.console import Console

from pipeline.process import stage


class Progress:
    """Over tasks by number, each of which costs so many examples."""

    def __init__(self, costs: Mapping[int, int]) -> None:
        self.costs = costs
        self.seen = dict.fromkeys(costs, 0)
        self.finished = 0
        self.started = time.monotonic()
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
        self.seen[number] = min(self.seen[number] + examples, self.costs[number])
        self._show()

    def back(self, number: int, line: str) -> None:
        """What this task had come to is lost."""
        self.seen[number] = 0
        self._show()
        self.say(line)

    def done(self, number: int, line: str) -> None:
        """The task has ended, perhaps before it had seen all that it might."""
        self.seen[number] = self.costs[number]
        self.finished += 1
        self._show()
        self.say(f"{line} ({self._state()})")

    def say(self, line: str) -> None:
        self.console.print(line, markup=False)

    def _show(self) -> None:
        self.bar.update(self.task, completed=sum(self.seen.values()), description=self._state())

    def _state(self) -> str:
        done, whole = sum(self.seen.values()), sum(self.costs.values())
        count = f"{self.finished} of {len(self.costs)}"
        if not done or done == whole:
            return count
        return f"{count}, about {stage.duration((time.monotonic() - self.started) * (whole - done) / done)} left"
