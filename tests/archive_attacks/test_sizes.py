"""Archives that would fill memory or disk: each is refused in bounded memory."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from serving import Bundle, BundleError
from serving.bundle import KEPT
from serving.checksums import MANIFEST, manifest
from tests.archive_attacks.conftest import tar_of
from tests.hostile_bundles import MEMORY, ROOT_FOLDER, Files, bomb, opened_in_a_process, packed

pytestmark = [pytest.mark.slow, pytest.mark.attacks]


@pytest.mark.parametrize("name", ["a/" * 400_000 + "a", "a" * 800_000])
def test_a_list_of_endless_names_is_refused_in_bounded_memory(
    files: Files, tmp_path: Path, name: str
) -> None:
    """The folders of the first name would take 300 GB as texts."""
    path, listed = tmp_path / "deep.tar.gz", manifest({**files, name: b""})
    path.write_bytes(packed(tar_of([(f"{ROOT_FOLDER}/{MANIFEST}", listed)])))
    sentence, memory = opened_in_a_process(path)
    assert "not every system can hold a file named 'aa" in sentence.replace("/", "")
    assert memory < MEMORY


@pytest.mark.parametrize(
    ("size", "count"), [(1 << 30, 1), (8 << 20, 100)], ids=["one large file", "many files"]
)
def test_a_bomb_is_refused_in_bounded_memory(
    files: Files, tmp_path: Path, size: int, count: int
) -> None:
    path = tmp_path / "bomb.tar.gz"
    path.write_bytes(bomb(files, size, count))
    assert path.stat().st_size < 10 << 20
    sentence, memory = opened_in_a_process(path)
    assert "it unpacks to far more than a bundle of its size" in sentence
    assert memory < MEMORY


def test_a_file_that_grows_after_it_was_verified_is_not_unpacked_whole(
    files: Files, tmp_path: Path
) -> None:
    path, large = tmp_path / "grows.tar.gz", random.Random(0).randbytes(KEPT + 1)
    named = {**files, "large": large}
    parts = [
        (f"{ROOT_FOLDER}/{name}", data)
        for name, data in {MANIFEST: manifest(named), **dict(sorted(named.items()))}.items()
    ]
    path.write_bytes(packed(tar_of(parts)))
    opened = Bundle(path)
    assert opened.read("large") == large
    grown = [
        (name, data + bytes(20 << 20) if name.endswith("large") else data) for name, data in parts
    ]
    path.write_bytes(packed(tar_of(grown)))
    with pytest.raises(BundleError, match="a file in it has grown"):
        opened.read("large")
