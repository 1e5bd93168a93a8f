"""The acceptance set: test images and the trained model's answers, to test a device.

    acceptance.npz    images, labels and probabilities, for `serving prove`
    acceptance.bin    the same in one file, for the programs without NumPy: C and the web page

The images are the first of the sample that verification draws, in the same order, so a device that
tries the first N can be compared with what `verify` reports for N. Probabilities stay float32:
rounding could change an answer.
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
from pipeline.files.reports.embed import IntegerProof, TargetReport
from serving import acceptance, archive, classifier
from serving.comparison import MakersVerdict
from serving.gate import NOT_SHOWN, PROVEN, VERDICTS, WORSE
from serving.model_card import Embedded, ModelCard
from serving.model_file import ModelFile, Proof

BINARY = "acceptance.bin"
MAGIC = b"EDGEACC1"
# Room for the headers of the three arrays in acceptance.npz.
SPARE_BYTES = 4096
# A bundle can hold three copies of a set of this size, however well they compress.
SMALL_BYTES = archive.ALWAYS_ALLOWED // 4
# Little-endian: magic; numbers of golden vectors G, images N, values P per image and classes K;
# the maker's verdict as an index into serving.gate.VERDICTS, and on how many images; the maker's
# bound, the allowed loss, the tolerance of golden vectors.
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

    def looks_like_a_bomb(self) -> bool:
        """Whether the images compress so well that devices would refuse a bundle with copies."""
        # The images are in random order, so the first ones are representative.
        sample = self.images[: max(1, SMALL_BYTES // self.images[:1].nbytes)]
        compressed = zlib.compress(sample.tobytes(), 9)
        return sample.nbytes > archive.LARGEST_RATIO * len(compressed)


def choose(
    params: Params, data: Description, images: Array, labels: Array, probabilities: Array
) -> AcceptanceSet | str:
    """The acceptance set drawn from the test set, or the reason why there is none.

    Large images are limited to as many as a device accepts.
    """
    if data.not_passed_on:
        return f"{data.name}: {data.not_passed_on}"
    count = params.package.acceptance_images
    if not count:
        return "package.acceptance_images is 0"
    rows = np.random.default_rng(params.preprocess.seed).permutation(len(labels))[:count]

    def draw(largest_bytes: int) -> AcceptanceSet:
        limit = images_that_fit(largest_bytes, images, labels, probabilities)
        return subset(images, labels, probabilities, rows[:limit])

    accepted = draw(acceptance.LARGEST_BYTES)
    if accepted.nbytes > SMALL_BYTES and accepted.looks_like_a_bomb():
        accepted = draw(SMALL_BYTES)
    return accepted if len(accepted.labels) else "a single example is too large for one"


def images_that_fit(largest_bytes: int, images: Array, labels: Array, probabilities: Array) -> int:
    """How many images fit into a set of at most `largest_bytes`."""
    label_bytes = labels[0].size * np.dtype(np.int64).itemsize
    probability_bytes = probabilities.shape[1] * np.dtype(np.float32).itemsize
    bytes_per_image = images[:1].nbytes + label_bytes + probability_bytes
    return int((largest_bytes - SPARE_BYTES) // bytes_per_image)


def subset(images: Array, labels: Array, probabilities: Array, rows: Array) -> AcceptanceSet:
    kind = np.float32 if labels.dtype.kind == "f" else np.int64
    return AcceptanceSet(
        images[rows], labels[rows].astype(kind), probabilities[rows].astype(np.float32)
    )


def shortfall(card: ModelCard) -> str:
    """Says that the set has fewer images than params.yaml asks for; empty if it has them all."""
    requested = min(card.provenance["params"]["package"]["acceptance_images"], card.test_images)
    if card.no_acceptance or card.acceptance_images >= requested:
        return ""
    return (
        f"{card.acceptance_images:,} examples instead of the {requested:,} requested, "
        "the most that a device accepts of this size"
    )


def add_to_card(card: ModelCard, accepted: AcceptanceSet | str) -> ModelCard:
    """The card with the number of images in the set, or the reason why there are none."""
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
    golden = folder / classifier.GOLDEN
    for entry in card.embedded:
        if entry.target in ("c", "browser") and entry.refused is None:
            path = folder / artifacts.EMBEDDED / entry.target / BINARY
            write_binary(path, golden, accepted, card, entry)


def write_binary(
    path: Path, golden_file: Path, accepted: AcceptanceSet, card: ModelCard, entry: Embedded
) -> None:
    """Writes acceptance.bin for the program of a target.

    Writes nothing if that format is not in the bundle. Layout: HEADER; golden images (G, P) uint8,
    or float32 of series, and outputs (G, K) float32; images (N, P), labels (N,) uint32, of several
    at once (N, K), of numbers float32; outputs (N, K) float32; the CRC-32 of everything before it.
    """
    file = next((file for file in card.files if file.format == entry.format), None)
    if file is None:
        return
    with np.load(golden_file, allow_pickle=False) as golden:
        golden_images, golden_probabilities = golden["images"], golden[entry.format].astype("<f4")
    allowed = acceptance.allowed_loss(card, "")
    maker = own_verdict(entry) or of_accuracy(file, allowed)
    header = HEADER.pack(
        MAGIC,
        len(golden_images),
        len(accepted.images),
        int(np.prod(card.input_shape)),
        len(card.class_names),
        VERDICTS.index(maker.verdict),
        maker.images,
        maker.bound,
        allowed,
        file.golden_tolerance,
    )
    arrays = [
        golden_images,
        golden_probabilities,
        accepted.images,
        accepted.labels.astype("<f4" if card.number else "<u4"),
        accepted.probabilities.astype("<f4"),
    ]
    content = b"".join([header, *(array.tobytes() for array in arrays)])
    path.write_bytes(content + struct.pack("<I", zlib.crc32(content)))


def of_accuracy(file: ModelFile, allowed: float) -> MakersVerdict:
    """The maker's verdict by accuracy, which these programs compare, whatever the card's metric."""
    proofs = [
        proof if proof.metric_lost_bound is None else by_accuracy(proof, allowed)
        for proof in file.proofs
    ]
    return acceptance.makers_verdict(replace(file, proofs=proofs), "", allowed)


def by_accuracy(proof: Proof, allowed: float) -> Proof:
    assert proof.accuracy_lost_bound is not None
    shown = PROVEN if proof.accuracy_lost_bound <= allowed else NOT_SHOWN
    verdict = WORSE if proof.verdict == WORSE else shown
    return replace(proof, verdict=verdict, metric_lost_bound=None)


def own_verdict(entry: Embedded) -> MakersVerdict | None:
    """The verdict on the program itself, if `embed` ran all test images on it."""
    proof = TargetReport(**vars(entry)).measured
    if not isinstance(proof, IntegerProof):
        return None
    return MakersVerdict(proof.state, proof.test_images, proof.bound)
