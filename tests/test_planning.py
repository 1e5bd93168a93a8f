"""Before anything is trained: `edgeproof start`, its estimates, and whether a board is enough."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image
from ruamel.yaml import YAML

from pipeline import check
from pipeline.bundle import gates
from pipeline.config import boards, params
from pipeline.config.boards import BOARDS
from pipeline.datasets import _photos, _sounds, audio_folder, image_folder, image_list, imdb
from pipeline.datasets._tree import Tree
from pipeline.files.reports.embed import EmbedReport, TargetReport
from pipeline.planning import (
    cost,
    networks,
    others,
    outlook,
    params_file,
    recipe,
    recordings,
    start,
    survey,
)
from pipeline.planning.choice import Choice
from pipeline.planning.cost import Files, Shape
from pipeline.planning.data import Survey
from pipeline.planning.recipe import Parts
from pipeline.process.errors import UserError
from pipeline.runtimes import environments
from tests.conftest import ROOT, Project

SHIPPED = (ROOT / "params.yaml").read_text(encoding="utf-8")


def photo(path: Path, seed: int, size: tuple[int, int] = (40, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """30 pictures of cats and 20 of dogs, in a project that has only its params.yaml."""
    for number in range(50):
        photo(tmp_path / "My Pets" / ("cat" if number < 30 else "dog") / f"{number}.png", number)
    (tmp_path / "params.yaml").write_text(SHIPPED, encoding="utf-8")
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline/none").touch()
    (tmp_path / "pipeline/no_others").touch()
    (tmp_path / "pipeline/no_model").touch()
    monkeypatch.chdir(tmp_path)
    return Path("My Pets")


def photos(images: int, side: int = 200, **others: Any) -> Survey:
    """What a survey says of a folder with `images` colour pictures of two classes."""
    counts = {"cat": images // 2, "dog": images - images // 2}
    values: dict[str, object] = {"name": "image_folder", "path": "pets"}
    return Survey(values, list(counts), {"train": images}, counts, side=side, colour=True, **others)


def values(data: Survey, board: str | None = None, weights: bool = False) -> dict[str, Any]:
    network = networks.candidates(data, board, weights)[0]
    return dict(recipe.overrides(recipe.propose(data, Path("pets"), network, board)))


def test_a_survey_counts_classes_sizes_and_colours(folder: Path) -> None:
    data = survey.survey(folder)
    assert data.values == {"name": "image_folder", "path": "My Pets", "other": params.NO_OTHERS}
    assert (data.examples, data.counts) == ({"train": 50}, {"cat": 30, "dog": 20})
    assert (data.side, data.colour, data.opened) == (30, True, 50)


def test_a_survey_of_grey_pictures_saved_in_colour_says_grey(folder: Path) -> None:
    for path in folder.rglob("*.png"):
        Image.open(path).convert("L").convert("RGB").save(path)
    assert not survey.survey(folder).colour


def test_a_survey_opens_a_bounded_number_of_pictures_of_every_class(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "SAMPLE", 10)
    for number in range(29):  # only the last picture of the class can be read
        (folder / "cat" / f"{number}.png").write_bytes(b"broken")
    data = survey.survey(folder)
    assert data.opened < 10
    assert data.counts["cat"] >= 1


def test_a_list_beside_the_pictures_is_used_with_its_groups(folder: Path) -> None:
    rows = [
        f"{path.parent.name}/{path.name},{path.parent.name},{number % 7}"
        for number, path in enumerate(sorted(folder.rglob("*.png")))
    ]
    text = "\n".join(["file,label,sender_id", *rows])
    (folder / "people.csv").write_text(text)
    data = survey.survey(folder)
    assert (data.values["name"], data.values["labels"]) == ("image_list", "people.csv")
    assert (data.group, data.groups) == ("sender_id", 7)
    assert values(data)["preprocess.group"] == "sender_id"


def arrays(path: Path, **changes: Any) -> Path:
    named = {"x_train": np.zeros((30, 28, 28), np.uint8), "y_train": np.arange(30) % 3, **changes}
    np.savez(path, **named)
    return path


def test_a_survey_of_arrays_knows_their_kind(tmp_path: Path) -> None:
    data = survey.survey(
        arrays(
            tmp_path / "own.npz", x_test=np.zeros((9, 28, 28), np.uint8), y_test=np.arange(9) % 3
        )
    )
    assert (data.size, data.examples) == ((28, 28, 1), {"train": 30, "test": 9})
    assert values(data)["train.augmentation"] == "digits"
    series = survey.survey(arrays(tmp_path / "s.npz", x_train=np.zeros((30, 50, 2), np.float32)))
    assert values(series)["train.architecture"] == "series_cnn"


def broken_class(folder: Path) -> Path:
    (folder / "bird").mkdir()
    (folder / "bird" / "1.jpg").write_bytes(b"not a picture")
    return folder


def sounds(folder: Path) -> Path:
    shutil.rmtree(folder)
    (folder / "yes").mkdir(parents=True)
    (folder / "yes" / "1.m4a").touch()
    return folder


def no_files(folder: Path) -> Path:
    shutil.rmtree(folder)
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (lambda folder: folder / "none", "does not exist; name a folder or zip file"),
        (broken_class, "class bird holds no readable picture for training .*not a picture"),
        (sounds, r"holds sounds that cannot be read \(1\); convert them to WAV, FLAC or Ogg"),
        (no_files, "holds no pictures; expected a folder for each class"),
        (lambda folder: folder / "cat", "has 0 class folders; expected at least 2"),
        (lambda folder: Path("params.yaml"), "neither a folder nor a readable zip file"),
        (lambda folder: arrays(Path("a.npz"), y_train=np.zeros(30, int)), "one class; expected"),
        (lambda folder: arrays(Path("a.npz"), y_train=np.arange(30) % 2 * 2), "class 1 has no ex"),
        (lambda folder: arrays(Path("a.npz"), y_train=np.arange(29) % 3), "30 examples and y_tra"),
    ],
)
def test_what_is_not_data_is_refused_in_a_sentence_and_nothing_is_written(
    folder: Path, data: Callable[[Path], Path], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        start.start(data(folder), None, Path("params.yaml"), force=True)
    assert Path("params.yaml").read_text(encoding="utf-8") == SHIPPED


def test_a_folder_that_may_not_be_read_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Permissions do not stop root, so the tree is one that a listing without them gives."""
    tree = Tree(folders=set(), left_out={"": "could not be read: Permission denied"})
    with pytest.raises(UserError, match="My Pets could not be read: Permission denied; change"):
        survey.check_tree(folder, tree)


def test_few_images_get_small_batches_a_low_rate_and_many_epochs() -> None:
    keys = ("train.batch_size", "train.learning_rate", "train.epochs", "preprocess.validation")
    recipes = [
        tuple(values(photos(images))[key] for key in keys) for images in (200, 3000, 20_000, 90_000)
    ]
    assert recipes == [
        (32, 0.001, 80, 0.2),
        (64, 0.003, 74, 0.1),
        (128, 0.005, 22, 0.1),
        (256, 0.01, 12, 0.1),
    ]


def test_large_photos_start_from_a_published_network_if_its_weights_are_there() -> None:
    own = values(photos(500), weights=True)
    assert (own["train.architecture"], own["train.weights"]) == ("efficientnet_lite0", "imagenet")
    assert (own["dataset.height"], own["train.augmentation"]) == (128, [])
    assert "tflite_int8" not in own["export.formats"]
    assert values(photos(500), weights=False)["train.architecture"] == "edge"
    assert values(photos(500, side=32), weights=True)["train.architecture"] == "edge"
    assert values(photos(500), board="rp2040", weights=True)["train.architecture"] == "edge"


def test_few_images_are_judged_by_folds_where_folds_can_judge_them() -> None:
    def folds(data: Survey) -> Any:
        return values(data)["evaluate.folds"]

    assert folds(photos(2400)) == "reports/folds.json"
    assert folds(photos(2600)) == params.NONE, "520 images are for the test"
    assert folds(photos(500, group="sender", groups=12)) == "reports/folds.json"
    assert folds(photos(500, group="sender", groups=9)) == params.NONE
    assert folds(Survey({}, ["a", "b"], {"train": 90}, {"a": 70, "b": 20})) == params.NONE
    assert folds(Survey({}, ["a", "b"], {"train": 10}, {"a": 5, "b": 5})) == params.NONE
    own_test = {"train": 10, "test": 5}
    assert folds(Survey({}, ["a", "b"], own_test, {"a": 5, "b": 5})) == "reports/folds.json"


def test_the_target_is_above_what_the_largest_class_alone_gives() -> None:
    large = Survey({}, ["a", "b"], {"train": 100}, {"a": 75, "b": 25}, side=50)
    assert values(large)["problem.target"] == 0.88
    uneven = Survey({}, ["a", "b"], {"train": 100}, {"a": 90, "b": 10}, side=50)
    assert values(uneven)["problem.metric"] == "balanced_accuracy"
    assert values(uneven)["problem.target"] == 0.8, "the largest class alone gives a half of it"
    assert "Of b there were only 10 photos." in values(uneven)["problem.limits"]


@pytest.mark.parametrize("data", [photos(500), photos(90_000, side=28)])
def test_every_choice_is_written_and_every_other_line_stays(data: Survey) -> None:
    network = networks.candidates(data, None, True)[0]
    choices = recipe.propose(data, Path("pets"), network, None)
    text = params_file.apply(SHIPPED, choices)
    settings = params.override(params.load(ROOT / "params.yaml"), recipe.overrides(choices))
    assert params.parsed(text, Path("params.yaml")) == settings
    assert params_file.apply(text, choices) == text
    assert max(map(len, text.splitlines())) <= 100
    kept = [line for line in text.splitlines() if line in SHIPPED.splitlines()]
    assert len(kept) > 100
    for choice in choices:
        first_words = choice.reason.split()[:2]
        assert not choice.reason or f"here: {' '.join(first_words)}" in " ".join(text.split())


def test_a_reason_is_gone_when_its_choice_is() -> None:
    once = params_file.apply(SHIPPED, [Choice("train.epochs", 80, "for a test")])
    assert "# here: for a test" in once
    assert params_file.apply(once, [Choice("train.epochs", 12)]) == SHIPPED


PASTED = "dataset: {name: npz,\n  path: mine.npz}\n\n"  # as docs/own-data.md has it


def pasted(text: str) -> str:
    first, last = text.index("dataset:"), text.index("preprocess:")
    return text[:first] + PASTED + text[last:]


def in_braces(text: str) -> str:
    return json.dumps(YAML(typ="safe").load(text))


def by_another_writer(text: str) -> str:
    written = io.StringIO()
    YAML(typ="safe").dump(YAML(typ="safe").load(text), written)
    return written.getvalue()


def without_a_section(text: str) -> str:
    first, last = text.index("evaluate:"), text.index("export:")
    return text[:first] + text[last:]


@pytest.mark.parametrize("change", [pasted, in_braces, by_another_writer, without_a_section])
def test_a_file_that_something_else_wrote_takes_every_choice(change: Callable[[str], str]) -> None:
    data = photos(500)
    choices = recipe.propose(data, Path("pets"), networks.candidates(data, None, False)[0], None)
    text = params_file.apply(change(SHIPPED), choices)
    expected = params.override(params.parsed(SHIPPED, params.FILE), recipe.overrides(choices))
    assert meaning(params.parsed(text, params.FILE)) == meaning(expected)
    assert params_file.apply(text, choices) == text


def meaning(settings: params.Params) -> object:
    """The values, with the defaults of options of datasets that the file does not name."""
    dataset = settings.dataset
    kinds = (_photos.Options, _sounds.Options, image_list.Options, imdb.Options)
    common = dataset.model_dump(include=set(params.Dataset.model_fields))
    rest = settings.model_copy(update={"dataset": None})
    return rest, common, [dataset.options(kind) for kind in kinds]


def test_a_section_that_is_written_anew_leaves_the_others_as_they_are() -> None:
    text = params_file.apply(pasted(SHIPPED), [Choice("dataset.path", "theirs.npz")])
    assert text == pasted(SHIPPED).replace(PASTED, "dataset:\n  name: npz\n  path: theirs.npz\n\n")


def test_a_text_that_yaml_would_misread_is_quoted() -> None:
    text = params_file.apply(SHIPPED, [Choice("dataset.path", "yes: #1")])
    assert YAML(typ="safe").load(text)["dataset"]["path"] == "yes: #1"


def test_a_file_of_the_user_is_kept_unless_git_has_it_as_it_came(folder: Path) -> None:
    output = Path("params.yaml")
    with pytest.raises(UserError, match="is there and is yours; give --force"):
        start.check_output(output, force=False)
    start.check_output(output, force=True)
    for command in (
        ("init", "--quiet"),
        ("add", "params.yaml"),
        (
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b",
            "commit",
            "--quiet",
            "--message",
            "as it came",
        ),
    ):
        subprocess.run(["git", *command], check=True)
    start.check_output(output, force=False)
    output.write_text(SHIPPED.replace("epochs: 12", "epochs: 13"), encoding="utf-8")
    with pytest.raises(UserError, match="is there and is yours"):
        start.check_output(output, force=False)


def test_few_test_images_are_told_with_the_interval_and_the_folds() -> None:
    settings = params.override(params.load(ROOT / "params.yaml"), {"problem.target": 0.8})
    few = outlook.splits(Parts(320, 80, 100), settings)
    assert few[1].startswith("test: an accuracy of 80 % would have a 95 % interval of 70.8 to 87.3")
    assert "`edgeproof folds` judges the recipe on all 400 outside the test set" in few[1]
    assert "show at best that a file loses at most 1.71 points" in few[2]
    judged = params.override(settings, {"evaluate.folds": "reports/folds.json"})
    assert "; 5 folds judge the recipe on all 400" in outlook.splits(Parts(320, 80, 100), judged)[1]
    many = outlook.splits(Parts(60_000, 6_000, 10_000), settings)
    assert "folds" not in many[1]
    assert many[2] == "gate: 16,000 unseen examples can prove a loss of at most 0.2 points"


def test_large_networks_on_emulated_processors_are_said_to_take_long() -> None:
    shipped = params.load(ROOT / "params.yaml")
    backbone = {"train.architecture": "efficientnet_lite0", "train.weights": "imagenet"}
    large = params.override(shipped, backbone)
    parts, speed = Parts(320, 80, 100), cost.Speed(0.0, 0.05, 2**30)
    shown = outlook.training(large, parts, speed)
    assert shown.startswith("time: 27 s to 76 s for 12 epochs of efficientnet_lite0")
    assert "half an hour or more" in shown
    assert shown.endswith("memory: 1.0 GiB")
    folds = params.override(large, {"evaluate.folds": "reports/folds.json"})
    told = "on this machine, 63 s to 3 min for the same in 5 folds, and 2 min"
    assert told in outlook.training(folds, parts, speed)
    native = params.override(large, {"verify.processors": ["native"]})
    assert "half an hour" not in outlook.training(native, parts, speed)


def test_rare_classes_are_named() -> None:
    lines = outlook.classes({"cat": 400, "dog": 12})
    assert lines[0].startswith("cat has 400 examples and dog 12; with train.class_weights")
    assert lines[1].startswith("fewer than 20 examples of dog")
    assert outlook.classes({"cat": 40, "dog": 30}) == []


def test_a_class_of_what_is_no_class_is_proposed_as_others(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start._print_survey(survey.survey(folder))
    assert "dataset.other" not in capsys.readouterr().out
    shutil.copytree(folder / "cat", folder / "Background")
    start._print_survey(survey.survey(folder))
    told = "note: Background: taken for a class like the others; if these pictures belong to none"
    shown = capsys.readouterr().out
    assert told in shown
    assert "give `--other My Pets/Background` too" in shown
    shutil.rmtree(folder / "dog")
    assert others.among(survey.survey(folder)) == [], "a model needs two classes"


@pytest.mark.parametrize("other", [Path("My Pets/other"), Path("strange")])
def test_pictures_of_none_of_the_classes_are_named_and_are_no_class(
    folder: Path, other: Path
) -> None:
    shutil.copytree(folder / "cat", other)
    data = survey.survey(folder, other=str(other))
    assert others.look(folder, other, data) == 30
    assert others.among(data) == []
    assert data.class_names == ["cat", "dog"]
    choices = recipe.propose(data, folder, networks.candidates(data, None, False)[0], None)
    written = params.parsed(params_file.apply(SHIPPED, choices), params.FILE)
    assert written.dataset.other == str(other)
    assert image_folder.load(written.dataset).class_names == ["cat", "dog"]


def test_others_that_cannot_be_used_are_refused(folder: Path) -> None:
    photo(Path("one/1.png"), 1)
    data = survey.survey(folder)
    for other, sentence in (
        (Path(), "which holds the data themselves"),
        (folder, "which holds the data themselves"),
        (Path("one"), "holds 1 pictures; expected at least 2"),
        (Path("nowhere"), "--other nowhere does not exist"),
        (arrays(Path("a.npz")), r"x_train is uint8 of shape \(30, 28, 28\); expected uint8"),
    ):
        with pytest.raises(UserError, match=sentence):
            others.look(folder, other, data)
    series = survey.survey(arrays(Path("s.npz"), x_train=np.zeros((30, 50, 2), np.float32)))
    with pytest.raises(UserError, match="is for images of one class each"):
        others.look(Path("s.npz"), Path("one"), series)


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
    assert any("1 recordings cannot be read, such as yes/broken.wav" in x for x in data.remarks)
    assert any("4 speakers or places, such as anna and bob" in line for line in data.remarks)
    choices, settings = start.propose(data, path, None, SHIPPED)
    assert params.parsed(params_file.apply(SHIPPED, choices), params.FILE) == settings
    dataset = settings.dataset
    options = dataset.options(_sounds.Options)
    assert (dataset.name, options.rate, options.seconds) == ("audio_folder", 16_000, 0.8)
    assert (options.window, options.hop, options.bands) == (512, 256, 40)
    assert start.shape(settings, data) == Shape((49, 40, 1), 2, "sounds")
    assert settings.preprocess.group == "/([0-9A-Za-z]+)[_-]"
    assert (settings.train.architecture, settings.train.keep) == ("ds_cnn", "last")
    assert settings.evaluate.folds == params.NONE, "four speakers are too few"
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


def test_a_board_is_refused_for_ids(folder: Path) -> None:
    arrays(Path("s.npz"), x_train=np.ones((30, 50), np.int32))
    with pytest.raises(UserError, match="--board is rp2040, and the exports without Python take"):
        start.start(Path("s.npz"), "rp2040", Path("params.yaml"), force=True)


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ([f"{d}/{d}_{n}_{i}.wav" for d in "12" for n in ("al", "bo", "cy") for i in "345"], "abc"),
        ([f"{d}/{n}-{i}.wav" for d in "12" for n in ("al", "bo", "cy") for i in "345"], "abc"),
        ([f"{d}/{i}_{n}.wav" for d in "12" for n in ("al", "bo", "cy") for i in "345"], "abc"),
        ([f"{d}/{d}_{i}.wav" for d in ("up", "down", "left") for i in range(9)], ""),  # classes
        ([f"{d}/IMG_{i}.wav" for d in ("up", "down", "left") for i in range(9)], ""),
        ([f"{d}/{i}_x.wav" for d in ("up", "down", "left") for i in range(9)], ""),  # numbers
    ],
)
def test_speakers_are_found_in_names_of_files(files: list[str], names: str) -> None:
    expression, found = recordings.speakers(files)
    assert "".join(name[0] for name in found) == names
    assert (expression is None) == (not names)


def small(arena: int, flash: int) -> Files:
    return Files(10, 10, 10, micro_arena_bytes=arena, micro_flash_bytes=flash)


def test_a_model_fits_a_board_if_both_memories_take_it() -> None:
    board = BOARDS["rp2040"]
    assert small(board.ram_bytes, board.flash_bytes).misfit("rp2040") is None
    assert "bytes of RAM" in str(small(board.ram_bytes + 1, 1).misfit("rp2040"))
    assert "bytes of flash" in str(small(1, board.flash_bytes + 1).misfit("rp2040"))


def test_no_board_has_more_memory_than_mcufit_gives_it() -> None:
    found = environments.FOLDER / environments.EMBEDDED
    file = next(found.glob("lib/python*/site-packages/mcufit/boards/data/boards.yaml"), None)
    if file is None:
        pytest.skip("the environment of mcufit is not there")
    theirs = {board["id"]: board for board in YAML(typ="safe").load(file)["boards"]}
    for name, board in BOARDS.items():
        other = theirs[board.mcufit]
        assert board.ram_bytes <= other["sram"] - other["reserved_sram"], name
        assert board.flash_bytes == other["flash"], name


def test_an_unknown_board_and_a_board_without_its_target_are_refused() -> None:
    shipped = params.load(ROOT / "params.yaml")
    with pytest.raises(UserError, match=r"embed\.board: 'uno' is not a known board; expected null"):
        params.override(shipped, {"embed.board": "uno"})
    with pytest.raises(UserError, match="targets does not hold microcontroller; add it"):
        params.override(shipped, {"embed.board": "rp2040", "embed.targets": ["c"]})


def test_a_board_that_cannot_take_the_model_is_a_gate() -> None:
    shipped = params.load(ROOT / "params.yaml")
    fault = boards.misfit("rp2040", 10**6, 10**5)
    row = TargetReport(target="microcontroller", format="tflite_int8", refused=fault)
    assert gates.refused_targets(shipped, [row]) == []
    (sentence,) = gates.refused_targets(params.override(shipped, {"embed.board": "rp2040"}), [row])
    assert sentence.startswith("embed.board is rp2040, and microcontroller refuses the model: it ")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_estimates_are_those_of_a_real_export(finished: Project) -> None:
    settings = params.load(finished.folder / "params.yaml")
    files = cost.files(settings, Shape((28, 28, 1), 10))
    exported = finished.folder / "exported"
    for estimate, name in (
        (files.float_bytes, "tflite_float32.tflite"),
        (files.int8_bytes, "tflite_int8.tflite"),
    ):
        assert estimate == pytest.approx((exported / name).stat().st_size, rel=0.03)
    report = EmbedReport.model_validate_json(
        (finished.folder / EmbedReport.PATH).read_text(encoding="utf-8")
    )
    measured: dict[str, Any] = {row.target: row.measured for row in report.targets}
    assert files.c_arena_bytes == measured["c"]["arena_bytes"]
    assert files.c_flash_bytes == measured["c"]["constant_bytes"]
    micro = measured["microcontroller"]
    assert files.multiply_accumulates == micro["multiply_accumulates"]
    assert files.micro_arena_bytes == pytest.approx(micro["arena_bytes"], abs=256)
    assert files.micro_flash_bytes == pytest.approx(micro["flash_bytes_with_runtime"], rel=0.03)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("architecture", "shape", "classes", "exported"),
    [  # as docs/microcontroller.md records them, of trained models
        ("tiny", (28, 28, 1), 10, (18_304, 11_064)),
        ("mobilenet_v1", (96, 96, 3), 6, (311_848, 104_080)),
    ],
)
def test_estimates_are_those_of_recorded_exports(
    architecture: str, shape: tuple[int, ...], classes: int, exported: tuple[int, int]
) -> None:
    settings = params.override(
        params.load(ROOT / "params.yaml"), {"train.architecture": architecture}
    )
    files = cost.files(settings, Shape(shape, classes))
    assert files.int8_bytes == pytest.approx(exported[0], rel=0.07)
    assert files.micro_arena_bytes is not None
    assert exported[1] <= files.micro_arena_bytes <= 1.1 * exported[1]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_start_writes_a_file_that_check_passes_and_says_what_to_expect(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start.start(folder, "rp2040", Path("params.yaml"), force=True)
    shown = capsys.readouterr().out
    for expected in (
        "50 images (50 for train), 2 classes",
        "cat 30, dog 20",
        "about 32 examples for training, 8 for validation, 10 for the test",
        " for 80 epochs of edge on this machine",
        "47,234 parameters",
        "rp2040 takes it",
        "edgeproof run",
    ):
        assert expected in shown
    with pytest.raises(UserError, match=r"folds\.json does not exist; `edgeproof run` writes"):
        check.main()
    Path("reports").mkdir()
    Path("reports/folds.json").touch()
    check.main()
    assert capsys.readouterr().out == "rp2040 takes the model\n"
    settings = params.load()
    assert (settings.problem.name, settings.embed.board) == ("my-pets", "rp2040")
    start.estimate(settings)
    assert "47,234 parameters" in capsys.readouterr().out
    Path("params.yaml").write_text(
        json.dumps(
            {
                **settings.model_dump(mode="json"),
                "dataset": {**settings.dataset.model_dump(), "height": 256, "width": 256},
            }
        )
    )
    with pytest.raises(UserError, match=r"does not fit embed\.board: it needs [\d,]+ bytes of RAM"):
        check.main()
