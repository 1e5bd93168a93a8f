"""The metrics of several server processes as one: any of them answers with the sum."""

from __future__ import annotations

import ctypes
import struct
from dataclasses import dataclass
from functools import cached_property
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import RawArray
from typing import Any, Dict, Iterator, Optional, Tuple

# Of one process, for two texts of metrics; memory that is never written is never taken.
PLACE_BYTES = 1 << 20
HEAD = struct.Struct("<B3xI")  # which half holds the text, and its length


@dataclass
class Place:
    """One process's place among those of a server, in memory that all of them share.

    A process that takes the place of another one goes on from its counters, because a counter
    must not fall.
    """

    number: int
    processes: int
    memory: Any
    listens: Optional[Connection] = None  # for the first process to tell that it does

    @classmethod
    def all(cls, processes: int) -> Tuple[Place, ...]:
        memory = RawArray(ctypes.c_char, processes * PLACE_BYTES)
        return tuple(cls(number, processes, memory) for number in range(processes))

    @cached_property
    def _earlier(self) -> str:
        """What an earlier process at this place has counted; read before it is overwritten."""
        return _without_gauges(self._read(self.number))

    @property
    def is_first(self) -> bool:
        """Whether the server starts with this process, which speaks for the others."""
        return self.listens is not None

    def tell_that_it_listens(self) -> None:
        if self.listens:
            self.listens.send_bytes(b"")
            self.listens.close()

    def publish(self, metrics: str) -> None:
        """Lets the other processes read this one's metrics.

        It writes beside what they may be reading, and then says where the text lies.
        """
        text = total(metrics, self._earlier).encode()
        start, size = self.number * PLACE_BYTES, (PLACE_BYTES - HEAD.size) // 2
        if len(text) > size:
            return
        half = 1 - HEAD.unpack_from(self.memory, start)[0]
        begin = start + HEAD.size + half * size
        self.memory[begin : begin + len(text)] = text
        HEAD.pack_into(self.memory, start, half, len(text))

    def total(self, metrics: str) -> str:
        """The sum of this process's metrics and what the others published last."""
        others = (number for number in range(self.processes) if number != self.number)
        return total(metrics, self._earlier, *map(self._read, others))

    def _read(self, number: int) -> str:
        start, size = number * PLACE_BYTES, (PLACE_BYTES - HEAD.size) // 2
        half, length = HEAD.unpack_from(self.memory, start)
        begin = start + HEAD.size + half * size
        text: bytes = self.memory[begin : begin + length]
        return text.decode()


def total(*texts: str) -> str:
    """The sum of metrics in Prometheus' text format, sample by sample."""
    sums: Dict[str, Dict[str, float]] = {}
    for text in texts:
        for head, samples in _metrics(text):
            own = sums.setdefault(head, {})
            for sample in samples:
                name, _, value = sample.rpartition(" ")
                own[name] = own.get(name, 0) + (float(value) if "." in value else int(value))
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
