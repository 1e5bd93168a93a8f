"""The acceptance set: test images with which a device tries for itself what it was given, and the trained model's answers.

    acceptance.npz    images, labels and probabilities, for `serving prove`
    acceptance.bin    the same in one piece, beside each program without NumPy: the C program and the page

They are the first of the sample that verification takes, in its order, so that a device that tries the first N says
what `verify` says of N. Probabilities stay float32, because a rounding could turn an answer.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.config.params import Params
from pipeline.files import artifacts
from pipeline.files.artifacts import Array, Description
from serving import acceptance, archive, classifier
from serving.gate import VERDICTS
from serving.model_card import ModelCard

BINARY = "acceptance.bin"
MAGIC = b"EDGEACC1"
SPARE_BYTES = 4096  # of the headers of arrays
SMALL_BYTES = (
    archive.ALWAYS_ALLOWED // 4
)  # a set of which a bundle may hold three copies, however little they pack to
# Little-endian: how many golden vectors G and images N, values P of an image and classes K, the maker's verdict as its
# place in serving.gate.VERDICTS, on how many images; the maker's bound, the loss allowed, the tolerance of golden vectors.
HEADER = struct.Struct("<8s6I3d")


@dataclass(frozen=True)
class AcceptanceSet:
    """Images (N, ...), labels (N,) and the Keras model's probabilities (N, K)."""

    images: Array
    labels: Array
    probabilities: Array

    @property
    def nbytes(self) -> int:
        return self.images.nbytes + self.labels.nbytes + self.probabilities.nbytes

    def packs_well(self) -> bool:
        """Whether the images pack to so little that a bundle with a few copies of them would look like a bomb."""
        some = self.images[
            : max(1, SMALL_BYTES // self.images[:1].nbytes)
        ]  # in random order, so that they are like the others
        return some.nbytes > archive.LARGEST_RATIO * len(zlib.compress(some.tobytes(), 9))


def choose(
    chosen: Params, data: Description, images: Array, labels: Array, probabilities: Array
) -> AcceptanceSet | str:
    """The acceptance set of the test set, or why there is none. Of large images it takes as many as a device does."""
    if data.not_passed_on:
        return f"{data.name}: {data.not_passed_on}"
    if not chosen.package.acceptance_images:
        return "package.acceptance_images is 0"
    rows = np.random.default_rng(chosen.preprocess.seed).permutation(len(labels))[
        : chosen.package.acceptance_images
    ]
    accepted = taken(
        images,
        labels,
        probabilities,
        rows[: fitting(acceptance.LARGEST_BYTES, images, probabilities)],
    )
    if accepted.nbytes > SMALL_BYTES and accepted.packs_well():
        accepted = taken(
            images, labels, probabilities, rows[: fitting(SMALL_BYTES, images, probabilities)]
        )
    return accepted if len(accepted.labels) else "a single image is too large for one"


def fitting(largest_bytes: int, images: Array, probabilities: Array) -> int:
    """How many images fit into a set of at most `largest_bytes`."""
    each = (
        images[:1].nbytes
        + np.dtype(np.int64).itemsize
        + probabilities.shape[1] * np.dtype(np.float32).itemsize
    )
    return int((largest_bytes - SPARE_BYTES) // each)


def taken(images: Array, labels: Array, probabilities: Array, rows: Array) -> AcceptanceSet:
    return AcceptanceSet(
        images[rows], labels[rows].astype(np.int64), probabilities[rows].astype(np.float32)
    )


def fewer(card: ModelCard) -> str:
    """That the set has fewer images than were asked for, and why; nothing where it has them all."""
    asked = min(card.provenance["params"]["package"]["acceptance_images"], card.test_images)
    if card.no_acceptance or card.acceptance_images >= asked:
        return ""
    return f"{card.acceptance_images:,} images of the {asked:,} asked for, as many of this size as a device takes"


def described(card: ModelCard, accepted: AcceptanceSet | str) -> ModelCard:
    """The card, which says how many images go with it, or why none do."""
    if isinstance(accepted, str):
        return replace(card, no_acceptance=accepted)
    return replace(card, acceptance_images=len(accepted.labels))


def write(folder: Path, accepted: AcceptanceSet, card: ModelCard) -> None:
    """Writes both forms into the bundle in `folder`; equal sets give equal bytes."""
    packed = io.BytesIO()
    np.savez_compressed(
        packed, images=accepted.images, labels=accepted.labels, probabilities=accepted.probabilities
    )
    (folder / acceptance.FILE).write_bytes(packed.getvalue())
    for entry in card.embedded:
        if entry.target in ("c", "browser") and entry.refused is None:
            binary(
                folder / artifacts.EMBEDDED / entry.target / BINARY,
                folder / classifier.GOLDEN,
                accepted,
                card,
                entry.format,
            )


def binary(
    path: Path, vectors: Path, accepted: AcceptanceSet, card: ModelCard, made_from: str
) -> None:
    """Writes acceptance.bin of what was made from the file of format `made_from`, unless that is not in the bundle.

    HEADER; golden images (G, P) uint8 and probabilities (G, K) float32; images (N, P) uint8, labels (N,)
    uint32, probabilities (N, K) float32; and the CRC-32 of all before it.
    """
    file = next((file for file in card.files if file.format == made_from), None)
    if file is None:
        return
    with np.load(vectors, allow_pickle=False) as golden:
        golden_images, golden_probabilities = golden["images"], golden[made_from].astype("<f4")
    allowed = acceptance.allowed_loss(card, "")
    maker = acceptance.makers_verdict(file, "", allowed)
    counts = (
        len(golden_images),
        len(accepted.images),
        int(np.prod(card.input_shape)),
        len(card.class_names),
    )
    header = HEADER.pack(
        MAGIC,
        *counts,
        VERDICTS.index(maker["verdict"]),
        maker["images"],
        maker["accuracy_lost_bound"],
        allowed,
        file.golden_tolerance,
    )
    arrays = [
        golden_images,
        golden_probabilities,
        accepted.images,
        accepted.labels.astype("<u4"),
        accepted.probabilities.astype("<f4"),
    ]
    content = b"".join([header, *(array.tobytes() for array in arrays)])
    path.write_bytes(content + struct.pack("<I", zlib.crc32(content)))
