"""A model of sounds, from its data to a device that hears words."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from pipeline.embedded import browser, c
from pipeline.files.artifacts import Array
from serving import Bundle, sound
from serving.listening import Listener
from tests.conftest import OWN_PROBLEM, Project, run_here
from tests.sounds.conftest import FRONT_END, tone, wav

HISS = "hiss"
SOUNDS = {  # for a network that learns sweeps in a minute
    **OWN_PROBLEM,
    "problem.name": "sweeps",
    "problem.target": 0.6,
    "dataset.name": "audio_folder",
    "dataset.path": "sounds",
    "preprocess.subset": None,
    "preprocess.validation": 0.2,
    "train.architecture": "ds_cnn",
    "train.augmentation": [],
    "train.batch_size": 32,
    "train.learning_rate": 0.01,
    "export.formats": ["tflite_int8"],
    "export.max_accuracy_drop": 0.1,
    "verify.runtimes": ["litert"],
    "verify.processors": ["native"],
    "embed.targets": "all",
}


def sweep(is_rising: bool, voice: float, delay: float) -> Array:
    """A tone that rises or falls by an octave in half a second, after some silence."""
    time = np.arange(4000) / 8000
    octaves = time * 2 if is_rising else 1 - time * 2
    wave = 0.3 * np.sin(2 * np.pi * np.cumsum(voice * 2**octaves) / 8000)
    return np.concatenate([np.zeros(int(8000 * delay)), wave])


def save_sweeps(root: Path) -> None:
    """Rising, falling, and hiss, without which the pauses of a stream would be some word."""
    rng = np.random.default_rng(0)
    for number in range(720):
        label, voice = ("rising", "falling", HISS)[number % 3], number // 3 % 6
        samples = sweep(label == "rising", 300 + 100 * voice, rng.uniform(0, 0.5))
        if label == HISS:
            samples = np.zeros(8000)
        path = root / label / f"{number}_voice{voice}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(wav(samples + rng.normal(0, 0.01, len(samples))))


@pytest.fixture(scope="module")
def sweeps(fresh: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose pipeline has made a bundle of a model for sweeps."""
    folder = tmp_path_factory.mktemp("sweeps") / "project"
    project = fresh.whole_copy(folder)
    save_sweeps(project.folder / "sounds")
    project.change(
        {
            **SOUNDS,
            "preprocess.group": r"_(voice\d)",
            "train.loss": "CategoricalCrossentropy",
            "train.epochs": 8,
            "train.optimizer": "Adam",
        }
    )
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run_here(project, patch)
    return project


SERVING = (sys.executable, "-m", "serving")
BUNDLE = "dist/sweeps-1.0.0.tar.gz"


@pytest.mark.slow
@pytest.mark.long
def test_sounds_pass_the_whole_pipeline_to_a_device_that_reads_a_wav_file(
    sweeps: Project, tmp_path: Path
) -> None:
    reports = {
        name: json.loads((sweeps.folder / f"reports/{name}.json").read_text())
        for name in ("evaluate", "embed", "preprocess")
    }
    assert reports["preprocess"]["together"]["shared_groups"] == []
    assert len(reports["evaluate"]["per_group"]) == 1
    refused = {row["target"]: row.get("refused") for row in reports["embed"]["targets"]}
    assert refused == {"browser": None, "c": None, "microcontroller": None}
    (tmp_path / "a.wav").write_bytes(wav(sweep(True, 550, 0.1)))
    (tmp_path / "b.wav").write_bytes(wav(sweep(False, 550, 0.1)))
    (tmp_path / "c.wav").write_bytes(wav(tone(44100), 44100))
    assert "ms a sound" in sweeps.run(*SERVING, "check", BUNDLE)
    files = [str(tmp_path / name) for name in ("a.wav", "b.wav", "c.wav")]
    answer = sweeps.attempt(*SERVING, "predict", BUNDLE, *files)
    assert [line.split()[0] for line in answer.stdout.splitlines()] == ["rising", "falling"]
    assert answer.returncode == 1
    assert "c.wav has 1 channel of 16 bits at 44100 Hz; expected" in answer.stderr
    in_c = sweeps.attempt(f"embedded/c/programs/classify-{c.HERE}", *files)
    assert [line.split("\t")[1] for line in in_c.stdout.splitlines()] == ["rising", "falling"]
    assert (in_c.returncode, "c.wav cannot be used: it has another rate" in in_c.stderr) == (
        1,
        True,
    )


def stream() -> tuple[Array, list[tuple[float, str]]]:
    """Samples -1 to 1 of sweeps in soft noise, and where each begins, in seconds, and its class."""
    dice = np.random.default_rng(1)
    words = [("rising", "falling")[number] for number in dice.integers(0, 2, 8)]
    pause = np.zeros(16_000)
    pieces = [(pause, sweep(word == "rising", 550, 0.1)) for word in words]
    samples = np.concatenate([piece for pair in pieces for piece in pair])
    each = len(pieces[0][0]) + len(pieces[0][1])
    starts = [(number * each + len(pause) + 800) / 8000 for number in range(len(words))]
    return samples + dice.normal(0, 0.003, len(samples)), list(zip(starts, words, strict=True))


@pytest.mark.slow
@pytest.mark.long
def test_python_and_c_hear_the_words_in_a_stream(sweeps: Project, tmp_path: Path) -> None:
    samples, expected = stream()
    (tmp_path / "stream.wav").write_bytes(wav(samples))
    raw = wav(samples)[44:]
    options = ("--threshold", "0.9", "--ignore", HISS)
    words = sweeps.run(*SERVING, "listen", BUNDLE, str(tmp_path / "stream.wav"), *options)
    lines = [line.split() for line in words.splitlines()]
    near = [
        (start, word)
        for start, word in expected
        if any(abs(float(line[0]) - start) < 0.5 and line[2] == word for line in lines)
    ]
    assert near == expected
    listen = [*SERVING, "listen", BUNDLE, "-", *options]
    piped = subprocess.run(
        listen, cwd=sweeps.folder, input=raw, capture_output=True, check=True
    ).stdout
    assert piped.decode() == words
    program = sweeps.folder / f"embedded/c/programs/classify-{c.HERE}"
    in_c = subprocess.run([program, "--listen", "-"], input=raw, capture_output=True, check=True)
    listener = Listener.by_default(FRONT_END, 61)
    blocks = sound.blocks(wav(samples), "stream.wav", 8000, 999)
    python = listener.words(
        blocks, partial(c.classify, program), Bundle(sweeps.folder / BUNDLE).card.files[0].answers
    )
    names = ("falling", HISS, "rising")
    assert in_c.stdout.decode().splitlines() == [
        f"{word.start / 8000:.2f}\t{names[word.number]}\t{word.probability:.9g}" for word in python
    ]
    for ignored in ((), ("rising",)):
        command = [program, "--listen", "-", *ignored]
        in_c = subprocess.run(command, input=raw, capture_output=True, check=True)
        assert heard_in_node(sweeps, raw, *ignored) == in_c.stdout.decode()


HEAR = """
import { readFileSync } from "node:fs";
const [folder, ...ignored] = process.argv.slice(1);
const { Listener } = await import(folder + "/listener.js");
const { blocks } = await import(folder + "/wav.js");
const { instance } = await WebAssembly.instantiate(readFileSync(folder + "/model.wasm"));
const card = JSON.parse(readFileSync(0));
const listener = new Listener(card, null, instance);
const stream = listener.stream({ ignored });
const say = ({ word }) => word && console.log(
  `${word.seconds.toFixed(2)}\t${word.name}\t${+word.probability.toPrecision(9)}`);
const file = new Blob([readFileSync("stream.wav")]);
for await (const samples of blocks(file, "stream.wav", 8000, 20_011)) {
  for (const heard of stream.add(samples)) say(heard);
}
for (const heard of stream.end()) say(heard);
"""


def heard_in_node(project: Project, raw: bytes, *ignored: str) -> str:
    """What the page's own modules hear in samples, in the words of the C program."""
    (project.folder / "stream.wav").write_bytes(wav(np.frombuffer(raw, "<i2")))
    card = Bundle(project.folder / BUNDLE).read("model_card.json").decode()
    command: list[str | Path] = [browser.node(), "--input-type=module", "--eval", HEAR]
    command += [project.folder / "embedded/browser", *ignored]
    return subprocess.run(
        command, cwd=project.folder, input=card, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.slow
@pytest.mark.long
def test_what_cannot_be_heard_is_refused_in_a_sentence(sweeps: Project, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav(tone()))
    (tmp_path / "cut.wav").write_bytes(wav(tone())[:30])
    for words, data, reason in (
        (["a.wav", "--hop", "2"], b"", "--hop is 2; expected up to 0.992 seconds, a window"),
        (["a.wav", "--hop", "nan"], b"", "--hop is nan; expected up to"),
        (["a.wav", "--threshold", "2"], b"", "--threshold is 2; expected 0 to 1"),
        (["a.wav", "--smoothing", "5000"], b"", "--smoothing is 5000; expected 1 to 1000"),
        (["a.wav", "--ignore", "noise"], b"", "--ignore noise: sweeps has no such class, only"),
        (["cut.wav"], b"", "is not readable"),
        (["none.wav"], b"", "is not readable"),
        (["-"], wav(tone()), "standard input is a WAV file; expected samples, as of `arecord"),
        (["-"], b"1", "standard input holds no samples; expected samples"),
    ):
        name = words[0] if words[0] == "-" else str(tmp_path / words[0])
        command = [*SERVING, "listen", BUNDLE, name, *words[1:]]
        done = subprocess.run(
            command, cwd=sweeps.folder, input=data, capture_output=True, check=False
        )
        error = done.stderr.decode().splitlines()[-1]
        assert done.returncode == 1
        assert error.startswith("error: ")
        assert reason in error


@pytest.mark.slow
@pytest.mark.long
def test_ctrl_c_ends_listening_and_loses_no_word(sweeps: Project) -> None:
    samples, expected = stream()
    raw = wav(samples)[44:]
    with subprocess.Popen(
        [*SERVING, "listen", BUNDLE, "-", "--threshold", "0.9", "--ignore", HISS],
        cwd=sweeps.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(raw)
        process.stdin.flush()  # but not closed, as a microphone never ends
        lines = [process.stdout.readline() for _ in expected[:-1]]
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate()
    assert process.returncode == 0
    assert b"Traceback" not in errors
    words = [line.split()[2].decode() for line in [*lines, *rest.splitlines()]]
    assert words == [word for _, word in expected][: len(words)]
    assert len(words) >= len(lines)
