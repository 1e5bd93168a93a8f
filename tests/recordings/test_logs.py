"""Recordings as loggers, serial monitors and Edge Impulse write them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import cbor2
import numpy as np
import pytest

from pipeline.datasets.reading import recording_files
from pipeline.datasets.reading.file_tree import FileError
from pipeline.files.artifacts import Array
from tests.recordings.conftest import LENGTH, RATE, as_csv, load, read, rows, write

VALUES = rows(LENGTH)
CELLS = [[f"{cell:.3f}" for cell in row] for row in VALUES.tolist()]


def lines(between: str, end: str = "", before: str = "") -> list[str]:
    return [f"{before}{between.join(row)}{end}" for row in CELLS]


def sent(texts: list[str]) -> list[str]:
    """As Arduino's serial monitor shows them."""
    return [f"09:00:{row / RATE:06.3f} -> {text}" for row, text in enumerate(texts)]


LOGS = {
    "spaces": ["x   y", *lines("  ", before="  ")],
    "spaces without names": lines(" "),
    "comments": ["# Logger 1.2", "# 10 Hz", "", "x,y", *lines(",")],
    "names in a comment": ["# taken at noon", "# x y", *lines(" ")],
    "percent": ["% x,y", *lines(",")],
    "semicolons": ["x,y,z;", *(f"{x},{y},{x};" for x, y in CELLS)],
    "two comments that fit": ["# x,y", "# 10 Hz, left", *lines(",")],
    "sent": sent(lines(",")),
    "sent with names": sent(["x\ty", *lines("\t")]),
    "sent with spaces": sent(lines(" ")),
    "plotter": [f"x:{x} y:{y}" for x, y in CELLS],
    "plotter with commas": [f"x: {x}, y: {y}" for x, y in CELLS],
    "sent plotter": sent([f"x:{x}\ty:{y}" for x, y in CELLS]),
}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("log", LOGS)
def test_a_log_is_read_like_a_csv(log: str, end: str) -> None:
    data = (end.join(LOGS[log]) + end).encode()
    (window,) = read(data)
    np.testing.assert_array_equal(window[:, :2], VALUES)


def test_the_time_of_a_serial_monitor_tells_gaps() -> None:
    texts = [*sent(lines(","))[:-1], "09:00:30.000 -> 1,2"]
    assert read("\n".join(texts).encode()) == []


@pytest.mark.parametrize(
    ("data", "channels"),
    [
        (b"# x;y\n0,5;2,5\n1,5;3\n", ("# x", "y")),
        (b"#1,#2\n.5,2.5\n1.5,3\n", ("#1", "#2")),
        (b"09:00:00.020 -> 0,5;2,5\n09:00:00.040 -> 1,5;3\n", ("1", "2")),
    ],
)
def test_the_header_of_a_csv_may_begin_like_a_comment(
    data: bytes, channels: tuple[str, ...]
) -> None:
    """As the device reads it."""
    for recording in recording_files.recordings(io.BytesIO(data), "a.csv"):
        assert recording.channels == channels
        (block,) = recording.blocks
        np.testing.assert_array_equal(block.values, [[0.5, 2.5], [1.5, 3]])


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        ([*LOGS["plotter"], "x:1 z:2"], "has 'x:1 z:2' among lines with x, y"),
        ([*sent(lines(",")), "rebooting"], "has 'rebooting' among lines such as 09:00"),
        ([*LOGS["spaces"], "1 2 3"], "has 3 cells in row 21; expected 2"),
        (["# nothing", ""], "holds no rows"),
    ],
)
def test_a_line_unlike_the_others_is_a_reason(texts: list[str], reason: str) -> None:
    with pytest.raises(FileError, match=reason):
        read("\n".join(texts).encode())


@pytest.mark.parametrize(
    "text", ["x\ty\tnote\n1\t2\t\n3\t4\t\n", "\tx\ty\n0\t1\t2\n\t3\t4\n", "# n,x,y\na,1,2\nb,3,4\n"]
)
def test_empty_cells_and_texts_stay_where_they_are(text: str) -> None:
    recordings = recording_files.recordings(io.BytesIO(text.encode()), "a.csv", ("x", "y"))
    values = [block.values for recording in recordings for block in recording.blocks]
    np.testing.assert_array_equal(values, [[[1, 2], [3, 4]]])


def test_a_channel_with_a_space_in_its_name_is_one_column() -> None:
    data = "\n".join(["heart rate", *(row[0] for row in CELLS)])
    np.testing.assert_array_equal(read(data.encode())[0], VALUES[:, :1])


def as_cbor(document: object, is_endless: bool = False) -> bytes:
    """`is_endless` if lists and maps do not say their length."""
    return cbor2.dumps(document, indefinite_containers=is_endless)


def edge_impulse(values: Array, *names: str) -> dict[str, object]:
    sensors = [{"name": name, "units": "m/s2"} for name in names]
    payload = {"device_type": "WATCH", "interval_ms": 1000 / RATE, "sensors": sensors}
    return {"protected": {"alg": "none"}, "payload": {**payload, "values": values.tolist()}}


@pytest.mark.parametrize("is_endless", [False, True])
def test_recordings_of_edge_impulse_have_their_channels_rate_and_labels(
    tmp_path: Path, is_endless: bool
) -> None:
    for number in range(8):
        document = edge_impulse(rows(LENGTH, number), "x", "y")
        stem = f"{'wave' if number % 2 else 'idle'}.{number}ab"
        folder = tmp_path / ("testing" if number > 5 else "training")
        folder.mkdir(exist_ok=True)
        (folder / f"{stem}.json").write_text(json.dumps(document))
        (folder / f"{stem}.cbor").write_bytes(
            cbor2.dumps(document, indefinite_containers=is_endless)
        )
    raw = load(tmp_path)
    assert (raw.class_names, raw.series and raw.series["channels"]) == (
        ["idle", "wave"],
        ("x", "y"),
    )
    assert (len(raw.train_labels), len(raw.test_labels)) == (12, 4)
    assert sum(np.array_equal(image, rows(LENGTH)) for image in raw.train_images) == 2


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"a": 1}, "is not in Edge Impulse's data acquisition format"),
        (edge_impulse(np.zeros((9, 2)), "x"), r"holds values \(9, 2\) of 1 sensors"),
        (edge_impulse(np.zeros((0, 1)), "x"), r"holds values \(0, -?\d\) of 1 sensors|not in Edge"),
        (edge_impulse(np.zeros((9, 2)), "x", "x"), "names a sensor twice: x, x"),
        (edge_impulse(np.zeros((9, 1)), "audio"), "holds sound of 10 Hz; download it from"),
    ],
)
def test_a_file_of_another_program_is_a_reason(document: dict[str, object], reason: str) -> None:
    for data, name in (
        (json.dumps(document).encode(), "a.json"),
        (as_cbor(document), "a.cbor"),
    ):
        with pytest.raises(FileError, match=reason):
            read(data, name)


# Its lists are those that others may refer to
SHAREABLE = cbor2.dumps(edge_impulse(VALUES, "x", "y"), value_sharing=True)


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"\x9f" * 99, b"\xa1\x80\x00", b"\x5f\x01\xff", b"\xbf\x01", SHAREABLE]
)
def test_damaged_cbor_is_a_reason(data: bytes) -> None:
    with pytest.raises(FileError, match="is not in Edge Impulse's"):
        read(data, "a.cbor")


def test_logs_beside_tables_are_left_out(tmp_path: Path) -> None:
    root = write(tmp_path, a__1_csv=as_csv(VALUES), a__1_txt=b"notes", b__1_csv=as_csv(VALUES))
    tree = recording_files.tree(root)
    assert (tree.files, tree.left_out) == (
        ["a/1.csv", "b/1.csv"],
        {"a/1.txt": "lacks the suffix of a recording"},
    )
