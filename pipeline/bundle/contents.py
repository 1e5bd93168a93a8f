"""What a bundle holds, and how it is packed."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np

from pipeline import inputs
from pipeline.bundle import (
    acceptance,
    archive,
    card_markdown,
    golden,
    golden_photos,
    golden_sounds,
    vocabulary,
    wheel,
)
from pipeline.bundle.acceptance import AcceptanceSet
from pipeline.files import artifacts, atomic
from pipeline.process.errors import UserError
from serving import classifier
from serving.model_card import ModelCard

# What a device needs beside the model, by the name that its kind of input says.
COMPANIONS = {
    "golden_photos": golden_photos.write,
    "golden_sounds": golden_sounds.write,
    "vocabulary": vocabulary.write,
}


def fill(
    folder: Path,
    content: ModelCard,
    data: artifacts.Description,
    acceptance_set: AcceptanceSet | str,
) -> None:
    """Writes the contents of the bundle into `folder`."""
    for file in content.files:
        shutil.copy(artifacts.EXPORTED / file.file, folder / file.file)
    if content.embedded:
        shutil.copytree(artifacts.EMBEDDED, folder / artifacts.EMBEDDED)
    shutil.copy(artifacts.GOLDEN, folder / classifier.GOLDEN)
    if isinstance(acceptance_set, AcceptanceSet):
        acceptance.write(folder, acceptance_set, content)
    fill_examples(folder, content, data)
    built = wheel.build(folder / wheel.WHEELS)
    wheel.write_requirements(folder / "requirements", built, runtimes(content))
    (folder / "pictures").mkdir()
    for name in card_markdown.PICTURES:
        if name != card_markdown.OF_TEST_IMAGES or not data.not_passed_on:
            shutil.copy(artifacts.REPORTS / f"{name}.png", folder / "pictures")
    card_markdown.write(folder, content)


def fill_examples(folder: Path, content: ModelCard, data: artifacts.Description) -> None:
    """Writes what the kind of input needs beside the model.

    Raises UserError if a format has no golden vectors.
    """
    with np.load(artifacts.GOLDEN, allow_pickle=False) as vectors:
        missing = [file.format for file in content.files if file.format not in vectors.files]
        if missing:
            raise UserError(
                f"{artifacts.GOLDEN} has no golden vectors of {', '.join(missing)}; "
                "run `dvc repro --force --downstream verify`"
            )
        labels = vectors["labels"]
        recorded = golden.recorded(labels)
        images = vectors["images"][recorded if recorded.any() else ~recorded]
    if write := COMPANIONS.get(inputs.kind(data.kind).COMPANIONS):
        write(folder, content, data, images)


def runtimes(content: ModelCard) -> set[str]:
    """The runtimes on which a file of the bundle was verified."""
    return {proof.runtime for file in content.files for proof in file.proofs}


def pack(
    content: ModelCard,
    data: artifacts.Description,
    acceptance_set: AcceptanceSet | str,
    target: Path,
) -> int:
    """Writes the bundle `target`; returns its size in bytes."""
    with tempfile.TemporaryDirectory() as folder, atomic.replacing(target) as temporary:
        fill(Path(folder), content, data, acceptance_set)
        archive.write(Path(folder), temporary, f"{content.name}-{content.version}")
        archive.check(temporary)
    return target.stat().st_size
