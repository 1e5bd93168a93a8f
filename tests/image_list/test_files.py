"""A CSV that names the pictures, their labels, their parts and boxes."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets.reading.listed_files import Files
from pipeline.files import pictures
from pipeline.files.pictures import Pictures, picture_file, picture_table
from pipeline.process.errors import UserError
from tests.image_folder.conftest import rows
from tests.image_list.conftest import load


def test_a_list_names_files_and_labels_in_its_own_order(photos: Path) -> None:
    raw = load(photos, "file,label\nphone/2.png,red\nphone/0.png,black\nphone/1.png,red\n")
    assert raw.class_names == ["black", "red"]
    labels = dict(zip([row.file for row in rows(raw)], raw.train_labels.tolist(), strict=True))
    assert labels == {"phone/2.png": 1, "phone/0.png": 0, "phone/1.png": 1}
    assert [row.file for row in rows(raw) if row.columns["label"] == "red"] == [
        "phone/2.png",
        "phone/1.png",
    ]
    assert raw.left_out == {f"phone/{number}.png": "is not in the list" for number in (3, 4, 5)}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_list_as_spreadsheets_save_it_is_read(photos: Path, delimiter: str, mark: str) -> None:
    lines = [
        "file,class,split",
        r"phone\0.png,a,Training",
        "phone/1.png, b ,",
        "./phone/2.png,a,val",
    ]
    lines += ["phone/3.png,b,valid", "phone/4.png,a,TEST", "phone/5.png,b,test"]
    raw = load(photos, mark + "\r\n".join(lines).replace(",", delimiter))
    assert raw.class_names == ["a", "b"]
    assert [row.file for row in rows(raw)] == [f"phone/{number}.png" for number in range(4)]
    assert raw.validation is not None
    assert raw.validation.tolist() == [2, 3]
    assert raw.test_labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("header", "files"),
    [
        ("image_id,category,Split", ("2", "0", "1")),  # without folder and suffix
        ('"Filename","Class","SPLIT"', ("2.png", "0.png", "phone/1.png")),
        ("id,Path,label,split", ("9,phone/2", "9,phone/0", "9,1.png")),
        ("clip,image,label,split", ("9,phone/2", "9,phone/0", "9,1.png")),
        ("audio,image,label,split", ("9.wav,phone/2", "9.wav,phone/0", "8.wav,1.png")),
        ("fname,id,label,split", ("Ann,phone/2", "Ann,phone/0", "Ben,1.png")),
    ],
)
def test_a_list_as_others_publish_it_is_read(
    photos: Path, header: str, files: tuple[str, ...]
) -> None:
    (photos / "phone" / "older").mkdir()
    rest = ("red,", "black,val", "red,TEST")
    lines = [header, *(f"{file},{cells}" for file, cells in zip(files, rest, strict=True))]
    raw = load(photos, "\n".join(lines))
    pairs = [(row.file, row.columns["label"]) for row in rows(raw)]
    assert sorted(pairs) == [("phone/0.png", "black"), ("phone/2.png", "red")]
    assert raw.validation is not None
    assert [pairs[row][0] for row in raw.validation] == ["phone/0.png"]
    assert raw.test_labels.tolist() == [1]


@pytest.mark.parametrize(
    "start", ["/content/drive/", "C:\\Users\\Ann\\", "dataset/", "../photos/", ""]
)
def test_a_list_of_another_machine_finds_its_pictures(photos: Path, start: str) -> None:
    files = [f"{start}phone/{number}.PNG" for number in range(2)]
    raw = load(photos, f"file,label\n{files[0]},a\n{files[1]},b\n")
    assert [row.file for row in rows(raw)] == ["phone/0.png", "phone/1.png"]


def test_a_list_of_another_folder_does_not_name_the_pictures_of_this_one(photos: Path) -> None:
    """The list names photos of `tablet`, and the folder `phone` has others of the same names."""
    (photos / "tablet").mkdir()
    (photos / "phone/5.png").rename(photos / "tablet/9.png")
    with pytest.raises(UserError, match="names none of the 6 pictures"):
        load(photos, "file,label\ntablet/0.png,a\ntablet/1.png,b\n")
    shutil.rmtree(photos / "tablet")
    with pytest.raises(UserError, match="names none of the 5 pictures"):
        load(photos, "file,label\ntablet/0.png,a\ntablet/1.png,b\n")


def test_an_absent_folder_is_said(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load(photos, "file,label\n/data/phone/0.png,a\n/data/phone/1.png,b\n")
    assert "names files in /data/, which is not there" in capsys.readouterr().out


@pytest.mark.timeout(120)  # a search in quadratic time took a quarter of an hour
def test_many_rows_of_pictures_of_the_same_name_are_found() -> None:
    names = [f"{number}/photo.png" for number in range(20_000)]
    files = Files(names, "", [f"/absent/{name}" for name in names])
    assert [files.find("row", f"/absent/{name}") for name in names] == names


def test_a_column_that_may_be_the_split_is_used_or_asked_about(photos: Path) -> None:
    rows = "".join(f"phone/{number}.png,{'ab'[number % 2]},{{}}\n" for number in range(6))
    sure = rows.format("train", "train", "train", "train", "test", "test")
    assert len(load(photos, f"file,label,subset\n{sure}").test_labels) == 2
    constant = rows.format(*["valid"] * 6)
    assert len(load(photos, f"file,label,status\n{constant}").train_labels) == 6
    for unsure in ("unused", ""):
        mixed = rows.format("train", "train", "train", "train", "test", unsure)
        with pytest.raises(
            UserError, match=r"subset, which may say the part.* call the column split"
        ):
            load(photos, f"file,label,subset\n{mixed}")


def test_a_missing_picture_is_not_another_of_that_name(photos: Path) -> None:
    shutil.copytree(photos / "phone", photos / "other")
    (photos / "phone/2.png").unlink()
    raw = load(photos, "file,label\nx/phone/0.png,a\nx/phone/1.png,b\nx/phone/2.png,b\n")
    assert [row.file for row in rows(raw)] == ["phone/0.png", "phone/1.png"]


@pytest.mark.parametrize("column", ["subset", "Usage"])
def test_a_column_of_parts_is_the_split(photos: Path, column: str) -> None:
    cells = ("a,train", "b,train", "a,dev", "b,val", "a,holdout", "b,test")
    lines = [f"phone/{number}.png,{cell}" for number, cell in enumerate(cells)]
    raw = load(photos, "\n".join([f"file,label,{column}", *lines]))
    assert raw.validation is not None
    assert [len(raw.validation), len(raw.test_labels)] == [2, 2]


def test_boxes_are_known_by_other_names(photos: Path) -> None:
    raw = load(photos, "file,ClassId,xmin,ymin,xmax,ymax\n0.png,a,1,2,7,8\n1.png,b,0,0,8,8\n")
    assert [row.box for row in rows(raw)] == [(1, 2, 7, 8), (0, 0, 8, 8)]


@pytest.mark.parametrize("columns", ["x,y,width,height", "X,Y,W,H", "left,top,width,height"])
def test_a_box_may_have_a_width_and_a_height(photos: Path, columns: str) -> None:
    raw = load(photos, f"file,label,{columns}\n0.png,a,1,2,6,5\n1.png,b,0.4,0,7.6,8\n2.png,b,,,,\n")
    boxes = {row.file: row.box for row in rows(raw)}
    files = [f"phone/{number}.png" for number in range(3)]
    assert [boxes[file] for file in files] == [(1, 2, 7, 7), (0, 0, 8, 8), None]


def test_the_size_of_a_picture_is_no_box(photos: Path) -> None:
    text = "file,width,height,label,xmin,ymin,xmax,ymax\n0.png,8,8,a,1,2,7,7\n1.png,8,8,b,0,0,8,8\n"
    raw = load(photos, text)
    assert [row.box for row in rows(raw)] == [(1, 2, 7, 7), (0, 0, 8, 8)]


def test_a_box_of_one_pixel_is_not_lost_in_a_jpeg_that_is_decoded_smaller() -> None:
    file = io.BytesIO()
    Image.new("L", (9001, 9001), 200).save(file, "JPEG")
    for box in ((0, 0, 1, 1), (9000, 9000, 9100, 9001), (8999, 40, 9000, 41)):
        picture_file.inspect(file.getvalue(), box)
        image = picture_file.image(file.getvalue(), (2, 2, 1), box)
        assert (abs(image.astype(int) - 200) < 5).all()


def test_a_box_by_its_middle_is_not_taken_for_none(photos: Path) -> None:
    text = "file,label,x_center,y_center,width,height\n0.png,a,.5,.5,.2,.2\n1.png,b,.5,.5,.2,.2\n"
    with pytest.raises(UserError, match="has x_center, y_center; expected all of left, top, right"):
        load(photos, text)


def test_boxes_beside_their_pictures_are_said_before_a_class_is_missed(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "file,label,left,top,right,bottom\n0.png,a,90,90,99,99\n1.png,b,0,0,8,8\n"
    with pytest.raises(UserError, match="class a holds no readable picture"):
        load(photos, text)
    assert "0.png; the first has 8 x 8 pixels, and its box (90, " in capsys.readouterr().out


def test_a_box_is_the_part_of_the_upright_picture_to_use(photos: Path) -> None:
    image = Image.new("RGB", (20, 10))
    image.paste((0, 255, 0), (0, 0, 10, 10))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter: what is on the left comes to the top
    image.save(photos / "lying.png", exif=exif)
    text = (
        "file,label,left,top,right,bottom\n"
        "lying.png,green,0,0,10,10\nlying.png,black,0,10,10,20\nlying.png,black,-3,10,11,25\n"
        "lying.png,black,10,0,20,20\n"
        "lying.png,green,-5,-5,15,10\nphone/0.png,black,,,,\n"
    )
    raw = load(photos, text)
    assert raw.left_out["lying.png"] == (
        "has 10 x 20 pixels, and its box (10, 0, 20, 20) holds none of them"
    )
    images = {
        (row.file, row.box): image
        for row, image in zip(rows(raw), raw.train_images[:], strict=True)
    }
    for box in ((0, 0, 10, 10), (-5, -5, 15, 10)):  # the second is clipped to the first
        assert (images["lying.png", box] == (0, 255, 0)).all()
    assert not images["lying.png", (0, 10, 10, 20)].any()
    over_the_edge = images["lying.png", (-3, 10, 11, 25)]
    np.testing.assert_array_equal(over_the_edge, images["lying.png", (0, 10, 10, 20)])
    assert not images["phone/0.png", None].any()


def test_a_list_may_lie_in_a_zip_file_in_a_folder_of_its_own(photos: Path, tmp_path: Path) -> None:
    (photos / "groups.csv").write_text("file,class,sender\nphone/0.png,a,7\nphone/1.png,b,8\n")
    shutil.make_archive(str(tmp_path / "all"), "zip", tmp_path, "photos")
    raw = load(tmp_path / "all.zip", "", "groups.csv")
    assert [row.file for row in rows(raw)] == ["photos/phone/0.png", "photos/phone/1.png"]
    assert [row.columns["sender"] for row in rows(raw)] == ["7", "8"]
    assert raw.train_images[:].shape == (2, 4, 4, 3)


def test_a_listed_file_that_is_missing_is_left_out_and_said(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = load(photos, "file,label\nphone/0.png,a\nphone/1.png,b\nphone/99.png,b\n")
    assert raw.unreadable == ["phone/99.png"]
    assert "could not be read: phone/99.png" in capsys.readouterr().out


def test_the_table_keeps_the_columns_of_the_list(photos: Path, tmp_path: Path) -> None:
    raw = load(photos, 'file,label,camera\nphone/0.png,a,"left, upper"\nphone/1.png,b,\n')
    photos_on_disk = pictures.on_disk(raw.train_images)
    assert photos_on_disk
    picture_table.save(tmp_path / "table.csv", photos_on_disk.rows)
    again = picture_table.load(tmp_path / "table.csv")
    assert list(again) == rows(raw)
    np.testing.assert_array_equal(Pictures(photos, again, (4, 4, 3))[:], raw.train_images[:])
    assert again[0].columns == {"label": "a", "camera": "left, upper"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "has the columns ; expected file and label"),
        ("picture,label\n", "has the columns picture, label; expected file and label"),
        ("file,label,left\n", "has left; expected all of left, top, right, bottom, or none"),
        ("file,label\nphone/0.png\n", "row 2 of .* has more or fewer cells than the header"),
        ("file,label\nphone/0.png,a,b\n", "row 2 of .* has more or fewer cells"),
        ("file,label\nphone/0.png,\n", "row 2 of .* has an empty label; expected one"),
        ("file,label\n,a\n", "row 2 of .* has an empty file; expected one"),
        ("file,label\n../9.png,a\n", r"row 2 of .* has the file \.\./9\.png; expected a path"),
        ("file,label\n9.png,a\n8.png,b\n", "names none of the 7 pictures .* has the file 9.png"),
        (
            "file,label,left,top,right,bottom\nphone/0.png,a,0.1,0.1,0.9,0.9\n",
            "which are shares of the picture; expected pixels: multiply",
        ),
        ("file,label\n/etc/x.png,a\n", "has the file /etc/x.png; expected a path within"),
        ("file,label,split\nphone/0.png,a,later\n", "has the split later; expected train, valid"),
        ("file,label\nphone/0.png,a\n", "has 1 label; expected at least 2"),
        (
            "file,label,Class\nphone/0.png,a,a\n",
            "has the columns label and Class; expected one of them",
        ),
        (
            "file,label\n0,a\n",
            "row 2 of .* has the file 0, which may be phone/0.jpg or phone/0.png; write its whole",
        ),
        (
            "file,label,left,top,right,bottom\nphone/0.png,a,0,x,1,1\n",
            "has the box 0, x, 1, 1; expected four numbers",
        ),
        (
            "file,label,split\nphone/0.png,a,\nphone/1.png,b,test\n",
            "class b holds no readable picture for training",
        ),
    ],
)
def test_a_list_that_is_wrong_is_refused_in_one_sentence(
    photos: Path, text: str, sentence: str
) -> None:
    shutil.copy(photos / "phone/0.png", photos / "phone/0.jpg")
    with pytest.raises(UserError, match=sentence):
        load(photos, text)


def test_the_list_itself_is_not_the_path(photos: Path) -> None:
    (photos / "labels.csv").write_text("file,label\n")
    with pytest.raises(UserError, match=r"set dataset\.labels to labels\.csv"):
        load(photos / "labels.csv", "")
    with pytest.raises(
        UserError, match=r"holds no other\.csv; set dataset\.labels to the name of its CSV"
    ):
        load(photos, "", labels="other.csv")
