"""`edgeproof start` of recordings of sensors."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from pipeline.config import params
from pipeline.datasets import series_folder
from pipeline.planning import lists, outlook, params_file, sensors, start, survey
from pipeline.planning.cost import Shape
from pipeline.planning.data import Given, Survey
from pipeline.process.errors import UserError
from tests.conftest import ROOT
from tests.planning.conftest import SHIPPED, photo, values

PEOPLE = ("anna", "bob", "eve", "tom")
HEAD = "time,ax,ay,az,label,person"


def recorded(root: Path, rate: float = 25, head: str = HEAD, seconds: float = 20) -> Path:
    """12 recordings: half of each is a walk, the other half a rest."""
    root.mkdir()
    for number in range(12):
        lines = [head]
        generator = np.random.default_rng(number)
        for row, axes in enumerate(generator.normal(size=(round(seconds * rate), 3)).round(3)):
            label = "walk" if row < seconds / 2 * rate else "rest"
            person = PEOPLE[number % 4]
            lines.append(f"{row / rate:.4f},{','.join(map(str, axes))},{label},{person}")
        (root / f"{number}.csv").write_text("\n".join(lines))
    return root


@pytest.mark.parametrize("packed", [False, True])
def test_recordings_get_their_rate_windows_a_network_and_groups(folder: Path, packed: bool) -> None:
    path = recorded(Path("walks"))
    if packed:
        path = Path(shutil.make_archive("walks", "zip", path))
    data = survey.survey(path)
    assert (data.kind, data.counts, data.size) == ("series", {"rest": 108, "walk": 108}, (50, 3))
    assert (data.rate, data.seconds, data.group, data.groups) == (25, 2, "person", 4)
    choices, settings = start.propose(data, path, None, SHIPPED)
    assert params.parsed(params_file.apply(SHIPPED, choices), params.FILE) == settings
    options = settings.dataset.options(series_folder.Options)
    assert settings.dataset.name == "series_folder"
    assert (options.rate, options.seconds, options.step) == (25, 2, 1)
    assert start.shape(settings, data) == Shape((50, 3), 2, "series")
    assert (settings.preprocess.group, settings.preprocess.order) == ("person", "stratified")
    assert (settings.train.architecture, settings.train.keep) == ("series_cnn", "last")
    assert settings.export.max_accuracy_drop == 0.005  # int8 costs more than the usual 0.002
    assert survey.of_params(settings) == data


def test_a_single_recording_is_refused_and_a_slow_sensor_taken(folder: Path) -> None:
    path = recorded(Path("slow"), rate=0.5, seconds=400)
    with pytest.raises(UserError, match="holds 2 recordings, and training, validation and test"):
        survey.survey(path / "0.csv")
    slow = survey.survey(path)
    assert (slow.rate, slow.seconds, slow.size) == (0.5, 64, (32, 3))


def test_a_recording_with_a_column_of_events_is_no_list(folder: Path) -> None:
    rows = [f"{number},{number % 2},0.1,0.2,0.3" for number in range(50)]
    Path("one.csv").write_text("\n".join(["id,event,x,y,z", *rows]))
    assert lists.is_of_sensors(Path("one.csv"))


def test_a_list_alone_with_its_recordings_can_be_named(folder: Path) -> None:
    path = recorded(Path("walks"))
    rows = [f"{number}.csv,{'run' if number % 2 else 'walk'}" for number in range(12)]
    for file in path.iterdir():
        file.write_text(file.read_text().replace(",label", ",activity"))
    (path / "labels.csv").write_text("\n".join(["file,label", *rows]))
    assert lists.folder_of(path / "labels.csv") == (path, "labels.csv")


def test_a_list_of_recordings_may_have_any_name(folder: Path) -> None:
    path = recorded(Path("walks"), head="time,ax,ay,az,note,person")
    rows = [f"{number}.csv,{('walk', 'run')[number % 2]}" for number in range(12)]
    (path / "what was done.csv").write_text("\n".join(["file,label", *rows]))
    data = survey.survey(path / "what was done.csv")
    assert (data.class_names, data.values["labels"]) == (["run", "walk"], "what was done.csv")
    choices, settings = start.propose(data, path, None, SHIPPED)
    assert params.parsed(params_file.apply(SHIPPED, choices), params.FILE) == settings
    assert survey.of_params(settings) == data


def test_a_gesture_is_a_window_however_long_it_takes(folder: Path) -> None:
    generator = np.random.default_rng(0)
    for number in range(60):
        path = Path(f"wand/{'circle' if number % 2 else 'flick'}/{number}.csv")
        path.parent.mkdir(parents=True, exist_ok=True)
        axes = generator.normal(size=(30 + 2 * number, 3))
        np.savetxt(path, axes, delimiter=",", header="ax,ay,az", comments="")
    data = survey.survey(Path("wand"), Given(rate=100))
    assert (data.size, data.counts) == ((144, 3), {"circle": 30, "flick": 30})
    assert data.cut == "only one of twenty is longer; a shorter recording is held at its last row"
    labelled = survey.survey(recorded(Path("walks"), seconds=4), Given(rate=25))
    assert labelled.size == (50, 3), "recordings of two labels are cut as before"


def test_a_plot_beside_recordings_does_not_make_them_pictures(folder: Path) -> None:
    path = recorded(Path("walks"))
    photo(path / "plot.png", 0)
    data = survey.survey(path)
    assert (data.kind, data.groups) == ("series", 4)
    assert data.remarks[-1] == (
        "left out 1 picture or sound, such as plot.png: there are more recordings of sensors"
    )
    for table in folder.rglob("*.png"):
        table.with_suffix(".csv").write_text("left,top\n1,2\n")
    (folder / "classes.csv").write_text("name\ncat\n")
    assert survey.survey(folder).counts == {"cat": 30, "dog": 20}, "each table is of a picture"
    (folder / "cat").rename(folder / "notes")
    shutil.copytree(folder / "notes", folder / "cat", ignore=shutil.ignore_patterns("*.csv"))
    for picture in (folder / "notes").glob("*.png"):
        picture.unlink()
    with pytest.raises(UserError, match="class notes holds no readable picture"):
        survey.survey(folder)


def test_recordings_in_an_npz_are_no_examples(folder: Path) -> None:
    signal = np.random.default_rng(0).normal(size=(800, 2)).astype(np.float32)
    labels, people = ["a", "b", "a", "b"], [1, 1, 2, 2]
    arrays = {"length": np.full(4, 200), "label": np.array(labels), "subject": np.array(people)}
    np.savez("motion.npz", allow_pickle=False, signal=signal, rate=20.0, **arrays)
    data = survey.survey(Path("motion.npz"))
    assert (data.rate, data.group, data.groups, data.groups_of_class) == (20, None, 4, 2)
    assert "the column subject has fewer than 3 values" in data.remarks[1]
    assert any("a class is in 2 of 4 recordings, each" in line for line in outlook.classes(data))
    assert data.class_names == ["a", "b"]
    assert values(data)["train.augmentation"] == []
    assert values(replace(data, channels=("x", "y", "z", "t")))["train.augmentation"] == []


def test_what_holds_nobody_and_no_rate_is_said(folder: Path) -> None:
    data = survey.survey(recorded(Path("walks"), head="time,ax,ay,az,label,note"))
    assert data.ungrouped == [sensors.UNKNOWN]
    with pytest.raises(UserError, match="do not say how many rows a second has; add --rate 50"):
        survey.survey(recorded(Path("unknown"), head="tick,ax,ay,az,label,person"))
    with pytest.raises(UserError, match="each row has a number in the column speed"):
        start.start(Path("walks"), None, Path("params.yaml"), True, Given(number="speed"))


def gestures(root: Path, head: str, **odd: str) -> Path:
    """Two gestures by three people, named in the files; `odd` is the first line of some files."""
    for number in range(24):
        path = root / ("flick", "circle")[number % 2] / f"{PEOPLE[number % 3]}_{number}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        axes = np.random.default_rng(number).normal(size=(60, 2)).round(3)
        rows = [f"{row / 50:.2f},{x},{y},{number % 3}" for row, (x, y) in enumerate(axes)]
        path.write_text("\n".join([odd.get(f"n{number}", head), *rows]))
    return root


def test_people_in_the_names_of_files_are_groups(folder: Path) -> None:
    path = gestures(Path("g"), "time,x,y,z")
    data = survey.survey(path)
    assert data.groups == 3
    assert any("the files name 3 speakers or places, such as anna" in line for line in data.remarks)
    choices, settings = start.propose(data, path, None, SHIPPED)
    assert params.parsed(params_file.apply(SHIPPED, choices), params.FILE) == settings
    assert settings.preprocess.group == data.group


def test_what_is_no_measurement_is_no_channel(folder: Path) -> None:
    """A time and a number of a person by names of another language."""
    path = gestures(Path("g"), "Zeit,x,y,Proband")
    with pytest.raises(UserError, match=r"add --rate .*; if Zeit is the time in seconds, call it"):
        survey.survey(path)
    data = survey.survey(path, Given(rate=50))
    assert data.channels == ("x", "y")
    assert any("like a time or a row number: Zeit" in line for line in data.remarks)
    assert any("person: Proband; call such a column label or" in line for line in data.remarks)
    _, settings = start.propose(data, path, None, SHIPPED)
    assert settings.dataset.options(series_folder.Options).columns == ["x", "y"]
    assert survey.of_params(settings).size == data.size


def test_a_time_in_another_unit_is_no_channel_however_uneven_it_is(folder: Path) -> None:
    path = gestures(Path("g"), "time,x,y,z")
    for number, file in enumerate(path.rglob("*.csv")):
        clock = np.random.default_rng(number).choice([0.008, 0.02, 0.02, 0.029], 60).cumsum()
        _, *lines = file.read_text().splitlines()
        rows = [
            f"{now},{1000 * (now - clock[0])},{line.partition(',')[2]}"
            for now, line in zip(clock, lines, strict=True)
        ]
        file.write_text("\n".join(["time,ticker,x,y,z", *rows]))
    data = survey.survey(path)
    assert data.channels == ("x", "y")
    assert any("like a time or a row number: ticker" in line for line in data.remarks)


@pytest.mark.parametrize(
    ("head", "channels"),
    [([], ("2", "3")), (["temperature,x,y,z"], ("temperature", "x", "y"))],
)
def test_a_first_column_that_never_falls_is_a_channel_only_by_the_name_of_a_measurement(
    folder: Path, head: list[str], channels: tuple[str, ...]
) -> None:
    path = gestures(Path("g"), "time,x,y,z")
    for number, file in enumerate(path.rglob("*.csv")):
        steps = np.random.default_rng(number).choice([0, 0.5, 0.5, 3], 60)
        _, *lines = file.read_text().splitlines()
        rows = zip(steps.cumsum(), lines, strict=True)
        text = [f"{now},{line.partition(',')[2]}" for now, line in rows]
        file.write_text("\n".join([*head, *text]))
    assert survey.survey(path, Given(rate=50)).channels == channels


def test_a_clock_so_uneven_that_no_windows_are_left_counts_as_even(folder: Path) -> None:
    path = gestures(Path("g"), "time,x,y,z")
    for number, file in enumerate(path.rglob("*.csv")):
        clock = np.cumsum(np.where(np.arange(60) % 20 == number % 20, 0.06, 0.02))
        head, *lines = file.read_text().splitlines()
        rows = zip(clock, lines, strict=True)
        file.write_text("\n".join([head, *(f"{t},{row.partition(',')[2]}" for t, row in rows)]))
    data = survey.survey(path)
    assert sum(data.counts.values()) == 24, "each gesture is a window, and none is lost"
    assert data.rate == pytest.approx(46, abs=1)
    assert any("gaps in time would leave 24 of 24" in x for x in data.remarks)
    _, settings = start.propose(data, path, None, SHIPPED)
    assert settings.dataset.options(series_folder.Options).gaps == "ignore"
    assert survey.of_params(settings).counts == data.counts


def test_gestures_in_a_file_each_get_labels_by_its_name(folder: Path) -> None:
    Path("g").mkdir()
    for number, name in enumerate(("flex", "punch")):
        takes = np.random.default_rng(number).normal(size=(10, 119, 3)).round(3)
        text = ["\n".join(",".join(map(str, row)) for row in take) for take in takes]
        Path(f"g/{name}.csv").write_text("\n".join(["aX,aY,aZ", "\n\n".join(text), ""]))
    data = survey.survey(Path("g"), Given(rate=119))
    assert (data.counts, data.size, data.groups) == ({"flex": 10, "punch": 10}, (119, 3), 20)
    assert any("names of the files are taken for labels, such as flex" in x for x in data.remarks)


def test_a_column_like_labels_is_named(folder: Path) -> None:
    path = gestures(Path("g"), "time,x,y,z")
    for file in path.rglob("*.csv"):
        _, *lines = file.read_text().splitlines()
        rows = [f"{line.split(',')[1]},{7 if at < 30 else 3}" for at, line in enumerate(lines)]
        file.write_text("\n".join(rows))
    remarks = survey.survey(path, Given(rate=50)).remarks
    assert any(line.startswith("2 holds 2 whole numbers that change rarely") for line in remarks)


def test_channels_are_those_that_all_recordings_have(folder: Path) -> None:
    data = survey.survey(gestures(Path("g"), "time,x,y,z", n23="time,x,y,battery"))
    assert (data.channels, sum(data.examples.values())) == (("x", "y"), 24)
    assert "no channel, as not all recordings have it: z" in data.remarks


def test_the_rate_is_that_of_most_recordings(folder: Path) -> None:
    path = gestures(Path("g"), "time,x,y,z")
    first = path / "circle" / "anna_15.csv"
    first.write_text("\n".join(first.read_text().splitlines()[::2]))
    first.rename(path / "circle" / "a_0.csv")
    assert survey.survey(path).rate == 50


@pytest.mark.parametrize(
    ("times", "sentence"),
    [
        (lambda row: row // 50, "has times that stand still or run backwards; expected a later"),
        (lambda row: -row, "has times that stand still or run backwards; expected a later"),
    ],
)
def test_times_that_do_not_run_are_named(
    folder: Path, times: Callable[[int], int], sentence: str
) -> None:
    path = gestures(Path("g"), "time,x,y,z")
    for file in path.rglob("*.csv"):
        head, *lines = file.read_text().splitlines()
        rows = [f"{times(row)},{line.partition(',')[2]}" for row, line in enumerate(lines)]
        file.write_text("\n".join([head, *rows]))
    with pytest.raises(UserError, match=sentence):
        survey.survey(path)


def test_the_recipe_is_that_of_the_documentation() -> None:
    """For the recordings of shoulder exercises without the tested people and 15 % validation."""
    page = (ROOT / "docs/series.md").read_text(encoding="utf-8")
    block = YAML(typ="safe").load(page.split("```yaml\n")[1].split("```")[0])
    windows: dict[str, object] = {"name": "series_folder", "path": "motion.npz"}
    counts = {str(number): 650 for number in range(7)}
    data = Survey(windows, list(counts), {"train": 4550}, counts, kind="series", size=(200, 6))
    data = replace(data, channels=("ax", "ay", "az", "gX", "gY", "gZ"))
    proposed = values(data)
    for key in ("architecture", "batch_size", "learning_rate", "augmentation", "keep"):
        assert proposed[f"train.{key}"] == block["train"][key], key
    assert abs(proposed["train.epochs"] - block["train"]["epochs"]) <= 2
