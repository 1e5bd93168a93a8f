"""Digests that identify facts and examples."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np

from pipeline.files import artifacts
from pipeline.files.artifacts import Array


def of_facts(facts: Sequence[str]) -> str:
    """A key (16 hexadecimal digits) that changes if any of the facts does."""
    return hashlib.sha256(json.dumps(list(facts)).encode()).hexdigest()[:16]


def of_examples(examples: Array) -> Array:
    """A number (N,) uint64 for each example; equal examples have equal numbers."""
    parts = []
    for start, stop in artifacts.chunks_of(examples):
        parts += [
            hashlib.blake2b(row.tobytes(), digest_size=8).digest()
            for row in np.ascontiguousarray(examples[start:stop])
        ]
    return np.frombuffer(b"".join(parts), np.uint64)
