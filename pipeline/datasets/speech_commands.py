"""Speech Commands: ten words of one second, other words, and silence, at 16 kHz.

By Pete Warden (2018, "Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition",
arXiv:1804.03209), version 0.02, under CC BY 4.0. The twelve classes, the parts and the test set are
its author's. As in his training, other words and silence are each a tenth as many as the ten words
together. Silence is cut from recordings of noise; one of them is kept for validation. Speakers are
the groups, and no speaker is in two of the author's parts.
"""

from __future__ import annotations

import hashlib
import math
import re
import shutil
import tarfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

from pipeline.config.params import Dataset
from pipeline.datasets import Raw
from pipeline.datasets.reading import published, sound_list
from pipeline.datasets.reading.photo_list import Candidate, Listed
from pipeline.files import artifacts, fetch
from pipeline.process.stage import home

PUBLISHER = "https://storage.googleapis.com/download.tensorflow.org/data"
# Folder below FOLDER, and the address and SHA-256 of its archive, as TensorFlow Datasets has them
ARCHIVES = {
    "words": (
        f"{PUBLISHER}/speech_commands_v0.02.tar.gz",
        "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
    ),
    "test": (
        f"{PUBLISHER}/speech_commands_test_set_v0.02.tar.gz",
        "cc2a00c1147c2254e9be3fa0f779d8c17421dc349b86366567a8edfa9acd51df",
    ),
}
FOLDER = artifacts.STATE / "speech_commands"
LARGEST_BYTES = 3 << 30  # of an archive
WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
UNKNOWN, SILENCE = "unknown", "silence"
SHARE = 0.1  # of other words, and of silence, beside the ten words
NOISE = "_background_noise_"
VALIDATING_NOISE = "running_tap.wav"
SPEAKER, OF_SPEAKER = "speaker", re.compile("([0-9a-f]{8})_nohash_")


def load(params: Dataset) -> Raw:
    """Raises UserError."""
    folder = home() / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    print("speech_commands: 2.5 GB to download, and 6 GB of disk until they are read", flush=True)
    for name, (address, sha256) in ARCHIVES.items():
        sources = published.on_disk(address, sha256, folder, LARGEST_BYTES)
        with tarfile.open(fetch.first(sources, address)) as tar:
            tar.extractall(folder / name, filter="data")
    candidates = [*_training(folder), *_test(folder)]
    listed = Listed(candidates, [*WORDS, UNKNOWN, SILENCE], {})
    raw = sound_list.dataset(params, listed, lambda file: (folder / file).open("rb"))
    shutil.rmtree(folder)
    return replace(raw, group=SPEAKER)


def _training(folder: Path) -> Iterator[Candidate]:
    """What trains and validates: the ten words, and a tenth as many of each of the other two."""
    root = folder / "words"
    parts = {
        name: part
        for part in ("validation", "testing")
        for name in (root / f"{part}_list.txt").read_text("ascii").split()
    }
    files: dict[tuple[str, bool], list[str]] = defaultdict(list)
    for path in sorted(root.glob("[!_]*/*.wav")):
        name = path.relative_to(root).as_posix()
        files[parts.get(name, "train"), path.parent.name in WORDS].append(name)
    for part in ("train", "validation"):
        words = files[part, True]
        count = math.ceil(SHARE * len(words))
        others = sorted(files[part, False], key=_dice)[:count]
        for name in words + others:
            word = name.split("/")[0]
            label = word if word in WORDS else UNKNOWN
            yield _candidate(f"words/{name}", label, part)
        yield from _silence(folder, part, count)


def _dice(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _candidate(file: str, label: str, part: str) -> Candidate:
    """Names of files tell the speaker, such as 0a7c2a8d_nohash_0.wav; those of noise do not."""
    name = Path(file).name
    speaker = OF_SPEAKER.search(name)
    return Candidate(file, label, part, columns={SPEAKER: speaker[1] if speaker else name})


def _silence(folder: Path, part: str, count: int) -> Iterator[Candidate]:
    """Seconds of noise, evenly spaced over its recordings."""
    noises = [
        path
        for path in sorted((folder / "words" / NOISE).glob("*.wav"))
        if (path.name == VALIDATING_NOISE) == (part == "validation")
    ]
    for path, number in zip(noises, _shares(len(noises), count), strict=True):
        last = soundfile.info(path).duration - 1
        for start in np.linspace(0, last, number):
            candidate = _candidate(path.relative_to(folder).as_posix(), SILENCE, part)
            yield replace(candidate, seconds=(float(start), float(start) + 1))


def _shares(parts: int, count: int) -> Sequence[int]:
    return [len(share) for share in np.array_split(np.arange(count), parts)]


def _test(folder: Path) -> Iterator[Candidate]:
    """The author's test set, which has a folder for each of the twelve classes."""
    for path in sorted((folder / "test").glob("*/*.wav")):
        label = path.parent.name.strip("_")
        yield _candidate(path.relative_to(folder).as_posix(), label, "test")
