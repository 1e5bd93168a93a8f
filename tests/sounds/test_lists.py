"""Lists of sounds that have several labels at once, or a number."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.config.params import Dataset
from pipeline.datasets import Raw, audio_folder
from pipeline.files.raw import RECORDING
from pipeline.planning import survey
from pipeline.planning.data import Given
from pipeline.process.errors import UserError
from tests import reports
from tests.conftest import Project
from tests.sounds.conftest import features, tone, wav
from tests.sounds.test_pipeline import SOUNDS, sweep

FREQUENCIES = (300, 500, 1000, 2000)


@pytest.fixture
def tones(tmp_path: Path) -> Path:
    """Four tones, each of two seconds."""
    for number, frequency in enumerate(FREQUENCIES):
        (tmp_path / f"{number}.wav").write_bytes(wav(tone(seconds=2, frequency=frequency)))
    return tmp_path


def load(root: Path, rows: str, **options: object) -> Raw:
    (root / "labels.csv").write_text(rows)
    values = {"name": "audio_folder", "path": str(root), **options}
    return audio_folder.load(Dataset.model_validate(values))


def labels_of(raw: Raw) -> dict[str, list[str]]:
    """The labels of each file in the training part, without its suffix."""
    names = np.array(raw.class_names)
    return {
        Path(file).stem: names[row == 1].tolist()
        for file, row in zip(raw.train_columns["file"], raw.train_labels, strict=True)
    }


@pytest.mark.parametrize(
    "rows",
    [
        "file,labels\n0.wav,low;even\n1.wav,low\n2.wav,even\n3.wav,\n",
        "file,low,even\n0.wav,1,1\n1.wav,1,0\n2.wav,0,1\n3.wav,0,0\n",
        "file,tags\n0.wav,low\n0.wav,even\n1.wav,low\n2.wav,even\n3.wav,\n",
    ],
    ids=["in one cell", "a column each", "a row each"],
)
def test_a_sound_may_have_several_labels_at_once(tones: Path, rows: str) -> None:
    raw = load(tones, rows)
    assert (raw.target, sorted(raw.class_names), raw.kind) == ("labels", ["even", "low"], "sounds")
    named = {number: sorted(names) for number, names in labels_of(raw).items()}
    assert named == {"0": ["even", "low"], "1": ["low"], "2": ["even"], "3": []}


def test_start_and_stop_may_be_words(tones: Path) -> None:
    rows = "0.wav,1,1,0\n1.wav,1,0,0\n2.wav,0,1,1\n3.wav,0,0,0\n"
    for first, second, third in (("start", "stop", "left"), ("left", "stop", "go")):
        raw = load(tones, f"file,{first},{second},{third}\n{rows}")
        assert (raw.target, raw.group) == ("labels", None)
        named = {number: {*names} for number, names in labels_of(raw).items()}
        assert named == {"0": {first, second}, "1": {first}, "2": {second, third}, "3": set()}
    raw = load(tones, "file,start,stop\n0.wav,x,\n1.wav,,x\n2.wav,x,x\n3.wav,x,\n")
    assert (raw.class_names, raw.group) == (["start", "stop"], None)


@pytest.mark.parametrize(
    ("columns", "spans"),
    [
        ("start,stop", ["0,1", "0,1", "0,1"]),
        ("start,end", ["0,1", "1,", "0,1"]),
        ("end", ["1", "1", "1.0"]),
        ("start", ["0", "0", "0"]),
    ],
)
def test_start_and_end_of_0_and_1_may_be_seconds(
    tones: Path, columns: str, spans: list[str]
) -> None:
    first, second, third = spans
    rows = f"0.wav,{first},1,1\n1.wav,{second},1,0\n2.wav,{third},0,1\n"
    raw = load(tones, f"file,{columns},low,even\n{rows}")
    assert (raw.class_names, raw.group) == (["low", "even"], RECORDING)


def test_rows_of_the_same_seconds_are_joined_and_others_are_not(tones: Path) -> None:
    rows = ["file,start,end,labels", "0.wav,0,1,low", "0.wav,0,1,even", "0.wav,1,2,even"]
    raw = load(tones, "\n".join([*rows, "1.wav,0,1,low"]))
    assert sorted(map(tuple, raw.train_labels.tolist())) == [(0, 1), (1, 0), (1, 1)]
    assert raw.group == RECORDING
    assert sorted(raw.train_columns[RECORDING]) == ["0.wav", "0.wav", "1.wav"]


def test_labels_of_which_each_sound_has_one_are_classes(
    tones: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = load(tones, "file,labels\n0.wav,low\n1.wav,low\n2.wav,high\n3.wav,high\n")
    assert (raw.target, raw.class_names) == ("classes", ["high", "low"])
    assert "each recording of" in capsys.readouterr().out


def test_a_number_is_learned_from_its_column(tones: Path) -> None:
    rows = "".join(f"{number}.wav,{pitch},a\n" for number, pitch in enumerate(FREQUENCIES))
    raw = load(tones, f"file,pitch,label\n{rows}", number="pitch")
    assert (raw.target, raw.class_names) == ("number", ["pitch"])
    pitch = dict(zip(raw.train_columns["file"], raw.train_labels.tolist(), strict=True))
    assert pitch == {f"{number}.wav": pitch for number, pitch in enumerate(FREQUENCIES)}
    row = raw.train_columns["file"].index("2.wav")
    expected = features(wav(tone(frequency=FREQUENCIES[2])))
    assert np.array_equal(raw.train_images[row], expected)


def test_a_number_without_a_list_or_a_column_is_refused(tones: Path) -> None:
    with pytest.raises(UserError, match=r"dataset\.number is depth; expected one of the columns"):
        load(tones, "file,pitch\n0.wav,1\n", number="depth")
    (tones / "labels.csv").unlink()
    values = {"name": "audio_folder", "path": str(tones), "number": "pitch"}
    with pytest.raises(UserError, match=r"dataset\.number is pitch, and .* holds no labels\.csv"):
        audio_folder.load(Dataset.model_validate(values))
    with pytest.raises(UserError, match=r"--number is pitch, and .* has no list with that column"):
        survey.survey(tones, Given(number="pitch"))


def test_columns_beside_a_number_keep_their_names(tones: Path) -> None:
    raw = load(tones, "file,Pitch,word,label\n0.wav,1,a,b\n1.wav,2,c,d\n", number="pitch")
    assert sorted(raw.train_columns["word"] + raw.train_columns["label"]) == ["a", "b", "c", "d"]
    raw = load(tones, "file,onset,speaker\n0.wav,0.5,a\n1.wav,0.7,b\n", number="onset")
    assert sorted(raw.train_labels.round(1).tolist()) == pytest.approx([0.5, 0.7])


def test_tags_beside_a_word_are_no_labels(tones: Path) -> None:
    raw = load(tones, "file,word,tags\n0.wav,yes,x\n1.wav,no,y\n")
    assert (raw.target, raw.class_names) == ("classes", ["no", "yes"])


def test_a_list_of_tests_alone_is_refused(tones: Path) -> None:
    rows = "file,pitch,split\n0.wav,1,test\n1.wav,2,test\n"
    with pytest.raises(UserError, match="holds no readable recording for training"):
        load(tones, rows, number="pitch")
    with pytest.raises(UserError, match="holds no readable recording for training"):
        survey.survey(tones, Given(number="pitch"))


def test_start_takes_the_path_of_a_list_with_a_number(tones: Path) -> None:
    (tones / "heard.csv").write_text("file,pitch\n0.wav,1\n1.wav,2\n2.wav,4\n3.wav,8\n")
    assert survey.survey(tones / "heard.csv", Given(number="pitch")).target == "number"


def test_start_knows_what_is_asked_for(tones: Path) -> None:
    (tones / "heard.csv").write_text("file,pitch\n0.wav,1.5\n1.wav,2\n2.wav,4\n3.wav,8\n")
    data = survey.survey(tones, Given(number="pitch", unit="kHz"))
    assert (data.target, data.values["number"], data.values["labels"]) == (
        "number",
        "pitch",
        "heard.csv",
    )
    assert data.number is not None
    assert (data.number.low, data.number.high, data.number.unit) == (1.5, 8.0, "kHz")
    (tones / "heard.csv").write_text("file,labels\n0.wav,a;b\n1.wav,b\n2.wav,a\n3.wav,a\n")
    data = survey.survey(tones)
    assert (data.target, data.counts) == ("labels", {"a": 3, "b": 2})


def save_sweeps(root: Path) -> None:
    """A tone that rises, one that falls, both or none in noise, and a list of what is heard."""
    root.mkdir()
    rng = np.random.default_rng(0)
    rows = ["file,rising,falling"]
    for number in range(600):
        samples = rng.normal(0, 0.01, 8000)
        rises, falls = number % 2, number // 2 % 2
        for is_rising in [True] * rises + [False] * falls:
            wave = sweep(is_rising, rng.uniform(300, 800), rng.uniform(0, 0.5))
            samples[: len(wave)] += wave
        (root / f"{number}.wav").write_bytes(wav(samples))
        rows.append(f"{number}.wav,{rises},{falls}")
    (root / "labels.csv").write_text("\n".join(rows))


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_a_device_says_all_that_it_hears(project: Project, run_stages: Callable[..., None]) -> None:
    save_sweeps(project.folder / "sounds")
    project.change(
        {
            **SOUNDS,
            "train.loss": "BinaryCrossentropy",
            "train.epochs": 10,
            "train.keep": "last",
        }
    )
    run_stages(project)
    assert reports.report(project, "evaluate")["gate"]["target_reached"]
    refused = {row["refused"] for row in reports.report(project, "embed")["targets"]}
    assert refused == {
        "it hears words, each a class, but this dataset has several labels at once; run such a "
        "model with `serving` on Linux"
    }
    serving = (sys.executable, "-m", "serving")
    bundle, recording = "dist/sweeps-1.0.0.tar.gz", str(project.folder / "sounds/3.wav")
    answer = project.run(*serving, "predict", bundle, recording)
    assert {"rising", "falling"} < {*answer.split()}
    heard = project.attempt(*serving, "listen", bundle, recording)
    assert "takes a model that gives the class of a sound" in heard.stderr
