"""Bundles are read in little memory, and no damaged one reaches a runtime."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.bundle import archive as archives
from serving import Bundle, BundleError
from serving.classifier import GOLDEN
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

DAMAGED = 1000
REFUSE = """
import gzip, sys, zlib
from pathlib import Path
import numpy as np
from serving import BundleError, Classifier

archive, folder, work = map(Path, sys.argv[1:4])
rng = np.random.default_rng(0)
packed, files = archive.read_bytes(), sorted(path for path in folder.rglob("*") if path.is_file())

def damage(data):
    kind, place = rng.integers(4), int(rng.integers(len(data)))
    if kind == 0:  # cut short
        return data[:place]
    if kind == 1:  # extra bytes at the end
        return data + rng.bytes(int(rng.integers(1, 50)))
    if kind == 2:  # one byte changed
        changed = bytes([data[place] ^ int(rng.integers(1, 256))])
        return data[:place] + changed + data[place + 1:]
    end = place + int(rng.integers(1, 500))  # a hole
    return data[:place] + data[end:]

def is_same_archive(data):  # a few bits of a gzip stream mean nothing: those that fill up a byte
    try:
        return len(data) == len(packed) and gzip.decompress(data) == unpacked
    except (OSError, EOFError, zlib.error):
        return False

refused, unpacked = {}, gzip.decompress(packed)
for index in range(int(sys.argv[4])):
    if index % 2:
        target, original = work, packed
        damaged = damage(original)
        while is_same_archive(damaged):
            damaged = damage(original)
        target.write_bytes(damaged)
        bundle = target
    else:
        target = files[int(rng.integers(len(files)))]
        original, bundle = target.read_bytes(), folder
        target.write_bytes(damage(original))
    try:
        Classifier.load(bundle)
    except BundleError as error:
        refused[index] = str(error)
    finally:
        target.write_bytes(original)
loaded = {"ai_edge_litert", "onnxruntime", "tflite_runtime"} & set(sys.modules)
longest = max(len(message.splitlines()) for message in refused.values())
print(len(refused), sorted(loaded), longest)
Classifier.load(folder), Classifier.load(archive)  # undamaged, both load
"""


@pytest.mark.attacks
def test_a_thousand_damaged_bundles_are_each_refused_before_a_runtime_sees_them(
    archive: Path, bundle: Path, tmp_path: Path
) -> None:
    """No runtime has even been imported when all of them have been refused."""
    python = Path(sys.prefix) / "runtimes/litert/bin/python"
    command = [
        str(python),
        "-c",
        REFUSE,
        str(archive),
        str(bundle),
        str(tmp_path / "damaged.tar.gz"),
        str(DAMAGED),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(DAMAGED), "[]", "1"]


def test_a_changed_bundle_with_new_checksums_is_refused_because_of_its_card(
    bundle: Path, tmp_path: Path
) -> None:
    model = bundle / "onnx_float32.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"!")
    archives.write(bundle, tmp_path / "changed.tar.gz", "changed")
    with pytest.raises(BundleError, match="is not the file that was verified"):
        Bundle(tmp_path / "changed.tar.gz")


def test_an_archive_that_reaches_out_of_its_folder_is_refused(bundle: Path, tmp_path: Path) -> None:
    for name in ("../../outside", "/outside", "a//b"):
        root = tmp_path / "work"
        shutil.copytree(bundle, root)
        archives.write(root, tmp_path / "evil.tar.gz", f"x/{name}")
        with pytest.raises(BundleError, match=r"evil\.tar\.gz"):
            Bundle(tmp_path / "evil.tar.gz")
        shutil.rmtree(root)


def test_an_archive_reads_like_the_folder_even_files_too_large_to_keep_in_memory(
    archive: Path, bundle: Path, tmp_path: Path
) -> None:
    copy = tmp_path / archive.name
    shutil.copy(archive, copy)
    opened = Bundle(copy)
    for name in opened.digests:
        assert opened.read(name) == (bundle / name).read_bytes(), name
    large = max(opened.digests, key=lambda name: (bundle / name).stat().st_size)
    copy.write_bytes(b"another file")
    with pytest.raises(BundleError, match="damaged"):
        opened.read(large)


def test_an_unpacked_bundle_is_read_in_little_memory(bundle: Path) -> None:
    """As on a board with half a gigabyte of memory."""
    code = """
import sys
import time
from serving import Bundle
opened = Bundle(sys.argv[1])
print(sum(len(opened.read(name)) for name in opened.digests))
"""
    limited = ["bash", "-c", 'ulimit -v 600000; exec "$@"', "bash"]
    command = [*limited, sys.executable, "-c", code, str(bundle)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={"OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert int(done.stdout) > 1_000_000, done.stderr


def test_an_endless_file_in_a_folder_is_refused_before_it_is_read(bundle: Path) -> None:
    """It would keep a server from reloading anything for minutes."""
    with (bundle / GOLDEN).open("r+b") as file:
        file.truncate(30 << 30)  # which takes no room on the disk
    started = time.monotonic()
    with pytest.raises(BundleError, match=r"golden\.npz is too large \(more than 1,073,741,824 "):
        Bundle(bundle)
    assert time.monotonic() - started < 10
