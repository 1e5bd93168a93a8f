"""A recording in Edge Impulse's data acquisition format, as JSON or as CBOR (RFC 8949)."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, Field, PositiveFloat

from pipeline.datasets.reading.file_tree import FileError

SUFFIXES = (".json", ".cbor")
LARGEST = 2**27  # bytes
DEEPEST = 16  # lists in lists
SOUND = "audio"
FLOATS = {25: ">e", 26: ">f", 27: ">d"}
NAMED = {20: False, 21: True, 22: None, 23: None}
END = object()


class Sensor(BaseModel):
    name: str


class Payload(BaseModel):
    """Values are `(T, C)`, or `(T,)` of one sensor, a row each `interval_ms` milliseconds."""

    interval_ms: PositiveFloat
    sensors: Annotated[list[Sensor], Field(min_length=1)]
    values: list[Any]


class Document(BaseModel):
    payload: Payload


def read(data: bytes, is_cbor: bool) -> tuple[list[str], Any, float]:
    """The channels, values `(T, C)` float64 and Hz. Raises FileError."""
    if len(data) > LARGEST:
        raise FileError(f"has more than {LARGEST:,} bytes; convert it to CSV")
    try:
        document = _Cbor(data).item() if is_cbor else json.loads(data)
        payload = Document.model_validate(document).payload
        values = np.array(payload.values, np.float64).reshape(len(payload.values), -1)
    except (ValueError, TypeError, struct.error, RecursionError):
        raise FileError(
            "is not in Edge Impulse's data acquisition format; convert it to CSV"
        ) from None
    names, rate = [sensor.name for sensor in payload.sensors], 1000 / payload.interval_ms
    if SOUND in names:
        raise FileError(f"holds sound of {rate:g} Hz; download it from Edge Impulse as WAV")
    if values.shape[1:] != (len(names),) or not len(values):
        raise FileError(f"holds values {values.shape} of {len(names)} sensors")
    return names, values, rate


@dataclass
class _Cbor:
    """Reads an item after the other. Raises ValueError, TypeError or struct.error."""

    data: bytes
    place: int = 0

    def take(self, count: int) -> bytes:
        start, self.place = self.place, self.place + count
        if self.place > len(self.data):
            raise ValueError("the data end early")
        return self.data[start : self.place]

    def item(self, depth: int = 0) -> Any:
        first = self.take(1)[0]
        kind, size = first >> 5, first & 31
        if depth > DEEPEST:
            raise ValueError("lists are nested too deeply")
        if kind == 7:
            return self._simple(size)
        count = None if size == 31 else self._count(size)
        if kind in (2, 3):
            joined = self._chunks(depth) if count is None else self.take(count)
            return joined.decode() if kind == 3 else joined
        if kind in (4, 5):
            items = self._items(count if count is None or kind == 4 else 2 * count, depth)
            return items if kind == 4 else dict(zip(items[::2], items[1::2], strict=True))
        if count is None:
            raise ValueError("a number has no end")
        return self.item(depth + 1) if kind == 6 else -1 - count if kind == 1 else count

    def _count(self, size: int) -> int:
        return size if size < 24 else int.from_bytes(self.take(1 << (size - 24)), "big")

    def _simple(self, size: int) -> Any:
        if size in FLOATS:
            return struct.unpack(FLOATS[size], self.take(1 << (size - 24)))[0]
        return END if size == 31 else NAMED.get(size)

    def _items(self, count: int | None, depth: int) -> list[Any]:
        items: list[Any] = []
        while count is None or len(items) < count:
            item = self.item(depth + 1)
            if item is END:
                break
            items.append(item)
        return items

    def _chunks(self, depth: int) -> bytes:
        parts = self._items(None, depth)
        return b"".join(part.encode() if isinstance(part, str) else part for part in parts)
