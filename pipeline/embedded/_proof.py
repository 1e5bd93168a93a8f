"""The proof of a target that computes in integers: the same bytes, and the gate of verification."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from pipeline.embedded._verified import VerifiedFile
from pipeline.files import artifacts, split_files
from pipeline.files.artifacts import Array
from pipeline.files.reports.embed import IntegerProof
from pipeline.process.errors import UserError
from pipeline.reporting import statistics
from serving import gate

PART_BYTES = 2**27  # of images that one process gets


def prove(model: VerifiedFile, classify: Callable[[Array], Array]) -> IntegerProof:
    """Runs all test images. `classify` gives the outputs (N, K) of images (N, H, W, C).

    Returns the verdict of the gate of verification, its figures, and how many images were compared
    with TensorFlow Lite Micro. Raises UserError if an output differs from its, or if significantly
    more is lost than the params allow.
    """
    images, labels = split_files.load_split("test")
    reference = artifacts.load_array(artifacts.TEST_PROBABILITIES)
    outputs = on_all_cores(classify, images)
    expected = model.micro.tested
    differing = int((outputs[: len(expected)] != expected).any(1).sum())
    if differing:
        raise UserError(
            f"its C answers {differing} of {len(expected)} images unlike TensorFlow Lite Micro; "
            "report this fault, and remove the target from embed.targets"
        )
    comparison = gate.compare(
        outputs, reference, np.asarray(labels), model.max_loss, holds_from=model.holds_from
    )
    if comparison.state == gate.WORSE:
        raise UserError(statistics.reason(comparison, model.data.unit) or "")
    known = vars(comparison)
    figures = {name: known[name] for name in IntegerProof.model_fields if name in known}
    return IntegerProof(**figures, images_equal_to_micro=len(expected))


def on_all_cores(classify: Callable[[Array], Array], images: Array) -> Array:
    """The probabilities of images: `classify`, which starts a process, for some on each core."""
    cores = min(os.cpu_count() or 1, len(images))
    most = -(-len(images) * artifacts.row_bytes(images) // PART_BYTES)
    parts = np.array_split(np.arange(len(images)), max(cores, min(most, len(images))))
    with ThreadPoolExecutor(cores) as pool:
        return np.concatenate(list(pool.map(lambda rows: classify(images[rows]), parts)))
