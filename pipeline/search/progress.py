"""Progress of many trainings, by examples processed: a bar on a terminal, and a line for each.

Without a terminal, a line says after two epochs of a training how long all of it takes. The first
epoch of each does not count for that, since what comes before it comes once: starting, compiling,
and the features of frozen layers, which can take longer than all epochs together.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

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
        self.epoch_ends: dict[int, float] = {}  # of the last epoch of each training that runs
        self.speed = 0.0  # seconds for an example, in the last epoch; 0: not known yet
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

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def advance(self, number: int, examples: int) -> None:
        is_known, now = bool(self.speed), time.monotonic()
        if number in self.epoch_ends:
            self.speed = (now - self.epoch_ends[number]) / examples
        self.epoch_ends[number] = now
        self.processed[number] = min(self.processed[number] + examples, self.costs[number])
        if self.speed and not is_known and not self.console.is_terminal:
            self.print(self._state())
        self._show()

    def reset(self, number: int, line: str) -> None:
        """Forgets the progress of a task whose work is lost, and prints `line`."""
        self.processed[number] = 0
        self.epoch_ends.pop(number, None)
        self._show()
        self.print(line)

    def finish(self, number: int, line: str) -> None:
        """Counts a task as finished, even if it stopped early, and prints `line`."""
        self.processed[number] = self.costs[number]
        self.epoch_ends.pop(number, None)
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
        speed = self.speed / max(1, len(self.epoch_ends))
        if not speed and self.finished:  # trainings of one epoch
            speed = (time.monotonic() - self.started) / done
        if not speed or done == total:
            return state
        return f"{state}, about {stage.duration(speed * (total - done))} left"
