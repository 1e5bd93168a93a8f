"""Photos in a folder of zip files: the same data as in a folder."""

from __future__ import annotations

import os
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pipeline.files.pictures.shards import Shards
from pipeline.process.errors import UserError
from tests.shards.conftest import SIDE, check_equal, load, sharded


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_shards_are_read_as_the_folder_that_they_hold(folder: Path, method: int) -> None:
    photos = load(sharded(folder, method))
    assert isinstance(photos.source, Shards)
    assert [path.name for path in photos.files_here()] == ["0.zip", "1.zip", "2.zip"]
    check_equal(photos, load(folder))


def test_a_list_lies_beside_the_shards(folder: Path) -> None:
    shards = sharded(folder)
    rows = [f"cat/{number:02}.jpg,{number % 4}" for number in range(0, 40, 2)]
    (shards / "labels.csv").write_text("\n".join(["file,label", *rows]))
    photos = load(shards, name="image_list", labels="labels.csv")
    assert len(photos) == 20
    assert photos[:].shape == (20, SIDE, SIDE, 3)


def test_a_zip_file_beside_folders_is_no_shard(folder: Path) -> None:
    (sharded(folder) / "0.zip").rename(folder / "extra.zip")
    assert len(load(folder)) == 40


def test_a_file_in_two_shards_is_refused(folder: Path) -> None:
    shards = sharded(folder)
    with zipfile.ZipFile(shards / "3.zip", "w") as archive:
        archive.write(folder / "cat/00.jpg", "cat/00.jpg")
    with pytest.raises(UserError, match=r"0\.zip and 3\.zip in .* both hold cat/00\.jpg"):
        load(shards)


def test_a_list_in_a_shard_and_beside_it_is_refused(folder: Path) -> None:
    shards = sharded(folder)
    (shards / "labels.csv").write_text("file,label\ncat/00.jpg,a\n")
    with zipfile.ZipFile(shards / "1.zip", "a") as archive:
        archive.writestr("labels.csv", "file,label\ncat/02.jpg,b\n")
    with pytest.raises(UserError, match=r"beside it and 1\.zip in .* both hold labels\.csv"):
        load(shards, name="image_list", labels="labels.csv")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_two_files_with_one_name_in_a_shard_the_last_counts(folder: Path) -> None:
    shards = sharded(folder)
    with zipfile.ZipFile(shards / "0.zip", "a") as archive:
        archive.write(folder / "dog/01.jpg", "cat/00.jpg")
    photos = load(shards)
    rows = dict(zip(photos.rows.files.tolist(), photos[:], strict=True))
    np.testing.assert_array_equal(rows["cat/00.jpg"], rows["dog/01.jpg"])


def test_a_shard_that_claims_less_than_it_unpacks_to_takes_no_memory(folder: Path) -> None:
    shards = sharded(folder)
    for number, method in enumerate((zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED)):
        path = shards / f"bomb{number}.zip"
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr(f"cat/bomb{number}.jpg", bytes(2**29))
        path.write_bytes(path.read_bytes().replace(struct.pack("<L", 2**29), bytes([9, 0, 0, 0])))
    tracemalloc.start()
    photos = load(shards)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(photos) == 40
    assert peak < 2**27


@pytest.mark.parametrize("kind", ["name", "version", "link", "pipe"])
def test_a_strange_shard_is_named_in_a_sentence(folder: Path, kind: str) -> None:
    shards, path = sharded(folder), folder.with_name("shards") / "strange.zip"
    if kind in ("name", "version"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(folder / "cat/00.jpg", "cat/é.jpg")
        data = bytearray(path.read_bytes().replace("é".encode(), b"\xe9\xe9"))
        if kind == "version":
            data = bytearray(path.read_bytes())
            data[data.rindex(b"PK\x01\x02") + 6] = 99
        path.write_bytes(data)
    elif kind == "link":
        path.symlink_to("nowhere.zip")
    else:
        os.mkfifo(path)
    with pytest.raises(UserError, match=r"strange\.zip is not a readable zip file"):
        load(shards)


def test_a_damaged_shard_and_a_damaged_picture_are_named(folder: Path) -> None:
    shards = sharded(folder)
    data = bytearray((shards / "1.zip").read_bytes())
    with zipfile.ZipFile(shards / "1.zip") as archive:
        entry = archive.infolist()[0]
    data[entry.header_offset + 100] ^= 255
    (shards / "1.zip").write_bytes(data)
    assert len(load(shards)) == 39
    (shards / "1.zip").write_bytes(data[:-30])
    with pytest.raises(UserError, match=r"1\.zip is not a readable zip file"):
        load(shards)
