"""Bundles with another acceptance set, card or golden vectors, as if they had been made so."""

from __future__ import annotations

import dataclasses
import io
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.files.artifacts import Array
from serving.checksums import MANIFEST, manifest
from serving.model_card import FILE as CARD
from serving.model_card import ModelCard
from tests.conftest import Project


def rewrite(bundle: Path, **files: bytes) -> Path:
    """Replaces files of an unpacked bundle and updates its checksums; a `__` in a name is a dot."""
    for name, content in files.items():
        (bundle / name.replace("__", ".")).write_bytes(content)
    names = [
        path.relative_to(bundle).as_posix()
        for path in bundle.rglob("*")
        if path.is_file() and path.name != MANIFEST
    ]
    (bundle / MANIFEST).write_bytes(
        manifest({name: (bundle / name).read_bytes() for name in names})
    )
    return bundle


def npz(**arrays: Array) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    return file.getvalue()


def change_card(bundle: Path, **values: Any) -> Path:
    card = ModelCard.parse((bundle / CARD).read_bytes())
    return rewrite(bundle, model_card__json=dataclasses.replace(card, **values).dump())


def with_threshold(bundle: Path, accept_from: float | None, **values: Any) -> Path:
    """Gives the files of an unpacked bundle a threshold, and changes other values of its card."""
    before = ModelCard.parse((bundle / CARD).read_bytes())
    files = [dataclasses.replace(file, accept_from=accept_from) for file in before.files]
    return change_card(bundle, files=files, **values)


def program(finished: Project, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    path = finished.folder / "embedded/c/programs/classify-x86_64"
    return subprocess.run([path, *arguments], capture_output=True, text=True, check=False)


def sealed(data: bytes) -> bytes:
    """Appends the checksum of the changed content."""
    return data + struct.pack("<I", zlib.crc32(data))
