"""Long recordings with the label tracks that Audacity exports."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.config.params import Dataset
from pipeline.datasets import audio_folder
from pipeline.planning import outlook, survey
from tests.sounds.conftest import features, tone, wav

FREQUENCIES = {"low": 300, "very high": 2000}


def track(root: Path, number: int, end: str = "\n", point: str = ".") -> None:
    """Six tones of half a second, each after a quarter of silence, and the labels of five."""
    parts, lines = [], ["0.1\t0.1\ta moment", "\\\t300\t2000"]
    for place in range(6):
        name = [*FREQUENCIES][(place + number) % 2]
        parts += [np.zeros(2000), tone(seconds=0.5, frequency=FREQUENCIES[name])]
        start = 0.75 * place + 0.25
        lines.append(f"{start:.6f}\t{start + 0.5:.6f}\t{name}".replace(".", point))
    root.mkdir(parents=True, exist_ok=True)
    (root / f"day {number}.wav").write_bytes(wav(np.concatenate(parts)))
    (root / f"day {number}.txt").write_text(end.join(lines[:-1]), newline="")


@pytest.mark.parametrize("part", ["", "train"])
def test_a_label_track_says_what_is_heard_when(tmp_path: Path, part: str) -> None:
    for number in range(4):
        track(tmp_path / part, number, *(("\r\n", ",") if number else ()))
    if part:
        track(tmp_path / "test", 9)
    (tmp_path / part / "wind.wav").write_bytes(wav(tone()))
    data = survey.survey(tmp_path)
    assert data.counts == {"low": 10, "very high": 10}
    assert (data.examples, data.seconds) == ({"train": 20, **({"test": 5} if part else {})}, 0.5)
    wind = f"{part}/wind.wav".lstrip("/")
    expected = f"left out 1 ({wind}): it is not in the list"
    assert data.remarks[0] == expected, "a track is not left out"
    raw = audio_folder.load(Dataset(name="audio_folder", path=str(tmp_path)))
    assert raw.left_out[wind] == "is not in the list"
    whole = features(wav(tone(seconds=0.5, frequency=300)))
    first = list(raw.train_labels).index(0)
    np.testing.assert_allclose(raw.train_images[first].astype(int), whole, atol=4)


def test_tracks_in_folders_of_classes_leave_them_the_classes(tmp_path: Path) -> None:
    for name, frequency in FREQUENCIES.items():
        (tmp_path / name).mkdir()
        for number in range(4):
            (tmp_path / name / f"{number}.wav").write_bytes(wav(tone(frequency=frequency)))
            (tmp_path / name / f"{number}.txt").write_text("0.1\t0.2\tclick\n")
    assert survey.survey(tmp_path).counts == {"low": 4, "very high": 4}


def test_texts_that_are_no_tracks_and_second_sounds_of_a_name_are_left_out(tmp_path: Path) -> None:
    for number in range(4):
        track(tmp_path, number)
    (tmp_path / "day 0.mp3").write_bytes((tmp_path / "day 0.wav").read_bytes())
    (tmp_path / "wind.wav").write_bytes(wav(tone()))
    (tmp_path / "wind.txt").write_text("0.5 seconds of wind\n0.1\t0.4\t1\t0\n")
    (tmp_path / "day 9.wav").write_bytes(wav(tone()))
    (tmp_path / "day 9.txt").symlink_to(tmp_path / "nowhere.txt")
    assert survey.survey(tmp_path).counts == {"low": 10, "very high": 10}


def test_a_class_in_too_few_files_for_the_splits_is_said(tmp_path: Path) -> None:
    """The parts of a file stay in one split, so 40 examples from two files are of two splits."""
    for number in range(4):
        name = ("low", "high")[number % 2]
        (tmp_path / f"{number}.wav").write_bytes(wav(tone(seconds=10)))
        lines = [f"{second / 2}\t{second / 2 + 0.4}\t{name}" for second in range(20)]
        (tmp_path / f"{number}.txt").write_text("\n".join(lines))
    (line,) = outlook.classes(survey.survey(tmp_path))
    assert line == (
        "a class is in 2 of 4 files, each for one split, so a split will lack it, and "
        "`edgeproof run` will refuse that: add files with it, or leave it out"
    )
