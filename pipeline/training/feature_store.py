"""The features of images on disk, found by image, so that any split, order or subset reuses them.

A part is an npy file of one record: the digests of its images, then their features. It is written
whole or not at all, so a killed run leaves nothing that could be taken for a part. A damaged part
is ignored and its images are computed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.files import artifacts, digests
from pipeline.files.artifacts import Array


class Stored:
    """Features (N, ...) whose rows lie memory-mapped in several parts, as one array.

    `part_numbers` and `rows` (N,) say where each is.
    """

    def __init__(self, parts: Sequence[Array], part_numbers: Array, rows: Array) -> None:
        self.parts, self.part_numbers, self.rows = parts, part_numbers, rows
        self.dtype = parts[0].dtype
        self.shape = (len(rows), *parts[0].shape[1:])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Array) -> Array:
        places = zip(self.part_numbers[key].tolist(), self.rows[key].tolist(), strict=True)
        return np.stack([self.parts[part][row] for part, row in places])


@dataclass(frozen=True)
class Store:
    """The parts of one network, whose features of an image have this shape and type."""

    folder: Path
    shape: tuple[int, ...]
    dtype: str

    def missing(self, images: Array) -> Array:
        """Where in `images` (N,), digests, those without features are, each of equal ones once."""
        known = [part["images"][0] for part in self._parts()]
        distinct, places = np.unique(images, return_index=True)
        is_missing = ~np.isin(distinct, np.concatenate(known)) if known else slice(None)
        return np.sort(places[is_missing])

    def add(self, images: Array, features: Array) -> None:
        """Writes the features (N, ...) of these images (N,) as a new part."""
        part = np.empty(1, self._record(len(images)))
        part["images"], part["features"] = images, features
        name = digests.of_facts([images.tobytes().hex()])
        artifacts.save_array(self.folder / f"{name}.npy", part)

    def find(self, images: Array) -> Stored:
        """The features of these images, none of which is missing."""
        parts = self._parts()
        known = np.concatenate([part["images"][0] for part in parts])
        lengths = [part["images"].shape[1] for part in parts]
        part_numbers = np.repeat(np.arange(len(parts)), lengths)
        rows = np.concatenate([np.arange(length) for length in lengths])
        distinct, first = np.unique(known, return_index=True)
        places = first[np.searchsorted(distinct, images)]
        features = [part["features"][0] for part in parts]
        return Stored(features, part_numbers[places], rows[places])

    def _parts(self) -> list[Array]:
        parts = map(self._part, sorted(self.folder.glob("*.npy")))
        return [part for part in parts if part is not None]

    def _part(self, path: Path) -> Array | None:
        """A part, memory-mapped; None if it is damaged or of another version of this file."""
        try:
            part = artifacts.load_array(path)
            count = part["images"].shape[1]
        except (FileNotFoundError, ValueError, EOFError, IndexError):
            return None
        return part if part.shape == (1,) and part.dtype == self._record(count) else None

    def _record(self, count: int) -> np.dtype[np.void]:
        return np.dtype(
            [("images", "<u8", (count,)), ("features", self.dtype, (count, *self.shape))]
        )
