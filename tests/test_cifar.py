"""CIFAR: the publisher's binary files, and the subsets that a mirror may hold instead."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from pipeline.config.params import Dataset
from pipeline.datasets import cifar10, cifar100
from pipeline.process.errors import UserError

RNG = np.random.default_rng(0)


def archive(folder: Path, address: str, files: dict[str, bytes]) -> str:
    """Writes a tar.gz like the publisher's into `folder`; returns its SHA-256."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"cifar/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    (folder / address.rsplit("/", 1)[-1]).write_bytes(buffer.getvalue())
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def row(labels: list[int], pixels: np.ndarray) -> bytes:
    return bytes(labels) + pixels.transpose(2, 0, 1).tobytes()


def test_the_publishers_binary_rows_become_images_and_fine_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = RNG.integers(0, 255, (6, 32, 32, 3), dtype=np.uint8)
    train = {f"data_batch_{number}.bin": row([number], pixels[number]) for number in range(1, 6)}
    names = "".join(f"class{label}\n" for label in range(10)).encode()
    files = {**train, "test_batch.bin": row([9], pixels[0]), "batches.meta.txt": names}
    monkeypatch.setattr(cifar10, "SHA256", archive(tmp_path, cifar10.ADDRESS, files))
    fine = {
        "train.bin": row([1, 77], pixels[0]) + row([0, 3], pixels[1]),
        "test.bin": row([1, 5], pixels[2]),
        "fine_label_names.txt": names,
    }
    monkeypatch.setattr(cifar100, "SHA256", archive(tmp_path, cifar100.ADDRESS, fine))
    monkeypatch.setenv("DATA_MIRROR", str(tmp_path))
    ten, hundred = cifar10.load(Dataset(name="cifar10")), cifar100.load(Dataset(name="cifar100"))
    np.testing.assert_array_equal(ten.train_images, pixels[1:])
    assert ten.train_labels.tolist() == [1, 2, 3, 4, 5]
    assert ten.class_names[9] == "class9"
    np.testing.assert_array_equal(hundred.train_images, pixels[:2])
    assert hundred.train_labels.tolist() == [77, 3]


@pytest.mark.skipif(
    not Path(os.environ.get("DATA_MIRROR", "")).joinpath("cifar10_small.npz").is_file(),
    reason="the mirror has no CIFAR",
)
def test_real_photographs_come_from_the_mirrors_subset() -> None:
    raw = cifar100.load(Dataset(name="cifar100"))
    assert raw.train_images.shape[1:] == (32, 32, 3)
    assert len(raw.class_names) == 100
    assert raw.train_labels.max() == 99
    assert len(cifar10.load(Dataset(name="cifar10")).class_names) == 10


def test_a_changed_archive_is_refused_with_every_sources_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive(tmp_path, cifar10.ADDRESS, {"test_batch.bin": b""})
    monkeypatch.setattr(cifar10, "ADDRESS", "http://127.0.0.1:9/cifar-10-binary.tar.gz")
    monkeypatch.setenv("DATA_MIRROR", str(tmp_path))
    with pytest.raises(UserError, match=r"SHA-256 differs.*download failed.*DATA_MIRROR"):
        cifar10.load(Dataset(name="cifar10"))
