"""`edgeproof start` of recordings."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from ruamel.yaml import YAML

from pipeline.config import params
from pipeline.datasets import audio_folder
from pipeline.datasets.reading import sound_list
from pipeline.planning import (
    params_file,
    speakers,
    start,
    survey,
)
from pipeline.planning.cost import Shape
from pipeline.planning.data import Survey
from pipeline.process.errors import UserError
from tests.conftest import ROOT
from tests.planning.conftest import SHIPPED, arrays, photo, values


def recordings_of(folder: Path, rate: int = 22_050) -> Path:
    """A word by each of four speakers, twelve times, in two classes; a third of them is short."""
    for word in ("yes", "no"):
        for number in range(48):
            length = rate * (3 if number % 3 else 2) // 4
            path = folder / word / f"{('anna', 'bob', 'eve', 'tom')[number % 4]}_{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(number).uniform(-0.5, 0.5, length)
            soundfile.write(path, noise, rate)
    return folder


@pytest.mark.parametrize("packed", [False, True])
def test_a_folder_of_sounds_gets_features_a_network_and_groups(folder: Path, packed: bool) -> None:
    path = recordings_of(Path("words"))
    (path / "yes" / "broken.wav").write_bytes(b"RIFF")
    (path / "yes" / "notes.txt").touch()
    if packed:
        path = Path(shutil.make_archive("words", "zip", path))
    data = survey.survey(path)
    assert (data.counts, data.kind, data.rate) == ({"no": 48, "yes": 48}, "sounds", 22_050)
    assert data.seconds == pytest.approx(0.75, abs=0.001)
    assert any("1 recording cannot be read, such as yes/broken.wav" in x for x in data.remarks)
    assert any("4 speakers or places, such as anna and bob" in line for line in data.remarks)
    choices, settings = start.propose(data, path, None, SHIPPED)
    assert params.parsed(params_file.apply(SHIPPED, choices), params.FILE) == settings
    dataset = settings.dataset
    options = dataset.options(sound_list.Options)
    assert (dataset.name, options.rate, options.seconds) == ("audio_folder", 16_000, 0.8)
    assert (options.window, options.hop, options.bands) == (512, 256, 40)
    assert start.shape(settings, data) == Shape((49, 40, 1), 2, "sounds")
    assert settings.preprocess.group == r"(?:^|/)([^\W_]+)[_-][^/]*$"
    assert (settings.train.architecture, settings.train.keep) == ("ds_cnn", "last")
    assert (data.groups, data.groups_of_class) == (4, 4)
    assert settings.evaluate.folds == "reports/folds.json"
    loaded = audio_folder.load(dataset)
    assert loaded.train_images.shape == (96, 49, 40, 1)


def test_the_recipe_for_sounds_is_that_of_the_documentation() -> None:
    """For FSDD's 3,000 recordings, without the test speaker and a tenth for validation."""
    page = (ROOT / "docs/sounds.md").read_text(encoding="utf-8")
    block = YAML(typ="safe").load(page.split("```yaml\n")[1].split("```")[0])
    counts = {str(digit): 300 for digit in range(10)}
    data = Survey({}, list(counts), {"train": 3000}, counts, kind="sounds", rate=8000, seconds=0.9)
    proposed = values(data)
    for key in ("architecture", "batch_size", "augmentation", "keep"):
        assert proposed[f"train.{key}"] == block["train"][key], key
    assert abs(proposed["train.epochs"] - block["train"]["epochs"]) <= 2
    features = [proposed[f"dataset.{key}"] for key in ("rate", "window", "hop", "bands")]
    assert features == [8000, 256, 128, 32]


def test_a_few_pictures_beside_sounds_do_not_make_them_pictures(folder: Path) -> None:
    path = recordings_of(Path("words"))
    for word in ("yes", "no"):
        photo(path / word / "spectrogram.png", 0)
    data = survey.survey(path)
    assert (data.kind, data.counts) == ("sounds", {"no": 48, "yes": 48})
    _, settings = start.propose(data, path, None, SHIPPED)
    assert survey.of_params(settings).kind == "sounds"


def test_a_column_that_ends_in_filename_names_the_files(folder: Path) -> None:
    path = recordings_of(Path("words"))
    rows = [f"{file.relative_to(path)},{file.parent.name}" for file in sorted(path.rglob("*.wav"))]
    (path / "labels.csv").write_text("\n".join(["cough_filename,label", *rows]))
    assert survey.survey(path / "labels.csv").counts == {"no": 48, "yes": 48}


def test_a_board_is_refused_for_ids(folder: Path) -> None:
    arrays(Path("s.npz"), x_train=np.ones((30, 50), np.int32))
    with pytest.raises(UserError, match="--board is rp2040, and the exports without Python take"):
        start.start(Path("s.npz"), "rp2040", Path("params.yaml"), force=True)


def test_folders_that_every_class_holds_may_be_the_classes(folder: Path) -> None:
    path = recordings_of(Path("words"))
    for file in sorted(path.rglob("*.wav")):
        target = file.parent / file.name.partition("_")[0] / file.name
        target.parent.mkdir(exist_ok=True)
        file.rename(target)
    data = survey.survey(path)
    assert (data.group, data.groups) == (speakers.FOLDER, 4)
    assert any("if they are the classes, swap the two levels" in row for row in data.remarks)


def test_a_list_beside_sounds_is_found_with_its_speakers(folder: Path) -> None:
    path, rows = recordings_of(Path("words")), ["path,speaker,category"]
    (path / "clips").mkdir()
    for number, file in enumerate(sorted(path.rglob("*.wav"))):
        rows.append(f"clips/{number}.wav,{file.name.partition('_')[0]},{file.parent.name}")
        file.rename(path / "clips" / f"{number}.wav")
    for word in ("yes", "no"):
        (path / word).rmdir()
    (path / "meta.csv").write_text("\n".join(rows))
    for data in (survey.survey(path), survey.survey(path / "meta.csv")):
        assert (data.counts, data.group, data.groups) == ({"no": 48, "yes": 48}, "speaker", 4)
        assert any("column speaker names 4 speakers or places" in line for line in data.remarks)
    choices, settings = start.propose(data, path, None, SHIPPED)
    assert params.parsed(params_file.apply(SHIPPED, choices), params.FILE) == settings
    assert survey.of_params(settings) == data
    assert audio_folder.load(settings.dataset).train_columns["speaker"].count("anna") == 24
    without = "\n".join(row.replace(",anna,", ",,") for row in rows)
    (path / "meta.csv").write_text(without)
    data = survey.survey(path)
    assert data.groups == 3 + without.count(",,")
    assert any("names 3 speakers or places, such as bob and" in line for line in data.remarks)


def test_words_in_folders_of_speakers_need_a_list(folder: Path) -> None:
    path, rows = Path("words"), ["file,label,person"]
    for number, file in enumerate(sorted(recordings_of(Path("by word")).rglob("*.wav"))):
        speaker, word = file.stem.partition("_")[0], ("yes", "no", "maybe")[number % 3]
        target = path / speaker / f"{word}_{number}.wav"
        target.parent.mkdir(parents=True, exist_ok=True)
        file.rename(target)
        rows.append(f"./{speaker}/{target.name},{word},{speaker}")
    data = survey.survey(path)
    assert data.class_names == ["anna", "bob", "eve", "tom"]
    cure = "if these are the classes, and the folders people or places, write a list with"
    assert any(cure in line for line in data.remarks)
    (path / "labels.csv").write_text("\n".join(rows))
    data = survey.survey(path)
    assert (data.class_names, data.group) == (["maybe", "no", "yes"], "person")
    assert not any(cure in line for line in data.remarks)


# The list, its header, a row of it, and the folder of the sounds
LAYOUTS = {
    "ESC-50": (
        "meta/esc50.csv",
        "filename,fold,target,category",
        "{file},{fold},7,{word}",
        "audio",
    ),
    "UrbanSound8K": (
        "metadata/UrbanSound8K.csv",
        "slice_file_name,fsID,start,end,fold,classID,class",
        "{file},9,60.5,64.5,{fold},7,{word}",
        "audio/fold{fold}",
    ),
    "UrbanSound8K without an end": (
        "metadata/UrbanSound8K.csv",
        "slice_file_name,fsID,start,fold,class",
        "{file},9,60.5,{fold},{word}",
        "audio/fold{fold}",
    ),
    "a category and a text": (
        "list.csv",
        "filename,fold,category,text",
        "{file},{fold},{word},hello",
        "clips",
    ),
    "folds beside the list": (
        "list.csv",
        "fname,fold,classID,class",
        "{file},{fold},7,{word}",
        "fold{fold}",
    ),
    "one folder": ("audio/labels.csv", "wav,fold,word", "{file},{fold},{word}", "audio"),
    "a table of transcripts": (
        "validated.tsv",
        "path\tfold\tsentence",
        "{file}\t{fold}\t{word}",
        "clips",
    ),
}


@pytest.mark.parametrize(("name", "header", "row", "place"), LAYOUTS.values(), ids=LAYOUTS)
def test_lists_of_published_layouts_are_found(
    name: str, header: str, row: str, place: str, folder: Path
) -> None:
    rows, path = [header], Path("published")
    for number, file in enumerate(sorted(recordings_of(Path("words")).rglob("*.wav"))):
        known = {"file": f"{number}.wav", "fold": number % 4, "word": file.parent.name}
        target = path / place.format(**known) / f"{number}.wav"
        target.parent.mkdir(parents=True, exist_ok=True)
        file.rename(target)
        rows.append(row.format(**known))
    (path / name).parent.mkdir(exist_ok=True)
    (path / name).write_text("\n".join(rows))
    (path / name).with_name("people.tsv").write_text("name\tage\n")  # is no list of sounds
    for data in (survey.survey(path), survey.survey(path / name)):
        assert (data.counts, data.group, data.groups) == ({"no": 48, "yes": 48}, "fold", 4)
    _, settings = start.propose(data, path, None, SHIPPED)
    assert len(audio_folder.load(settings.dataset).train_labels) == 96


def test_the_lists_of_speech_commands_say_what_is_for_testing(folder: Path) -> None:
    path = recordings_of(Path("words"))
    (path / "testing_list.txt").write_text("yes/anna_0.wav\nno/anna_0.wav\n")
    (path / "validation_list.txt").write_text("yes/bob_1.wav\nno/bob_1.wav\n")
    (path / "_background_noise_").mkdir()
    shutil.copy(path / "yes" / "tom_3.wav", path / "_background_noise_" / "rain.wav")
    data = survey.survey(path)
    assert data.examples == {"train": 92, "validation": 2, "test": 2}
    assert data.counts == {"no": 47, "yes": 47}
    assert (
        "left out 1 (_background_noise_/rain.wav): it is background noise, not a word"
        in data.remarks
    )
    _, settings = start.propose(data, path, None, SHIPPED)
    raw = audio_folder.load(settings.dataset)
    assert raw.test_columns["file"] == ["no/anna_0.wav", "yes/anna_0.wav"]


def test_lists_of_parts_that_leave_a_class_out_are_not_used(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = recordings_of(Path("words"))
    (path / "testing_list.txt").write_text("yes/anna_0.wav\nno/anna_0.wav\n")
    (path / "validation_list.txt").write_text("yes/bob_1.wav\nup/bob_1.wav\n")
    data = survey.survey(path)
    assert data.examples == {"train": 96}
    note = "the class no would have no sound for validation: validation_list.txt, testing_list.txt"
    assert f"note: not used, as {note}" in capsys.readouterr().out


@pytest.mark.parametrize("has_list", [False, True])
def test_noise_is_a_class_beside_a_single_word(has_list: bool, folder: Path) -> None:
    path = recordings_of(Path("words"))
    (path / "no").rename(path / "_background_noise_")
    if has_list:
        (path / "testing_list.txt").write_text("yes/anna_0.wav\n")
    assert survey.survey(path).counts == {"_background_noise_": 48, "yes": 48}


def test_noise_is_a_class_if_there_are_no_lists_of_parts(folder: Path) -> None:
    path = recordings_of(Path("words"))
    shutil.copytree(path / "no", path / "_background_noise_")
    assert len(survey.survey(path).class_names) == 3


def test_each_of_several_lists_can_be_named(folder: Path) -> None:
    path = recordings_of(Path("words"))
    (path / "no").rename(path / "clips")
    shutil.rmtree(path / "yes")
    rows = [
        f"{number}\t{file.name}\t{('off', 'on')[number % 2]}"
        for number, file in enumerate(sorted(path.rglob("*.wav")))
    ]
    for name in ("train.tsv", "validated.tsv"):
        (path / name).write_text("\n".join(["client_id\tpath\tsentence", *rows]))
    with pytest.raises(UserError, match=r"several lists: train\.tsv, validated\.tsv; name one"):
        survey.survey(path)
    data = survey.survey(path / "train.tsv")
    assert (data.values["labels"], data.counts) == ("train.tsv", {"off": 24, "on": 24})


def test_sounds_in_a_format_that_is_not_read_are_named_with_the_cure(folder: Path) -> None:
    path = recordings_of(Path("words"))
    (path / "yes" / "more.m4a").touch()
    cure = "1 sound in a format that is not read: convert them, such as with `ffmpeg"
    assert any(line.startswith(cure) for line in survey.survey(path).remarks)
