"""The page for sounds in real Chromium, with a network that tells spoken digits apart."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import wave
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect, sync_playwright

from benchmarks import listening as benchmark
from benchmarks.listening import RATE, Recording
from pipeline.embedded import c
from pipeline.files.artifacts import Array, Description
from pipeline.process.words import percent
from pipeline.runtimes import environments
from serving.listening import Listener
from serving.log_mel import LogMel
from tests.embedded import linear_bundle
from tests.embedded.conftest import MICRO
from tests.embedded.linear_bundle import Linear
from tests.server import Server

MIRROR = Path(os.environ.get("DATA_MIRROR", ""))
needs_recordings = pytest.mark.skipif(
    not (MIRROR / "fsdd.zip").is_file(), reason="needs fsdd.zip in DATA_MIRROR"
)

FRONT_END = LogMel()
LISTENER = Listener.by_default(FRONT_END, FRONT_END.frames(RATE))
WINDOW = FRONT_END.samples(LISTENER.frames)
HELD_OUT = "nicolas"
SPREAD = 3e5  # scales squared distances, so that some words in a stream are and some are not heard
NAMES = [str(digit) for digit in range(10)]
PARAMS = {
    "problem.name": "digits-heard",
    "problem.statement": "Which digit is spoken?",
    "problem.use": "Trying the page.",
    "problem.limits": ["It knows no other word."],
    "export.max_accuracy_drop": 0.1,
    "verify.runtimes": ["litert", "tflite_micro"],
    "verify.processors": ["native"],
    "embed.targets": ["browser", "c"],
    "embed.programs": [c.HERE],
}


def features(recordings: list[Recording]) -> Array:
    rows = [FRONT_END.image(recording.samples, LISTENER.frames) for recording in recordings]
    return np.stack(rows)


def nearest_mean(recordings: list[Recording]) -> Linear:
    """Of the digits' mean features, seen from the mean of all of them."""
    digits, images = np.array([row.digit for row in recordings]), features(recordings).astype(float)
    means = np.stack([images[digits == digit].mean(0) for digit in range(10)])
    centre = means.mean(0)
    halves = -((means**2).sum((1, 2, 3)) - (centre**2).sum()) / 2
    return Linear((means - centre) / SPREAD, halves / SPREAD, zero_point=0)


@pytest.fixture(scope="session")
def spoken() -> list[Recording]:
    """Forty recordings of a speaker that the network does not know, four of each digit."""
    own = [row for row in benchmark.recordings() if row.speaker == HELD_OUT]
    return [row for digit in range(10) for row in [row for row in own if row.digit == digit][:4]]


@pytest.fixture(scope="session")
def bundle(spoken: list[Recording], tmp_path_factory: pytest.TempPathFactory) -> Path:
    others = [row for row in benchmark.recordings() if row.speaker != HELD_OUT]
    shape = (LISTENER.frames, FRONT_END.bands, 1)
    data = Description("fsdd", NAMES, shape, {}, [], "sounds", sound=asdict(FRONT_END))
    examples = others[::10]
    labels = np.array([row.digit for row in examples])
    folder = tmp_path_factory.mktemp("hearing")
    return linear_bundle.make(
        folder, nearest_mean(others), data, (features(examples), labels), PARAMS
    )


@pytest.fixture(scope="session")
def program(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C program in the bundle."""
    with tarfile.open(bundle) as archive:
        name = next(name for name in archive.getnames() if name.endswith(f"classify-{c.HERE}"))
        archive.extract(name, tmp_path_factory.getbasetemp(), filter="data")
    return tmp_path_factory.getbasetemp() / name


@pytest.fixture(scope="session")
def track(spoken: list[Recording], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some of these words, with pauses and in noise, as a WAV file."""
    others = [row for row in benchmark.recordings() if row.speaker != HELD_OUT]
    samples = benchmark.with_pauses(spoken[::7], others, np.random.default_rng(0)).samples
    path = tmp_path_factory.mktemp("track") / "track.wav"
    path.write_bytes(wav(samples))
    return path


@pytest.fixture(scope="module")
def server(bundle: Path) -> Iterator[Server]:
    with Server(bundle, *MICRO, python=environments.python("tflite_micro")) as running:
        yield running


@pytest.fixture(scope="module")
def browsers(track: Path) -> Iterator[Any]:
    """Chromium whose microphone plays the track once; and Chromium as it comes, without one."""
    fake = (
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={track}%noloop",
    )
    resolver = "--host-resolver-rules=MAP device.example 127.0.0.1"
    with sync_playwright() as playwright:

        def launch(*options: str) -> Any:
            arguments = ["--no-sandbox", resolver, *options]
            return playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=arguments
            )

        launched = {"microphone": launch(*fake), "none": launch()}
        yield launched
        for browser in launched.values():
            browser.close()


@pytest.fixture(scope="module")
def chromium(browsers: Any) -> Any:
    return browsers["microphone"]


def wav(samples: Array) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as opened:
        opened.setparams((1, 2, RATE, 0, "NONE", ""))
        opened.writeframes(samples.astype("<i2").tobytes())
    return file.getvalue()


def choose(page: Any, name: str, content: bytes) -> None:
    page.set_input_files("#recording", {"name": name, "mimeType": "audio/wav", "buffer": content})


def in_c(program: Path, samples: Array, *ignored: str) -> list[str]:
    """The words that the C program prints of a stream, as the page shows them."""
    data = samples.astype("<i2").tobytes()
    command: list[str | Path] = [program, "--listen", "-", *ignored]
    printed = subprocess.run(command, input=data, capture_output=True, check=True).stdout.decode()
    rows = [line.split("\t") for line in printed.splitlines()]
    return [f"{second} s|{name}|{percent(float(share))}" for second, name, share in rows]


def shown(page: Any) -> list[str]:
    """The words in the list, the earliest first."""
    rows: list[str] = page.evaluate(
        """[...document.querySelectorAll("#words li")].reverse()
            .map(row => [...row.children].map(cell => cell.textContent).join("|"))"""
    )
    return rows


def heard_until_its_end(page: Any) -> None:
    expect(page.locator("#answer")).to_contain_text(" word")
