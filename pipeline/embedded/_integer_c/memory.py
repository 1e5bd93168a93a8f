"""Places tensors in one arena, so that those that are never needed together share their bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

ALIGNMENT = 2  # bytes, of int16_t


@dataclass(frozen=True)
class Buffer:
    """Memory that is written first by step `first` and read last by step `last`.

    `size` is a multiple of ALIGNMENT, and so are offsets then.
    """

    name: int
    size: int
    first: int
    last: int

    def overlaps(self, other: Buffer) -> bool:
        """Whether both are needed at the same time. A step reads and writes, so ends count."""
        return self.first <= other.last and other.first <= self.last


def aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True)
class Plan:
    """The offset of each buffer, by its name, and the bytes of the arena."""

    offsets: dict[int, int]
    size: int


def plan(buffers: Sequence[Buffer]) -> Plan:
    """The smallest arena of several greedy orders: each buffer goes to the lowest free place."""
    orders = (
        sorted(buffers, key=lambda buffer: (-buffer.size, buffer.first)),
        sorted(buffers, key=lambda buffer: (buffer.first, -buffer.size)),
        sorted(buffers, key=lambda buffer: (buffer.first - buffer.last, -buffer.size)),
    )
    return min((place(order) for order in orders), key=lambda placed: placed.size)


def place(order: Iterable[Buffer]) -> Plan:
    offsets: dict[int, int] = {}
    placed: list[Buffer] = []
    for buffer in order:
        offset = 0
        neighbours = [other for other in placed if other.overlaps(buffer)]
        for other in sorted(neighbours, key=lambda other: offsets[other.name]):
            if offset + buffer.size <= offsets[other.name]:
                break
            offset = max(offset, offsets[other.name] + other.size)
        offsets[buffer.name] = offset
        placed.append(buffer)
    return Plan(offsets, max((offsets[buffer.name] + buffer.size for buffer in placed), default=0))


def least(buffers: Sequence[Buffer]) -> int:
    """The bytes that the busiest step needs; no arena can be smaller."""
    steps = {buffer.first for buffer in buffers}
    return max(
        (sum(b.size for b in buffers if b.first <= step <= b.last) for step in steps), default=0
    )
