"""Photos in a bucket of S3, as they are or in shards: the same data as in a folder."""

from __future__ import annotations

import os
import signal
import sqlite3
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

from pipeline.files import artifacts, s3
from pipeline.files.pictures import Pictures
from pipeline.process.errors import UserError
from pipeline.team import seaweedfs, server, settings
from tests.conftest import OWN_PROBLEM, ROOT, Project
from tests.shards.conftest import SIZE, check_equal, load, sharded

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[settings.Settings]:
    team = tmp_path_factory.mktemp("team") / "servers"
    servers = settings.load(team)
    with server.running(seaweedfs.server(team, servers)):
        yield servers


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
    values = sorted(s3.CACHE.rglob("*.val"))
    for number, path in enumerate(values):  # as a power cut may leave them
        path.write_bytes(b"" if number % 2 else path.read_bytes()[:-100] + bytes(100))
    check_equal(load(address), load(folder))


@pytest.mark.slow
@pytest.mark.long
def test_a_full_disk_damages_no_picture(
    folder: Path, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = upload(bucket, folder, "full")

    def full(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("diskcache.Cache.get", full)
    monkeypatch.setattr("diskcache.Cache.set", full)
    check_equal(load(address), load(folder))


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
    for url in ("http://127.0.0.1:9", "localhost:9"):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
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


@pytest.mark.parametrize("size", ["ten", "inf", "nan", "-1"])
def test_a_size_of_the_cache_that_is_no_number_is_refused(
    size: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(s3.GIGABYTES, size)
    with pytest.raises(UserError, match=f"is {size}; expected a number of gigabytes"):
        s3.most_bytes()
