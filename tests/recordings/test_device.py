"""A device cuts a recording as the pipeline does, and refuses the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.reading.file_tree import FileError
from serving.errors import InputError
from tests.recordings.conftest import BROKEN, LENGTH, RATE, SAMPLING, as_csv, read, rows


def test_a_device_cuts_a_csv_as_the_pipeline_does(tmp_path: Path) -> None:
    values = rows(3000)
    values[[5, 700, 701]] = np.nan
    time = np.arange(3000) / RATE
    time[1200:] += 1
    for data in (
        as_csv(values),
        as_csv(values).partition(b"\n")[2],
        as_csv(np.column_stack([time, values]), "time,x,y").replace(b"nan", b""),
        as_csv(values, "x,y,label", ["a"] * 3000).replace(b",", b";"),
        as_csv(values).replace(b",", b";").replace(b".", b","),
        as_csv(np.column_stack([time, values]), "time,x,y")
        .replace(b",", b"\t")
        .replace(b".", b","),
    ):
        (tmp_path / "a.csv").write_bytes(data)
        for source in (data, tmp_path / "a.csv"):
            windows = list(SAMPLING.windows(source, "a.csv", LENGTH))
            assert np.array_equal(
                [window for _, window in windows], read(data, channels=("x", "y"))
            )
        assert windows[0][0] == "a.csv 0.60 s"


@pytest.mark.parametrize("name", [name for name in BROKEN if name != "a name twice"])
def test_a_device_refuses_a_broken_csv_in_a_sentence(name: str) -> None:
    with pytest.raises(InputError, match=r"^a.csv (is not a recording: |has no window)"):
        list(SAMPLING.windows(BROKEN[name][0], "a.csv", LENGTH))


@pytest.mark.parametrize("row", ["1,234;5.60", "5.60;1,234", "1.5;2,5"])
def test_a_comma_beside_a_point_is_no_decimal_comma(row: str) -> None:
    """It may separate thousands, on a device and in the pipeline."""
    data = "\n".join(["x;y", *[row] * 30]).encode()
    with pytest.raises(InputError, match=r"a\.csv is not a recording: row 1: "):
        list(SAMPLING.windows(data, "a.csv", LENGTH))
    with pytest.raises(FileError):
        read(data, channels=("x", "y"))
