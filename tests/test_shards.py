"""Photos in a folder of zip files, and in a bucket of S3: the same data as in a folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from PIL import Image

from pipeline.config.params import Dataset
from pipeline.datasets import image_folder, image_list
from pipeline.files import artifacts, pictures, s3
from pipeline.files.pictures import Pictures
from pipeline.files.shards import Shards
from pipeline.process.errors import UserError
from pipeline.team import seaweedfs, server, settings
from tests.conftest import OWN_PROBLEM, ROOT, Project

pytestmark = pytest.mark.filterwarnings("ignore")

SIDE = 16
SIZE = {"height": SIDE, "width": SIDE, "channels": 3}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """40 pictures of two classes."""
    for number in range(40):
        path = tmp_path / "photos" / ("cat", "dog")[number % 2] / f"{number:02}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 256, (40, 48, 3), np.uint8)
        Image.fromarray(noise).save(path, quality=95)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


def sharded(folder: Path, method: int = zipfile.ZIP_STORED) -> Path:
    """Three zip files with the pictures of a folder, in a folder of their own."""
    shards = folder.with_name("shards")
    shards.mkdir()
    files = sorted(folder.rglob("*.jpg"))
    for number in range(3):
        with zipfile.ZipFile(shards / f"{number}.zip", "w", method) as archive:
            for file in files[number::3]:
                archive.write(file, file.relative_to(folder))
    return shards


def load(path: Path | str, **values: Any) -> Pictures:
    dataset = {"name": "image_folder", "path": str(path), **SIZE, **values}
    module = image_list if dataset["name"] == "image_list" else image_folder
    photos = pictures.on_disk(module.load(Dataset.model_validate(dataset)).train_images)
    assert photos is not None
    return photos


def check_equal(photos: Pictures, others: Pictures) -> None:
    assert photos.rows.files.tolist() == others.rows.files.tolist()
    assert photos.sha256() == others.sha256()
    np.testing.assert_array_equal(photos[:], others[:])


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


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[settings.Settings]:
    team = tmp_path_factory.mktemp("team") / "servers"
    chosen = settings.load(team)
    with server.running(seaweedfs.server(team, chosen)):
        yield chosen


@pytest.fixture
def bucket(running: settings.Settings, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Clients of this process, and of those that it starts, know the server."""
    variables = {**seaweedfs.variables(running), "AWS_ENDPOINT_URL": seaweedfs.address(running)}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return boto3.client("s3")


def upload(client: Any, folder: Path, prefix: str) -> str:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = f"{prefix}/{path.relative_to(folder).as_posix()}"
            client.upload_file(str(path), "dvc", name)
    return f"s3://dvc/{prefix}"


@pytest.mark.slow
@pytest.mark.long
def test_a_damaged_cache_is_made_anew(folder: Path, bucket: Any) -> None:
    address = upload(bucket, sharded(folder), "damaged")
    load(address)
    (s3.CACHE / "cache.db").write_bytes(b"no database" * 1000)
    check_equal(load(address), load(folder))
    assert cached_bytes() > sum(path.stat().st_size for path in folder.rglob("*.jpg"))


def cached_bytes() -> int:
    return sum(path.stat().st_size for path in s3.CACHE.rglob("*") if path.is_file())


@pytest.mark.slow
@pytest.mark.long
def test_a_bucket_is_read_as_the_folder_that_it_holds(folder: Path, bucket: Any) -> None:
    for source, prefix in ((folder, "plain"), (sharded(folder), "shards")):
        photos = load(upload(bucket, source, prefix))
        check_equal(photos, load(folder))
        assert cached_bytes() > sum(path.stat().st_size for path in folder.rglob("*.jpg"))


@pytest.mark.slow
@pytest.mark.long
def test_the_cache_stays_small_and_what_left_it_is_read_again(
    folder: Path, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(100):
        noise = np.random.default_rng(number).integers(0, 256, (300, 300, 3), np.uint8)
        Image.fromarray(noise).save(folder / "cat" / f"large{number}.png")  # 270 kB
    monkeypatch.setenv(s3.GIGABYTES, "0.004")
    photos = load(upload(bucket, folder, "large"))
    everything = photos[:]
    assert cached_bytes() < 12 * 10**6  # 4 MB, and SQLite's journal
    np.testing.assert_array_equal(everything, load(folder)[:])


@pytest.mark.slow
@pytest.mark.long
def test_what_has_changed_or_cannot_be_reached_is_said_in_a_sentence(
    folder: Path, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = sharded(folder)
    address = upload(bucket, shards, "changing")
    photos = load(address)
    with zipfile.ZipFile(shards / "0.zip") as archive:
        names = archive.namelist()
    with zipfile.ZipFile(shards / "0.zip", "w") as archive:
        for name in names:
            archive.write(folder / "dog/01.jpg", name)
    upload(bucket, shards, "changing")
    again = Pictures(photos.root, photos.table, photos.image_shape, numbers=photos.numbers)
    with pytest.raises(UserError, match=r"s3://dvc/changing/.* has changed since `download`"):
        again[:]
    for path, reason in (("s3://absent/x", "is not there"), ("s3://dvc/absent", "nothing is at")):
        with pytest.raises(UserError, match=reason):
            load(path)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(UserError, match="may not be read"):
        load(address)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="could not be read"):
        load(address)


READ = """
import sys
from pathlib import Path
from pipeline.files import pictures
source = pictures.source(Path(sys.argv[1]))
for turn in range(int(sys.argv[2])):
    for name in source.places:
        source.read(name)
    print("read", flush=True)
"""


@pytest.mark.slow
@pytest.mark.long
def test_processes_share_the_cache_and_one_may_be_killed(folder: Path, bucket: Any) -> None:
    address = upload(bucket, sharded(folder), "shared")

    def start(turns: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", READ, address, str(turns)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    victim, other = start(10**6), start(3)
    assert victim.stdout is not None
    victim.stdout.readline()
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    victim.stdout.close()
    output, _ = other.communicate()
    assert (other.returncode, output) == (0, "read\n" * 3)
    check_equal(load(address), load(folder))


@pytest.mark.slow
@pytest.mark.long
def test_dvc_notices_a_changed_bucket(project: Project, bucket: Any, folder: Path) -> None:
    project.environment |= {name: os.environ[name] for name in os.environ if "AWS_" in name}
    address = upload(bucket, sharded(folder), "tracked")
    project.change(
        {
            **OWN_PROBLEM,
            **{f"dataset.{key}": value for key, value in SIZE.items()},
            "dataset.name": "image_folder",
            "dataset.path": address,
            "preprocess.subset": None,
            "preprocess.store": "compressed",
        }
    )
    project.run("dvc", "repro", "preprocess")
    assert not list(project.folder.rglob("images.npy"))
    assert "up to date" in project.run("dvc", "status", "preprocess")
    with zipfile.ZipFile(folder.with_name("shards") / "3.zip", "w") as archive:
        archive.write(folder / "cat/00.jpg", "cat/more.jpg")
    upload(bucket, folder.with_name("shards"), "tracked")
    assert address in project.run("dvc", "status", "download")
    project.run("dvc", "repro", "download")
    assert len(artifacts.load_array(project.folder / "data/raw/train/labels.npy")) == 41


def test_a_size_of_the_cache_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(s3.GIGABYTES, "ten")
    with pytest.raises(UserError, match="is ten; expected a number of gigabytes"):
        s3.most_bytes()
