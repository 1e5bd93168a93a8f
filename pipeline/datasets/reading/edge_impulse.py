"""A recording in Edge Impulse's data acquisition format, as JSON or as CBOR (RFC 8949)."""

from __future__ import annotations

import json
from typing import Annotated, Any, NoReturn

import cbor2
import numpy as np
from pydantic import BaseModel, Field

from pipeline.datasets.reading.file_tree import FileError

SUFFIXES = (".json", ".cbor")
LARGEST = 2**27  # bytes
DEEPEST = 16  # lists in lists
SOUND = "audio"
SHAREABLE, REFERENCE = 28, 29  # tags of CBOR (http://cbor.schmorp.de/value-sharing)


class Sensor(BaseModel):
    name: str


class Payload(BaseModel):
    """Values are `(T, C)`, or `(T,)` of one sensor, a row each `interval_ms` milliseconds."""

    interval_ms: Annotated[float, Field(ge=0.001, allow_inf_nan=False)]
    sensors: Annotated[list[Sensor], Field(min_length=1)]
    values: list[Any]


class Document(BaseModel):
    payload: Payload


def read(data: bytes, is_cbor: bool) -> tuple[list[str], Any, float]:
    """The channels, values `(T, C)` float64 and Hz. Raises FileError."""
    if len(data) > LARGEST:
        raise FileError(f"has more than {LARGEST:,} bytes; convert it to CSV")
    try:
        payload = Document.model_validate(_cbor(data) if is_cbor else json.loads(data)).payload
        values = np.array(payload.values, np.float64).reshape(len(payload.values), -1)
    except (ValueError, TypeError, RecursionError, cbor2.CBORDecodeError):
        raise FileError(
            "is not in Edge Impulse's data acquisition format; convert it to CSV"
        ) from None
    names, rate = [sensor.name for sensor in payload.sensors], 1000 / payload.interval_ms
    if SOUND in names:
        raise FileError(f"holds sound of {rate:g} Hz; download it from Edge Impulse as WAV")
    if len(set(names)) < len(names):
        raise FileError(f"names a sensor twice: {', '.join(names)}")
    if values.shape[1:] != (len(names),) or not len(values):
        raise FileError(f"holds values {values.shape} of {len(names)} sensors")
    return names, values, rate


def _cbor(data: bytes) -> Any:
    refused = dict.fromkeys((SHAREABLE, REFERENCE), _no_reference)
    return cbor2.loads(data, semantic_decoders=refused, max_depth=DEEPEST)


def _no_reference(item: object, is_immutable: bool) -> NoReturn:
    """A small file could refer to a list so often that no memory holds it."""
    raise ValueError("the data refer to a part of them")
