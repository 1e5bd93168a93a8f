"""A CSV of a person: files, labels, decisions."""

from __future__ import annotations

import pytest

from pipeline.files import list_file
from pipeline.process.errors import UserError


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_list_is_read_as_any_program_saves_it(delimiter: str, end: str, mark: str) -> None:
    lines = ["file, label ", "a.png,cat", "", '"b, c.png",dog']
    text = mark + end.join(lines).replace(",", delimiter)
    table = list_file.read("list.csv", text.encode())
    assert table.columns == ["file", "label"]
    assert table.rows == [["a.png", "cat"], [f"b{delimiter} c.png", "dog"]]
    assert [*list_file.first_row(text.encode()[:18])] == ["file", "label"]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ("file,label\n".encode("utf-16"), "^list.csv is not UTF-8; save it as CSV in UTF-8$"),
        (b"file,label\na\n", "^row 2 of list.csv has more or fewer cells than the header$"),
        (b"file,label\n\na,b\na,b,c\n", "^row 3 of list.csv has more or fewer"),
        (b'file,label\n"a' + b"\n" * 140_000, "^line .* of list.csv is not CSV: field larger"),
    ],
)
def test_what_is_no_list_is_refused_in_a_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        list_file.read("list.csv", data)


def test_what_spreadsheets_leave_is_skipped() -> None:
    data = b"sep=;\nfile;label\na,1.png;cat\n ; \n;\n"
    assert list_file.read("list.csv", data) == (["file", "label"], [["a,1.png", "cat"]])
    assert list_file.first_row(data) == {"file": "a,1.png", "label": "cat"}


def test_an_empty_list_has_no_columns() -> None:
    assert list_file.read("list.csv", b"") == ([], [])
    assert list_file.first_row(b"") == {}


def test_what_lies_behind_the_beginning_of_a_list_is_empty() -> None:
    assert list_file.first_row(b"file,label,sender\na.png,c") == {
        "file": "a.png",
        "label": "c",
        "sender": "",
    }
