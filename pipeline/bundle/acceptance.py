"""The acceptance set: test images with which a device tries for itself what it was given, and the trained model's answers.

    acceptance.npz    images, labels and probabilities, for `serving prove`
    acceptance.bin    the same in one piece, beside each program without NumPy: the C program and the page

They are the first of the sample that verification takes, in its order, so that a device that tries the first N says
what `verify` says of N. Probabilities stay float32, because a rounding could turn an answer.
"""

from __future__ import annotations

import importlib
import io
import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.config.params import Params
from pipeline.files import artifacts
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError
from serving import acceptance, classifier
from serving.gate import VERDICTS
from serving.model_card import ModelCard

BINARY = "acceptance.bin"
MAGIC = b"EDGEACC1"
SPARE_BYTES = 4096  # of the headers of arrays
# Little-endian: how many golden vectors G and images N, values P of an image and classes K, the maker's verdict as its
# place in serving.gate.VERDICTS, on how many images; the maker's bound, the loss allowed, the tolerance of golden vectors.
HEADER = struct.Struct("<8s6I3d")


@dataclass(frozen=True)
class AcceptanceSet:
    """Images (N, ...), labels (N,) and the Keras model's probabilities (N, K)."""

    images: Array
    labels: Array
    probabilities: Array


def choose(chosen: Params, images: Array, labels: Array, probabilities: Array) -> AcceptanceSet | str:
    """The acceptance set of the test set, or why there is none. Raises UserError for one that no device would take."""
    dataset = importlib.import_module(f"pipeline.datasets.{chosen.dataset.name}")
    if hasattr(dataset, "NOT_PASSED_ON"):
        return f"{chosen.dataset.name}: {dataset.NOT_PASSED_ON}"
    if not chosen.package.acceptance_images:
        return "package.acceptance_images is 0"
    rows = np.random.default_rng(chosen.preprocess.seed).permutation(len(labels))[: chosen.package.acceptance_images]
    accepted = AcceptanceSet(images[rows], labels[rows].astype(np.int64), probabilities[rows].astype(np.float32))
    size = sum(array.nbytes for array in (accepted.images, accepted.labels, accepted.probabilities)) + SPARE_BYTES
    if size > acceptance.LARGEST_BYTES:
        raise UserError(
            f"package.acceptance_images: {len(rows):,} images are {size:,} bytes, and a device takes at most "
            f"{acceptance.LARGEST_BYTES:,}; ask for fewer"
        )
    return accepted


def described(card: ModelCard, accepted: AcceptanceSet | str) -> ModelCard:
    """The card, which says how many images go with it, or why none do."""
    if isinstance(accepted, str):
        return replace(card, no_acceptance=accepted)
    return replace(card, acceptance_images=len(accepted.labels))


def write(folder: Path, accepted: AcceptanceSet, card: ModelCard) -> None:
    """Writes both forms into the bundle in `folder`; equal sets give equal bytes."""
    packed = io.BytesIO()
    np.savez_compressed(packed, images=accepted.images, labels=accepted.labels, probabilities=accepted.probabilities)
    (folder / acceptance.FILE).write_bytes(packed.getvalue())
    for entry in card.embedded:
        if entry.target in ("c", "browser") and entry.refused is None:
            binary(folder / artifacts.EMBEDDED / entry.target / BINARY, folder / classifier.GOLDEN, accepted, card, entry.format)


def binary(path: Path, vectors: Path, accepted: AcceptanceSet, card: ModelCard, made_from: str) -> None:
    """Writes acceptance.bin of what was made from the file of format `made_from`, unless that is not in the bundle.

    HEADER; golden images (G, P) uint8 and probabilities (G, K) float32; images (N, P) uint8, labels (N,)
    uint32, probabilities (N, K) float32; and the CRC-32 of all before it.
    """
    file = next((file for file in card.files if file.format == made_from), None)
    if file is None:
        return
    with np.load(vectors, allow_pickle=False) as golden:
        golden_images, golden_probabilities = golden["images"], golden[made_from].astype("<f4")
    maker = acceptance.makers(file, "")
    counts = len(golden_images), len(accepted.images), int(np.prod(card.input_shape)), len(card.class_names)
    header = HEADER.pack(
        MAGIC,
        *counts,
        VERDICTS.index(maker["verdict"]),
        maker["images"],
        maker["accuracy_lost_bound"],
        acceptance.allowed_loss(card, ""),
        file.golden_tolerance,
    )
    arrays = [golden_images, golden_probabilities, accepted.images, accepted.labels.astype("<u4"), accepted.probabilities.astype("<f4")]
    content = b"".join([header, *(array.tobytes() for array in arrays)])
    path.write_bytes(content + struct.pack("<I", zlib.crc32(content)))
