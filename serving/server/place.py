"""One process's place among those of a server, in memory that all of them share.

In it each tells the others its metrics and what it holds, so that any of them can answer with the
sum, and the limits hold for all together.
"""

from __future__ import annotations

import ctypes
import struct
from functools import cached_property
from multiprocessing.connection import Connection
from typing import Any, Dict, Iterator, Optional, Tuple

NUMBER = ctypes.c_int64
# Of one process, for two texts of metrics. Memory that is never written is never taken.
TEXT_BYTES = 1 << 20
HEAD = struct.Struct("<B3xI")  # which half holds the text, and its length
HALF_BYTES = (TEXT_BYTES - HEAD.size) // 2
VERSION_BYTES = 64  # the longest version of a card


class Count:
    """What a process holds of something, such as connections."""

    def __init__(self, cells: Any, number: int) -> None:
        self._cells, self._number = cells, number
        cells[number] = 0  # a process that was killed here holds nothing any more

    @property
    def own(self) -> int:
        return int(self._cells[self._number])

    @property
    def of_all(self) -> int:
        return sum(self._cells)

    def add(self, amount: int) -> None:
        self._cells[self._number] += amount


class Newest:
    """The version of a bundle that was served last, by any of the processes; "" at first."""

    def __init__(self, memory: Any, start: int) -> None:
        self._memory, self._place = memory, slice(start, start + VERSION_BYTES)

    @property
    def version(self) -> str:
        return bytes(self._memory[self._place]).rstrip(b"\0").decode()

    @version.setter
    def version(self, version: str) -> None:
        self._memory[self._place] = version.encode().ljust(VERSION_BYTES, b"\0")


class Place:
    """That of the only process; see `several`."""

    def __init__(self, number: int = 0, processes: int = 1, counts: int = 0) -> None:
        self.number, self.processes = number, processes
        self.listens: Optional[Connection] = None  # for the first process to tell that it does
        self._memory: Any = None
        self._texts, self._counts = counts * processes * ctypes.sizeof(NUMBER), 0
        self._versions, self._bundles = self._texts + processes * TEXT_BYTES, 0

    @classmethod
    def several(cls, processes: int, counts: int, bundles: int) -> Tuple[Place, ...]:
        """The places of several processes that will each ask for as many counts and bundles."""
        from multiprocessing.sharedctypes import RawArray

        places = tuple(cls(number, processes, counts) for number in range(processes))
        memory = RawArray(ctypes.c_char, places[0]._versions + bundles * VERSION_BYTES)
        for place in places:
            place._memory = memory
        return places

    @property
    def is_first(self) -> bool:
        """Whether this process speaks for the server: the only one, or the first to start."""
        return self._memory is None or self.listens is not None

    def tell_that_it_listens(self) -> None:
        if self.listens:
            self.listens.send_bytes(b"")
            self.listens.close()

    def count(self) -> Count:
        """A new count. All processes must ask for the same ones, in the same order."""
        if self._memory is None:
            return Count([0], 0)
        column = NUMBER * self.processes
        cells = column.from_buffer(self._memory, self._counts * ctypes.sizeof(column))
        self._counts += 1
        return Count(cells, self.number)

    def newest(self) -> Newest:
        """That of another bundle. All processes must ask for them in the same order."""
        if self._memory is None:
            return Newest(bytearray(VERSION_BYTES), 0)
        self._bundles += 1
        return Newest(self._memory, self._versions + (self._bundles - 1) * VERSION_BYTES)

    def publish(self, metrics: str) -> None:
        """Lets the other processes read this one's metrics.

        It writes beside what they may be reading, and then says where the text lies.
        """
        if self._memory is None:
            return
        text = total(metrics, self._earlier).encode()
        if len(text) > HALF_BYTES:
            return
        start = self._texts + self.number * TEXT_BYTES
        half = 1 - HEAD.unpack_from(self._memory, start)[0]
        begin = start + HEAD.size + half * HALF_BYTES
        self._memory[begin : begin + len(text)] = text
        HEAD.pack_into(self._memory, start, half, len(text))

    def total(self, metrics: str) -> str:
        """The sum of this process's metrics and what the others published last."""
        if self._memory is None:
            return metrics
        others = (number for number in range(self.processes) if number != self.number)
        return total(metrics, self._earlier, *map(self._read, others))

    @cached_property
    def _earlier(self) -> str:
        """What an earlier process at this place has counted, read before it is overwritten.

        This one goes on from there, because a counter must not fall.
        """
        return _without_gauges(self._read(self.number))

    def _read(self, number: int) -> str:
        start = self._texts + number * TEXT_BYTES
        half, length = HEAD.unpack_from(self._memory, start)
        begin = start + HEAD.size + half * HALF_BYTES
        text: bytes = self._memory[begin : begin + length]
        return text.decode()


def total(*texts: str) -> str:
    """The sum of metrics in Prometheus' text format, sample by sample."""
    sums: Dict[str, Dict[str, float]] = {}
    for text in texts:
        for head, samples in _metrics(text):
            own = sums.setdefault(head, {})
            for sample in samples:
                name, _, value = sample.rpartition(" ")
                own[name] = own.get(name, 0) + (int(value) if value.isdigit() else float(value))
    return "".join(
        head + "".join(f"{name} {value}\n" for name, value in samples.items())
        for head, samples in sums.items()
    )


def _metrics(text: str) -> Iterator[Tuple[str, Tuple[str, ...]]]:
    """The two comments at the head of each metric, and its samples."""
    for metric in text.split("# HELP ")[1:]:
        help_, type_, *samples = metric.splitlines()
        yield f"# HELP {help_}\n{type_}\n", tuple(samples)


def _without_gauges(text: str) -> str:
    metrics = ((head, samples) for head, samples in _metrics(text) if "gauge\n" not in head)
    return "".join(head + "".join(f"{line}\n" for line in samples) for head, samples in metrics)
