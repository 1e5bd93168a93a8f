"""`edgeproof start` of recordings as apps for phones and loggers export them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.config.params import Dataset
from pipeline.datasets import series_folder
from pipeline.datasets.reading import names_of_files
from pipeline.planning import start, survey
from pipeline.process.errors import UserError
from tests.planning.conftest import SHIPPED

SERIES = {"name": "series_folder", "rate": 50, "seconds": 2.0, "test": 0.25}
NAMES = {  # of the folders of a walk and of others
    "phyphox": "{label} 2024-03-{number:02d} 10-00-{number:02d}",
    "Sensor Logger": "{label}-2024-03-{number:02d}_09-00-00",
    "a date before it": "2024-03-01T09-00-{number:02d}_{label}",
    "a number": "{label} ({number})",
}


def exported(root: Path, name: str, *sensors: str) -> Path:
    """A folder for each of 12 recordings, with a file for each sensor and one about the phone."""
    for number in range(12):
        folder = root / name.format(label=("walk", "left turn")[number % 2], number=number)
        folder.mkdir(parents=True)
        for seed, sensor in enumerate(sensors):
            axes = np.random.default_rng(100 * seed + number).normal(size=(300, 3))
            table = np.column_stack([np.arange(300) / 50, axes])
            head = "Time (s),x,y,z"
            np.savetxt(folder / f"{sensor}.csv", table, "%.4f", ",", header=head, comments="")
        (folder / "About.csv").write_text("event,began,ended\nSTART,0.0,1.5\nPAUSE,4.0,2.5\n")
    return root


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_for_each_recording_has_its_label_in_its_name(folder: Path, name: str) -> None:
    path = exported(Path("app"), NAMES[name], "Raw Data")
    data = survey.survey(path)
    assert (data.counts, data.size) == ({"left turn": 30, "walk": 30}, (100, 3))
    assert data.channels == ("x", "y", "z")
    _, settings = start.propose(data, path, None, SHIPPED)
    assert settings.dataset.options(series_folder.Options).columns == ["x", "y", "z"]
    assert any("the names of the folders are taken for labels" in line for line in data.remarks)


def test_sensors_with_the_same_columns_are_not_taken_for_one(folder: Path) -> None:
    path = exported(Path("app"), NAMES["phyphox"], "Accelerometer", "Gyroscope")
    with pytest.raises(UserError, match=r"several files with the same columns, .*join"):
        survey.survey(path)


@pytest.mark.parametrize(
    ("paths", "classes"),
    [
        # people in parts and classes
        ("{part}/{label}/{person}.csv", ["fan", "pump"]),
        # two machines of each kind
        ("{label}_{number}/{person}.csv", ["fan_1", "fan_2", "pump_1", "pump_2"]),
    ],
)
def test_folders_of_few_recordings_stay_classes(
    folder: Path, paths: str, classes: list[str]
) -> None:
    for number, part in enumerate(("train", "test"), 1):
        for label in ("fan", "pump"):
            for person in ("anna", "ben"):
                names = {"part": part, "label": label, "person": person, "number": number}
                path = Path("machines", paths.format(**names))
                path.parent.mkdir(parents=True, exist_ok=True)
                values = np.random.default_rng(number).normal(size=(400, 2))
                np.savetxt(path, values, "%.4f", ",", header="x,y", comments="")
    raw = series_folder.load(Dataset.model_validate({**SERIES, "path": "machines"}))
    assert raw.class_names == classes


def test_numbers_and_dates_of_names_are_cut_off_in_no_time() -> None:
    cut = names_of_files.label_of_name
    assert cut("fan_1_0.csv") == "fan_1", "a number of the label stays"
    assert cut("walk_2024-03-01T09-00-00.csv") == cut("20240301_0900_walk_3.csv") == "walk"
    assert cut("walk_1709283600123456789.csv") == "walk"
    name = f"walk_{'1' * 60}a{'-1' * 60}a.csv"
    assert cut(name) == name.removesuffix(".csv"), "took for ever"


def test_a_table_with_a_row_for_each_sensor_is_no_clock_in_whole_seconds(folder: Path) -> None:
    for number in range(6):
        path = Path("long", ("walk", "run")[number % 2], f"{number}.csv")
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [f"{row / 50:.2f},{sensor},{row}" for row in range(90) for sensor in "ag"]
        path.write_text("\n".join(["time,sensor,value", *rows]))
    with pytest.raises(UserError, match="times that stand still"):
        survey.survey(Path("long"))


def test_a_note_beside_what_cannot_be_read_is_no_recording(folder: Path) -> None:
    Path("notes").mkdir()
    for name in ("a.parquet", "b.parquet", "README.txt"):
        Path("notes", name).write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"only 2 \.parquet, 1 \.txt; .*convert them to CSV"):
        survey.survey(Path("notes"))


def test_logs_may_have_a_list(folder: Path) -> None:
    Path("logs").mkdir()
    for number in range(8):
        values = np.random.default_rng(number).normal(size=(300, 2))
        np.savetxt(Path("logs", f"{number}.txt"), values, "%.4f")
    rows = [f"{number}.txt,{('walk', 'run')[number % 2]}" for number in range(8)]
    Path("logs/labels.csv").write_text("\n".join(["file,label", *rows]))
    raw = series_folder.load(Dataset.model_validate({**SERIES, "path": "logs"}))
    assert raw.class_names == ["run", "walk"]


def test_classes_with_numbered_names_stay_classes(folder: Path) -> None:
    path = exported(Path("app"), "speed {number}", "Raw Data")
    for number in range(3):
        (path / f"speed {number}" / "Raw Data 2.csv").write_text("Time (s),x,y,z\n0,1,2,3\n1,1,2,3")
    assert len(survey.survey(path).class_names) == 12


@pytest.mark.parametrize("clock", ["{0}", "2024-03-01 09:00:{0:02d}", "170000{0:04d}"])
def test_times_in_whole_seconds_count_rows(folder: Path, clock: str) -> None:
    for number in range(12):
        path = Path("seconds", ("walk", "run")[number % 2], f"{number}.csv")
        path.parent.mkdir(parents=True, exist_ok=True)
        axes = np.random.default_rng(number).normal(size=(220, 2)).round(3).tolist()
        times = [clock.format((row + 7 * number) // 25) for row in range(220)]
        lines = [f"{moment},{x},{y}" for moment, (x, y) in zip(times, axes, strict=True)]
        path.write_text("\n".join(["time,ax,ay", *lines]))
    data = survey.survey(Path("seconds"))
    assert (data.rate, data.size, data.values["gaps"]) == (25, (50, 2), "ignore")
    assert data.counts == {"run": 42, "walk": 42}
    assert any("the clock is coarse or uneven" in line for line in data.remarks)


def test_times_that_never_change_tell_no_rate(folder: Path) -> None:
    for number in range(6):
        path = Path("still", ("walk", "run")[number % 2], f"{number}.csv")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(["time,ax", *(f"5,{row % 7}" for row in range(90))]))
    with pytest.raises(UserError, match="times that stand still"):
        survey.survey(Path("still"))


def test_times_in_days_are_said_to_be_no_seconds(folder: Path) -> None:
    rows = [f"{45352.375 + row / 50 / 86400:.10f},{row % 7},walk" for row in range(90)]
    Path("excel.csv").write_text("\n".join(["time,ax,label", *rows]))
    with pytest.raises(UserError, match=r"4,320,000 rows a second .* as of Excel, by 86,400"):
        survey.survey(Path("excel.csv"))


def test_a_table_of_examples_is_told_how_to_become_one(folder: Path) -> None:
    rows = [f"{number % 7},{number % 5},{number / 3}" for number in range(60)]
    Path("table.csv").write_text("\n".join(["age,dose,effect", *rows]))
    with pytest.raises(
        UserError, match=r"rows a second has; .*each row is an example .*\(N, 1, C\)"
    ):
        survey.survey(Path("table.csv"))
