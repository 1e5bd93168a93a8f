"""Columns of a list that hold a label, several labels at once, or a number."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.process.errors import UserError
from tests.image_folder.conftest import rows
from tests.image_list.conftest import load


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("file,labels", ("cat;big dog", "", "cat", "big dog")),
        ("image_id,Tags", ("cat | big dog", "", "cat", "big dog")),
        ("file,cat,big dog", ("1,1", "0,0", "1.0,0", "0,1.0")),
        ("file,cat,big dog", ("1,1", "-1,-1", "1.0,-1", "-1.0,1")),
        ("file,cat,big dog", ("True,true", "False,False", "TRUE,false", "false,True")),
        ("Image Name,Tags", ("\"['big dog', 'cat']\"", "[]", "['cat']", '"[""big dog""]"')),
    ],
)
def test_a_picture_may_have_several_labels_or_none(
    photos: Path, header: str, cells: tuple[str, ...]
) -> None:
    lines = [f"phone/{number}.png,{cell}" for number, cell in enumerate(cells)]
    raw = load(photos, "\n".join([header, *lines]))
    assert raw.target == "labels"
    of_files = dict(zip([row.file for row in rows(raw)], raw.train_labels.tolist(), strict=True))
    held = [{raw.class_names[at] for at in np.flatnonzero(row)} for row in of_files.values()]
    assert dict(zip(of_files, held, strict=True)) == {
        "phone/0.png": {"cat", "big dog"},
        "phone/1.png": set(),
        "phone/2.png": {"cat"},
        "phone/3.png": {"big dog"},
    }
    label = rows(raw)[list(of_files).index("phone/0.png")].columns["label"]
    assert label == "big dog + cat"


def test_several_labels_may_stand_between_spaces(photos: Path) -> None:
    raw = load(photos, "file,tags\nphone/0.png,haze primary\nphone/1.png,primary\n")
    assert raw.class_names == ["haze", "primary"]
    assert sorted(raw.train_labels.tolist()) == [[0, 1], [1, 1]]


def test_columns_of_which_each_row_has_one_are_classes(photos: Path) -> None:
    raw = load(photos, "file,rust,scab\nphone/0.png,1,0\nphone/1.png,0,1\n")
    assert (raw.target, raw.class_names) == ("classes", ["rust", "scab"])
    assert raw.train_labels.tolist() == [0, 1]


def test_a_picture_may_have_a_row_for_each_of_its_labels(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = load(photos, "file,tag\n0.png,cat\n1.png,cat\n0.png,dog\n2.png,\n")
    assert (raw.target, raw.class_names) == ("labels", ["cat", "dog"])
    of_files = dict(zip([row.file for row in rows(raw)], raw.train_labels.tolist(), strict=True))
    assert of_files == {"phone/0.png": [1, 1], "phone/1.png": [1, 0], "phone/2.png": [0, 0]}
    assert "several rows for a picture: it has the labels of all" in capsys.readouterr().out


def test_rows_of_one_picture_in_two_parts_stay_in_both(photos: Path) -> None:
    raw = load(photos, "file,tag,split\n0.png,cat,\n0.png,dog,test\n1.png,cat,\n1.png,cat,test\n")
    assert sorted(raw.train_labels.tolist()) == sorted(raw.test_labels.tolist()) == [[1, 0], [1, 1]]


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("file,label,tag\n0.png,cat,a\n1.png,dog,b\n", "classes"),
        ("file,tags,tag\n0.png,cat;dog,a\n1.png,dog,b\n", "labels"),
    ],
)
def test_a_tag_beside_labels_is_a_column_as_any_other(photos: Path, text: str, target: str) -> None:
    raw = load(photos, text)
    assert raw.target == target
    assert sorted(row.columns["tag"] for row in rows(raw)) == ["a", "b"]


def test_beside_a_number_no_column_is_a_label(photos: Path) -> None:
    alone = load(photos, "file,age,Tag\n0.png,3,red\n1.png,4.5,blue\n", number="age")
    assert {row.columns["Tag"] for row in rows(alone)} == {"red", "blue"}
    several = load(photos, "file,age,class,label\n0.png,3,a,x\n1.png,4.5,b,y\n", number="age")
    columns = [row.columns for row in rows(several)]
    assert {(row["class"], row["label"]) for row in columns} == {("a", "x"), ("b", "y")}


def test_a_number_may_be_called_tag(photos: Path) -> None:
    raw = load(photos, "file,tag\n0.png,3\n1.png,4.5\n", number="tag")
    assert sorted(raw.train_labels.tolist()) == [3, 4.5]


def test_labels_of_which_each_picture_has_one_are_classes(photos: Path) -> None:
    raw = load(photos, "file,labels\n0.png,cat\n1.png,dog\n")
    assert (raw.target, raw.class_names) == ("classes", ["cat", "dog"])


def test_a_label_may_be_called_like_an_edge_of_a_box(photos: Path) -> None:
    raw = load(photos, "file,left,ahead\n0.png,1,1\n1.png,0,1\n2.png,0,0\n")
    assert (raw.target, raw.class_names) == ("labels", ["left", "ahead"])
    assert sorted(raw.train_labels.tolist()) == [[0, 0], [0, 1], [1, 1]]


def test_a_number_may_have_a_decimal_comma(photos: Path) -> None:
    raw = load(photos, "file;age\n0.png;12,5\n1.png;3\n2.png;-0,125\n", number="age")
    assert sorted(raw.train_labels.tolist()) == [-0.125, 3, 12.5]


@pytest.mark.parametrize("column", ["age", "Label"])
def test_a_column_may_hold_a_number(photos: Path, column: str) -> None:
    cells = ("20,", "1e1,test", "-0.5,val", "7.25,")
    lines = [f"phone/{number}.png,{cell}" for number, cell in enumerate(cells)]
    raw = load(photos, "\n".join([f"file,{column},split", *lines]), number=column)
    assert (raw.target, raw.class_names) == ("number", [column])
    assert raw.train_labels.dtype == raw.test_labels.dtype == np.float32
    of_files = dict(zip([row.file for row in rows(raw)], raw.train_labels.tolist(), strict=True))
    assert of_files == {"phone/0.png": 20, "phone/2.png": -0.5, "phone/3.png": 7.25}
    assert raw.test_labels.tolist() == [10]


@pytest.mark.parametrize(
    ("text", "number", "sentence"),
    [
        ("file,age\nphone/0.png,old\n", "age", "row 2 of .* has old as age; expected a number"),
        ("file,age\nphone/0.png,\n", "age", "row 2 of .* has nothing as age; expected a number"),
        ("file,age\nphone/0.png,nan\n", "age", "has nan as age; expected a number"),
        ("file,age\nphone/0.png,1e39\n", "age", "has 1e39 as age; expected a number"),
        ("file,age\nphone/0.png,1\n", "Alter", "is Alter; expected one of the columns of .* age"),
        (
            "file,label\nphone/0.png,1.5\nphone/1.png,2\nphone/2.png,2.5\n",
            None,
            "has numbers as labels, such as 1.5; to predict a number, set dataset.number",
        ),
        ("file,age\n", "age", "has no rows below its first; expected one for each file"),
        ("file,tags\nphone/0.png,\n", None, "has 0 labels; expected at least 2"),
        ("file,tags\nphone/0.png,[a b]\n", None, r"row 2 of .* has the labels \[a b\]; expected a"),
        (
            "file,a,b\n1.png,1,0\n2.png,-1,0\n3.png,0,1\n",
            None,
            "row 3 of .* has -1 as a, and row 4 has 0; expected 1 in each row where the label",
        ),
        (
            "file,a,b\n1.png,1,0\n2.png,,1\n3.png,0,1\n",
            None,
            "row 3 of .* has nothing as a, and row 4 has 0; expected 1 in each row where the label",
        ),
        (
            "file,species,seen\n0.png,cat,yes\n1.png,dog,no\n2.png,dog,\n",
            None,
            "the columns file, species, seen; .* rename the column that has them",
        ),
        (
            "file,age\n0.png,1 kg\n1.png,2\n2.png,\n3.png,n/a\n",
            "age",
            "row 2 of .* has 1 kg as age, and 2 other rows no number either; expected a number",
        ),
        (
            'file,price\n0.png,"1,500"\n1.png,"2,250"\n',
            "price",
            "has 1,500 as price, .*; write its comma as a point, or leave it out if 1,500 counts",
        ),
        (
            "file,label\nphone/0.png,cat\n1.png,dog\nphone/0.png,dog\n",
            None,
            "says that phone/0.png is cat and dog; expected one label .* take out the wrong row",
        ),
        ("file,x\nphone/0.png,3\n", None, "the columns file, x; expected a column label"),
        ("file,age,age\nphone/0.png,3,4\n", "age", "has the columns age and age; expected one"),
    ],
)
def test_other_labels_that_are_wrong_are_refused_in_one_sentence(
    photos: Path, text: str, number: str | None, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        load(photos, text, number=number)


def test_a_stray_picture_with_two_classes_stops_nothing(photos: Path) -> None:
    for number in range(6, 25):
        shutil.copy(photos / "phone/0.png", photos / f"phone/{number}.png")
    rows = [f"phone/{number}.png,{'cat' if number % 2 else 'dog'}\n" for number in range(25)]
    text = "".join(["file,label\n", *rows, "phone/0.png,cat\n"])
    assert len(load(photos, text).train_labels) == 26
    with pytest.raises(UserError, match=r"says that phone/0.png is dog and cat"):
        load(photos, f"{text}phone/1.png,dog\n")


@pytest.mark.parametrize(("labels", "number"), [(("cat", "dog"), None), (("3", "4.5"), "age")])
def test_a_row_that_is_there_twice_counts_once(
    photos: Path, capsys: pytest.CaptureFixture[str], labels: tuple[str, str], number: str | None
) -> None:
    header = f"file,{number or 'label'},split\n"
    rows = "".join(f"{name}.png,{label},\n" for name, label in zip("01", labels, strict=True))
    raw = load(photos, f"{header}{rows}{rows}0.png,{labels[0]},test\n", number=number)
    assert (len(raw.train_labels), len(raw.test_labels)) == (2, 1)
    shown = capsys.readouterr().out
    assert "2 rows of " in shown
    assert "name an example and its label again; each example counts once" in shown


@pytest.mark.parametrize(("yes", "no"), [("yes", "no"), ("x", ""), ("1", "")])
def test_truths_are_known_in_their_usual_spellings(photos: Path, yes: str, no: str) -> None:
    raw = load(photos, f"file,rust,scab\n0.png,{yes},{no}\n1.png,{no},{yes}\n")
    assert (raw.target, raw.class_names) == ("classes", ["rust", "scab"])


@pytest.mark.parametrize(
    ("column", "cure"), [("label", "call the column labels"), ("labels", "by semicolons")]
)
def test_names_that_join_others_are_said(
    photos: Path, capsys: pytest.CaptureFixture[str], column: str, cure: str
) -> None:
    load(photos, f"file,{column}\n0.png,cat\n1.png,dog\n2.png,cat/dog\n")
    assert cure in capsys.readouterr().out


def test_labels_that_look_alike_are_named(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load(photos, "file,label\n0.png,1\n1.png,1.0\n2.png,cat\n")
    note = "note: the classes '1' and '1.0' are two; write them alike if they are one\n"
    assert note in capsys.readouterr().out


@pytest.mark.parametrize(("name", "is_said"), [("nan", True), ("N/A", True), ("none", False)])
def test_a_class_that_may_stand_for_an_unknown_label_is_named(
    photos: Path, capsys: pytest.CaptureFixture[str], name: str, is_said: bool
) -> None:
    load(photos, f"file,label\n0.png,cat\n1.png,dog\n2.png,{name}\n")
    assert (f"note: '{name}' is taken for a class" in capsys.readouterr().out) == is_said
    load(photos, f"file,label\n0.png,cat\n1.png,?\n2.png,{name}\n")
    both = f"note: '?' and '{name}' are taken for classes; if they stand for"
    assert (both in capsys.readouterr().out) == is_said


def test_empty_labels_are_counted(photos: Path) -> None:
    with pytest.raises(UserError, match="expected one; remove the 2 rows without a label"):
        load(photos, "file,label\n0.png,cat\n1.png,\n2.png,\n")
    with pytest.raises(UserError, match=r"row 3 of .* remove the row without a label"):
        load(photos, "file,label\n0.png,cat\n1.png,\n2.png,dog\n")
