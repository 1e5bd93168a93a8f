"""Sounds: what is read and refused, and a WAV file on the device with the features of training."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tracemalloc
import warnings
import zipfile
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from pipeline.architectures import ds_cnn
from pipeline.bundle import golden_sounds
from pipeline.config.params import Dataset, Network
from pipeline.datasets import _sounds, audio_folder, fsdd
from pipeline.datasets._fetch import SourceError
from pipeline.embedded import browser, c
from pipeline.files.artifacts import Array, Description, Inputs
from pipeline.inputs import sounds
from pipeline.process.errors import UserError
from serving import Bundle, sound
from serving.errors import BundleError, InputError
from serving.listening import Listener
from serving.log_mel import LogMel
from serving.model_card import ModelCard, Preprocessing
from tests.conftest import OWN_PROBLEM, Project, run_here
from tests.test_photo import card as photo_card

MIRROR = Path(os.environ.get("DATA_MIRROR", ""))
FRONT_END = LogMel()
COUNT = FRONT_END.samples(FRONT_END.frames(8000))


def tone(rate: int = 8000, seconds: float = 1.0, frequency: float = 440) -> Array:
    time = np.arange(int(rate * seconds)) / rate
    return 0.5 * np.sin(2 * np.pi * frequency * time)


def wav(samples: Array, rate: int = 8000, subtype: str = "PCM_16", kind: str = "WAV") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, subtype=subtype, format=kind)
    return file.getvalue()


def features(data: bytes) -> Array:
    return _sounds.features(io.BytesIO(data), FRONT_END, 8000)[0]


def folder(root: Path, **files: bytes) -> Dataset:
    """low/ and high/ with a tone each, and in low/ the files, `__` before a suffix."""
    for name, frequency in (("low", 300), ("high", 2000)):
        (root / name).mkdir(parents=True)
        (root / name / "tone.wav").write_bytes(wav(tone(frequency=frequency)))
    for name, data in files.items():
        (root / "low" / name.replace("__", ".")).write_bytes(data)
    return Dataset(name="audio_folder", path=str(root))


def test_a_folder_of_sounds_and_a_zip_of_it_give_the_same_features(tmp_path: Path) -> None:
    params = folder(tmp_path / "sounds", louder__flac=wav(tone(), kind="FLAC"))
    raw = audio_folder.load(params)
    with zipfile.ZipFile(tmp_path / "sounds.zip", "w") as archive:
        for path in sorted((tmp_path / "sounds").rglob("*.*")):
            archive.write(path, path.relative_to(tmp_path))
    packed = audio_folder.load(Dataset(name="audio_folder", path=str(tmp_path / "sounds.zip")))
    assert np.array_equal(raw.train_images, packed.train_images)
    assert raw.train_images.shape == (3, 61, 32, 1)
    assert (raw.class_names, raw.kind, raw.sound) == (["high", "low"], "sounds", asdict(LogMel()))
    assert sorted(raw.train_columns["file"]) == ["high/tone.wav", "low/louder.flac", "low/tone.wav"]


def test_parts_of_the_data_are_taken_as_they_are(tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        folder(tmp_path / part)
    raw = audio_folder.load(Dataset(name="audio_folder", path=str(tmp_path)))
    assert (len(raw.train_labels), len(raw.test_labels)) == (4, 2)
    assert raw.validation is not None
    named = [raw.train_columns["file"][row] for row in raw.validation]
    assert sorted(named) == ["val/high/tone.wav", "val/low/tone.wav"]


@pytest.mark.parametrize("subtype", ["PCM_24", "PCM_32", "FLOAT", "PCM_U8", "ULAW"])
def test_other_sample_formats_sound_the_same(subtype: str) -> None:
    difference = features(wav(tone(), subtype=subtype)).astype(int) - features(wav(tone()))
    loud = features(wav(tone())) > 200
    assert np.abs(difference[loud]).max() <= 2


@pytest.mark.parametrize("rate", [11025, 44100, 96000])
def test_another_rate_and_eight_channels_sound_the_same(rate: int) -> None:
    eight = np.repeat(tone(rate)[:, None], 8, 1)
    difference = features(wav(eight, rate)).astype(int) - features(wav(tone()))
    loud = features(wav(tone())) > 200
    assert np.abs(difference[loud]).max() <= 2


def test_short_recordings_are_padded_and_long_ones_are_cut() -> None:
    half, whole = tone(seconds=0.5), np.concatenate([tone(seconds=0.5), np.zeros(4000)])
    assert np.array_equal(features(wav(half)), features(wav(whole)))
    assert np.array_equal(features(wav(tone(seconds=5))), features(wav(tone(seconds=1))))


def with_rate(rate: int) -> bytes:
    data = bytearray(wav(tone()))
    data[24:28] = struct.pack("<I", rate)
    return bytes(data)


BROKEN = {
    "a cut header": (wav(tone())[:20], "cannot be read: "),
    "no samples": (wav(np.zeros(0)), "holds no samples"),
    "a rate of 0": (with_rate(0), "Hz; expected 4,000 to 192,000|cannot be read"),
    "a rate of 2 GHz": (with_rate(2**31 - 1), "has a rate of 2,147,483,647 Hz; expected"),
    "40 channels": (wav(np.zeros((100, 40))), "has 40 channels; expected at most 32"),
    "NaN": (wav(np.full(9000, np.nan), subtype="FLOAT"), "holds NaN or infinity"),
    "text": (b"a" * 10_000, "cannot be read: "),
    "nothing": (b"", "cannot be read: "),
}


@pytest.mark.parametrize(("data", "reason"), BROKEN.values(), ids=BROKEN)
def test_broken_sounds_are_left_out_and_counted_with_a_reason(
    data: bytes, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = audio_folder.load(folder(tmp_path, broken__wav=data))
    assert raw.unreadable == ["low/broken.wav"]
    assert len(raw.train_labels) == 2
    output = capsys.readouterr().out
    assert "warning: 1 of 3 recordings could not be read: low/broken.wav; the first" in output
    assert re.search(reason, raw.left_out["low/broken.wav"])


@pytest.mark.parametrize("is_packed", [False, True], ids=["folder", "zip"])
def test_of_ten_hours_only_the_beginning_is_read(
    is_packed: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "sounds"
    params = folder(root)
    header = wav(tone())[:44]
    size = 10 * 3600 * 8000 * 2
    long = root / "low" / "long.wav"
    with long.open("wb") as file:  # sparse: the file system stores no zeros
        file.write(header[:4] + struct.pack("<I", size + 36) + header[8:40])
        file.write(struct.pack("<I", size) + wav(tone())[44:])
        file.truncate(size + 44)
    if is_packed:
        with zipfile.ZipFile(tmp_path / "s.zip", "w", zipfile.ZIP_STORED) as archive:
            for path in sorted(root.rglob("*.wav")):
                if path != long:
                    archive.write(path, path.relative_to(root))
            archive.writestr("low/long.flac", wav(tone(seconds=600), kind="FLAC"))
        params = Dataset(name="audio_folder", path=str(tmp_path / "s.zip"))
    tracemalloc.start()
    raw = audio_folder.load(params)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30_000_000
    assert len(raw.train_labels) == 3
    assert "1 recording longer than dataset.seconds, 1: what follows" in capsys.readouterr().out


def test_data_and_values_without_features_are_refused_in_a_sentence(tmp_path: Path) -> None:
    params = folder(tmp_path / "sounds")
    with pytest.raises(UserError, match=r"seconds is 0.01, 80 samples; expected at least .* 256"):
        audio_folder.load(params.model_copy(update={"seconds": 0.01}))
    with pytest.raises(UserError, match="dataset: 128 bands are too narrow"):
        audio_folder.load(params.model_copy(update={"bands": 128}))
    (tmp_path / "sounds" / "low" / "tone.wav").write_bytes(b"")
    with pytest.raises(UserError, match=r"class low holds no readable recording .* \.flac, \.ogg"):
        audio_folder.load(params)


@pytest.mark.skipif(not (MIRROR / fsdd.FILE).is_file(), reason="needs fsdd.zip in DATA_MIRROR")
def test_a_changed_archive_of_spoken_digits_is_refused_and_the_published_one_is_not() -> None:
    data = (MIRROR / fsdd.FILE).read_bytes()
    files = fsdd.recordings(data)
    assert len(files) == 3000
    assert {name.split("_")[1] for name in files} >= {"theo", "george"}
    changed = io.BytesIO()
    with zipfile.ZipFile(changed, "w") as archive:
        archive.writestr("recordings/0_theo_0.wav", files["0_theo_0.wav"])
    for damaged, reason in ((changed.getvalue(), "are not the published"), (data[:99], "readable")):
        with pytest.raises(SourceError, match=reason):
            fsdd.recordings(damaged)


def described() -> Description:
    shape = (61, 32, 1)
    return Description("fsdd", ["a", "b"], shape, {}, [], "sounds", sound=asdict(FRONT_END))


def card() -> Any:
    values = sounds.preprocessing(described())
    how = Preprocessing(values["method"], values["description"], sound=FRONT_END)
    known = photo_card("cifar10")
    tensor = replace(known.input, type="uint8", shape=(61, 32, 1))
    return replace(known, preprocessing=how, input=tensor)


def test_a_device_reads_a_wav_file_with_the_features_of_training(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for count in (10, 3000, 8000, 20_000):
        data = wav(rng.integers(-(2**15), 2**15, count).astype(np.int16))
        (tmp_path / "a.wav").write_bytes(data)
        for source in (data, tmp_path / "a.wav"):
            assert np.array_equal(sound.read(source, "a.wav", card()), features(data))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (wav(tone(16000), 16000), "has 1 channel of 16 bits at 16000 Hz; expected a WAV file with"),
        (wav(np.zeros((9, 2))), r"has 2 channels of 16 bits .* `ffmpeg -i FILE -ac 1 -ar 8000"),
        (wav(tone(), subtype="PCM_24"), "has 1 channel of 24 bits"),
        (wav(np.zeros(0)), "holds no samples"),
        (wav(tone(), kind="FLAC"), r"is not readable .* 16-bit PCM at 8000 Hz"),
        (wav(tone())[:30], "is not readable"),
        (b"", "is not readable"),
    ],
    ids=["16 kHz", "2 channels", "24 bits", "no samples", "FLAC", "a cut header", "nothing"],
)
def test_a_device_refuses_other_sounds_and_says_what_it_needs(data: bytes, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        sound.read(data, "a.wav", card())


def test_a_card_says_that_its_input_is_a_sound_and_another_shape_is_refused() -> None:
    parsed = ModelCard.parse(card().dump())
    assert parsed.kind.name == "sounds"
    assert parsed.preprocessing.sound == FRONT_END
    other = replace(card(), input=replace(card().input, shape=(61, 31, 1)))
    with pytest.raises(
        BundleError, match=r"input.shape is \(61, 31, 1\), expected frames of LogMel"
    ):
        ModelCard.parse(other.dump())


def test_a_device_whose_front_end_differs_is_refused(tmp_path: Path) -> None:
    golden_sounds.write(tmp_path, card(), described(), np.zeros((1, 61, 32, 1), np.uint8))

    names = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")]

    def file(name: str) -> bytes:
        return (tmp_path / name).read_bytes()

    sound.check_recordings(card(), names, file)
    assert len(names) == 10
    changed = tmp_path / "recordings" / "buzz.features"
    changed.write_bytes(bytes([changed.read_bytes()[0] ^ 1]) + changed.read_bytes()[1:])
    with pytest.raises(BundleError, match=r"recordings/buzz\.wav has other features on this"):
        sound.check_recordings(card(), names, file)


def test_the_baseline_knows_more_than_the_nearest_mean_and_the_network_takes_any_length() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    x = rng.integers(100, 156, (200, 7, 4, 1)).astype(np.uint8)
    x[:, 2, 1, 0] = np.where(labels, 160, 96)
    regression = sounds.fitted(x[:150], labels[:150])
    assert (sounds.predicted(regression, x[150:]) == labels[150:]).all()
    for frames in (5, 61, 124):
        model = ds_cnn.build(Inputs((frames, 32, 1), "sounds"), 10, Network())
        assert model.output_shape == (None, 10)
    with pytest.raises(UserError, match="takes sounds"):
        ds_cnn.build(Inputs((28, 28, 1)), 10, Network())


def sweep(is_rising: bool, voice: float, delay: float) -> Array:
    """A tone that rises or falls by an octave in half a second, after some silence."""
    time = np.arange(4000) / 8000
    octaves = time * 2 if is_rising else 1 - time * 2
    wave = 0.3 * np.sin(2 * np.pi * np.cumsum(voice * 2**octaves) / 8000)
    return np.concatenate([np.zeros(int(8000 * delay)), wave])


def save_sweeps(root: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(480):
        label, voice = ("rising", "falling")[number % 2], number // 2 % 6
        samples = sweep(label == "rising", 300 + 100 * voice, rng.uniform(0, 0.5))
        path = root / label / f"{number}_voice{voice}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(wav(samples + rng.normal(0, 0.01, len(samples))))


@pytest.fixture(scope="module")
def sweeps(fresh: Project, mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose pipeline has made a bundle of a model for sweeps."""
    folder = tmp_path_factory.mktemp("sweeps") / "project"
    project = Project(shutil.copytree(fresh.folder, folder, symlinks=True), mirror)
    save_sweeps(project.folder / "sounds")
    project.change(
        {
            **OWN_PROBLEM,
            "problem.name": "sweeps",
            "problem.target": 0.6,
            "dataset.name": "audio_folder",
            "dataset.path": "sounds",
            "preprocess.subset": None,
            "preprocess.validation": 0.2,
            "preprocess.group": r"_(voice\d)",
            "train.architecture": "ds_cnn",
            "train.loss": "CategoricalCrossentropy",
            "train.augmentation": [],
            "train.epochs": 8,
            "train.batch_size": 32,
            "train.optimizer": "Adam",
            "train.learning_rate": 0.01,
            "export.formats": ["tflite_int8"],
            "export.max_accuracy_drop": 0.1,
            "verify.runtimes": ["litert"],
            "verify.processors": ["native"],
            "embed.targets": "all",
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
    options = ("--threshold", "0.9")
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
    names = ("falling", "rising")
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
        [*SERVING, "listen", BUNDLE, "-", "--threshold", "0.9"],
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
