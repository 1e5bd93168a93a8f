"""Speech Commands, from archives of the publisher's form."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from pipeline.config.params import Dataset
from pipeline.datasets import speech_commands
from pipeline.process.errors import UserError
from tests.sounds.conftest import tone, wav

CLASSES = [*speech_commands.WORDS, "unknown", "silence"]
SPEAKERS = [hashlib.sha256(bytes([number])).hexdigest()[:8] for number in range(9)]


def archive(path: Path, files: Mapping[str, bytes]) -> str:
    """Writes a tar.gz like the publisher's; returns its SHA-256."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def words() -> dict[str, bytes]:
    """Each word of nine speakers, of whom two validate and one tests; and minutes of noise."""
    spoken = wav(tone(16000), 16000)
    names = (*speech_commands.WORDS, "bed", "cat")
    files = {f"{word}/{who}_nohash_0.wav": spoken for word in names for who in SPEAKERS}
    lists = {"validation": SPEAKERS[6:8], "testing": SPEAKERS[8:]}
    for part, speakers in lists.items():
        listed = [f"{word}/{who}_nohash_0.wav\n" for word in names for who in speakers]
        files[f"{part}_list.txt"] = "".join(listed).encode()
    noise = np.random.default_rng(0).normal(0, 0.1, 16000 * 5)
    for name in ("pink_noise", "running_tap", "white_noise"):
        files[f"_background_noise_/{name}.wav"] = wav(noise, 16000)
    return {**files, "_background_noise_/README.md": b"noise", "LICENSE": b"CC BY 4.0"}


def held_out() -> dict[str, bytes]:
    word = wav(tone(16000), 16000)
    folders = (*speech_commands.WORDS, "_unknown_", "_silence_")
    return {f"{name}/{SPEAKERS[8]}_nohash_0.wav": word for name in folders}


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both archives in a mirror, and a project whose folder is the current one."""
    (tmp_path / "mirror").mkdir()
    known = {}
    for name, files in {"words": words(), "test": held_out()}.items():
        address, _ = speech_commands.ARCHIVES[name]
        path = tmp_path / "mirror" / address.rsplit("/", 1)[-1]
        known[name] = (f"http://127.0.0.1:9/{path.name}", archive(path, files))
    monkeypatch.setattr(speech_commands, "ARCHIVES", known)
    monkeypatch.setenv("DATA_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "mirror"


def test_the_twelve_classes_are_in_the_authors_parts(mirror: Path) -> None:
    raw = speech_commands.load(Dataset.model_validate({"name": "speech_commands", "rate": 16000}))
    assert raw.class_names == CLASSES
    # Six of nine speakers train, and of the 60 words a tenth is the count of the other two classes
    assert np.bincount(raw.train_labels).tolist() == [8] * 10 + [6 + 2, 6 + 2]
    assert raw.validation is not None
    validating = raw.train_labels[raw.validation]
    assert np.bincount(validating).tolist() == [2] * 12
    assert sorted(raw.test_labels) == list(range(12))
    assert raw.group == "speaker"
    speakers = np.array(raw.train_columns["speaker"])
    voices = np.setdiff1d(np.arange(len(speakers)), raw.validation)
    assert {*speakers[raw.validation]} == {*SPEAKERS[6:8], "running_tap.wav"}
    assert {*speakers[voices]} == {*SPEAKERS[:6], "pink_noise.wav", "white_noise.wav"}
    assert raw.train_images.shape[1:] == (124, 32, 1)
    assert not speech_commands.FOLDER.exists()


def test_another_file_is_refused_and_one_that_was_cut_is_fetched_anew(mirror: Path) -> None:
    speech_commands.FOLDER.mkdir(parents=True)
    (speech_commands.FOLDER / "speech_commands_v0.02.tar.gz").write_bytes(b"half of it")
    speech_commands.load(Dataset(name="speech_commands"))
    (mirror / "speech_commands_test_set_v0.02.tar.gz").write_bytes(b"another")
    with pytest.raises(UserError, match=r"not the published file .*; download failed|put http"):
        speech_commands.load(Dataset(name="speech_commands"))
