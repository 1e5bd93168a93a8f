"""Files of sounds become features, and broken ones are left out."""

from __future__ import annotations

import io
import os
import re
import struct
import tracemalloc
import zipfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from pipeline.config.params import Dataset
from pipeline.datasets import audio_folder, fsdd
from pipeline.files.fetch import SourceError
from pipeline.files.raw import RECORDING
from pipeline.process.errors import UserError
from serving.log_mel import LogMel
from tests.sounds.conftest import features, folder, tone, wav

MIRROR = Path(os.environ.get("DATA_MIRROR", ""))


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


def assert_sounds_the_same(recording: bytes) -> None:
    expected = features(wav(tone()))
    difference = features(recording).astype(int) - expected
    assert np.abs(difference[expected > 200]).max() <= 2


@pytest.mark.parametrize("subtype", ["PCM_24", "PCM_32", "FLOAT", "PCM_U8", "ULAW"])
def test_other_sample_formats_sound_the_same(subtype: str) -> None:
    assert_sounds_the_same(wav(tone(), subtype=subtype))


OTHERS = [
    ("mp3", "MP3", "MPEG_LAYER_III"),
    ("opus", "OGG", "OPUS"),
    ("oga", "OGG", "VORBIS"),
    ("aiff", "AIFF", "PCM_16"),
    ("au", "AU", "ULAW"),
]


@pytest.mark.parametrize(("suffix", "kind", "subtype"), OTHERS)
def test_other_kinds_of_files_hold_the_same_tone(
    suffix: str, kind: str, subtype: str, tmp_path: Path
) -> None:
    data = wav(tone(), subtype=subtype, kind=kind)
    raw = audio_folder.load(folder(tmp_path, **{f"other__{suffix}": data}))
    heard = raw.train_images[raw.train_columns["file"].index(f"low/other.{suffix}")]
    middle = slice(20, 40)  # encoders smear the ends
    loudest = heard[middle].argmax(1) - features(wav(tone()))[middle].argmax(1)
    assert np.abs(loudest).max() <= 1  # band of the mel scale


def long_recording(root: Path, rows: str) -> Dataset:
    """Two files of a low and a high tone of a second each, and a list of what they hold."""
    root.mkdir()
    both = np.concatenate([tone(frequency=300), tone(frequency=2000)])
    for name in ("kitchen", "street"):
        (root / f"{name}.wav").write_bytes(wav(both))
    (root / "track.csv").write_text(rows)
    return Dataset.model_validate(
        {"name": "audio_folder", "path": str(root), "labels": "track.csv"}
    )


def test_a_list_names_parts_of_long_recordings_and_who_was_recorded(tmp_path: Path) -> None:
    rows = ["filename,Start,end_time,class,speaker,split"]
    for name, split in (("kitchen", "train"), ("street", "Dev")):
        rows += [f"{name},0,1,low,anna,{split}", f"{name}.wav,1,,high,ben,{split}"]
    raw = audio_folder.load(long_recording(tmp_path / "rooms", "\n".join(rows)))
    assert (raw.class_names, raw.group, len(raw.train_labels)) == (["high", "low"], RECORDING, 4)
    for frequency, label in ((300, "low"), (2000, "high")):
        row = raw.train_labels.tolist().index(raw.class_names.index(label))
        expected = features(wav(tone(frequency=frequency)))
        assert np.array_equal(raw.train_images[row], expected)
        assert raw.train_columns["speaker"][row] == {"low": "anna", "high": "ben"}[label]
    assert sorted(raw.train_columns[RECORDING]) == ["kitchen.wav"] * 2 + ["street.wav"] * 2
    assert raw.validation is not None and len(raw.validation) == 2


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ("file,label\nkitchen.wav,\nstreet.wav,b", "row 2 of .*track.csv has an empty label"),
        (
            "file,label,start,end\nkitchen.wav,a,2,1\nstreet.wav,b,0,1",
            "start 2 and end 1; expected",
        ),
        ("file,label,start\nkitchen.wav,a,soon", "track.csv has 1 label; expected at least 2"),
        (
            "file,label,start\nkitchen.wav,a,soon\nstreet.wav,b,0",
            "row 2 of .*track.csv has start soon; expected s",
        ),
        ("file,label\nkitchen.wav,a\nstreet.wav,a", "track.csv has 1 label; expected at least 2"),
        (
            "file,label\nkitchen.wav,a\nkitchen.wav,b",
            "kitchen.wav is a and b; expected one label, or start and end in seconds in each",
        ),
        ("name,label\nkitchen.wav,a", "has the columns name, label; expected file and label"),
        ("file,name\nkitchen.wav,a", "has the columns file, name; expected a column label, a"),
        (
            "file,label,start\nkitchen.wav,a,0\nstreet.wav,b,3",
            "class b holds no readable recording",
        ),
    ],
)
def test_a_list_of_sounds_that_makes_no_sense_is_refused(
    rows: str, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=sentence):
        audio_folder.load(long_recording(tmp_path / "rooms", rows))


@pytest.mark.parametrize("rate", [11025, 44100, 96000])
def test_another_rate_and_eight_channels_sound_the_same(rate: int) -> None:
    eight = np.repeat(tone(rate)[:, None], 8, 1)
    assert_sounds_the_same(wav(eight, rate))


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
    "int16 in floats": (
        wav(2**15 * tone(), subtype="FLOAT"),
        r"has floats up to 1.638e\+04; expected -1 to 1, such as int16 divided by 32,768",
    ),
    "text": (b"a" * 10_000, "cannot be read: "),
    "nothing": (b"", "cannot be read: "),
}


def test_silent_recordings_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also those whose channels cancel each other out, as of a balanced microphone."""
    twisted = wav(np.stack([tone(), -tone()], axis=1))
    audio_folder.load(folder(tmp_path / "a", twisted__wav=twisted))
    output = capsys.readouterr().out
    assert (
        "note: 1 recording is silent once its channels are mixed to one: low/twisted.wav" in output
    )
    audio_folder.load(folder(tmp_path / "b", quiet__wav=wav(tone() / 1000)))
    assert "silent" not in capsys.readouterr().out


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


needs_digits = pytest.mark.skipif(
    not (MIRROR / fsdd.FILE).is_file(), reason="needs fsdd.zip in DATA_MIRROR"
)


@needs_digits
def test_the_speakers_of_spoken_digits_are_groups() -> None:
    raw = fsdd.load(Dataset(name="fsdd"))
    assert raw.group == "speaker"
    assert len({*raw.train_columns["speaker"]}) == 6
    assert raw.train_images.shape == (3000, 61, 32, 1)


@needs_digits
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
