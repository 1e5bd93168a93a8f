"""Pictures of any size, mode and state become images of one shape."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets.reading import photo_list
from pipeline.datasets.reading.photo_list import Candidate, Listed
from pipeline.process.errors import UserError
from serving.framing import SUFFIXES
from tests import png_files
from tests.image_folder.conftest import dataset, load, picture, rows


def test_pictures_of_any_size_and_mode_become_one_shape(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = load(photos, height=12, width=16, channels=1)
    assert raw.train_images.shape == (5, 12, 16, 1)
    assert raw.class_names == ["cat", "dog"]
    assert raw.unreadable == ["dog/broken.png"]
    assert "warning: 1 of 6 pictures could not be read: dog/broken.png" in capsys.readouterr().out
    names = [Path(row.file).stem for row in rows(raw)]
    means = dict(zip(names, raw.train_images[:].mean((1, 2, 3)), strict=True))
    assert means["grey"] == 100
    assert means["sixteen"] == 100  # 25700 of 65535 is 100 of 255
    assert means["clear"] == 255  # transparent on white


def test_pictures_on_disk_are_indexed_like_an_array(photos: Path) -> None:
    images = load(photos, height=4, width=4, channels=3).train_images
    everything = np.asarray(images[:])
    assert everything.shape == images.shape == (5, 4, 4, 3)
    np.testing.assert_array_equal(images[3], everything[3])
    np.testing.assert_array_equal(images[-1], everything[4])
    np.testing.assert_array_equal(images[1:3], everything[1:3])
    np.testing.assert_array_equal(images[np.array([4, 0, 4])], everything[[4, 0, 4]])


def test_a_picture_that_changed_since_it_was_read_is_named(photos: Path) -> None:
    images = load(photos).train_images
    picture(photos / "cat" / "grey.png", "L", (30, 50), 101)
    with pytest.raises(UserError, match=r"cat/grey\.png has changed .* \(has other bytes\)"):
        images[:]
    (photos / "cat" / "grey.png").unlink()
    with pytest.raises(UserError, match=r"cat/grey\.png .* No such file or directory"):
        images[:]


def test_a_file_that_vanishes_before_it_is_read_is_left_out(two_classes: Path) -> None:
    candidates = [
        Candidate(f"{name}/{number}.png", name) for name in ("cat", "dog") for number in range(3)
    ]
    (two_classes / "cat" / "1.png").unlink()
    raw = photo_list.dataset(dataset(two_classes), Listed(candidates, ["cat", "dog"], {}))
    assert raw.left_out == {"cat/1.png": "could not be read: No such file or directory"}
    assert len(raw.train_images) == 5


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data", "ignore:Tag data larger")
@pytest.mark.parametrize(
    ("offset", "byte", "readable"), [(0, 0, False), (11, 0, True), (11, 26, True)]
)
def test_a_picture_with_damaged_exif_data_is_read_or_reported_as_unreadable(
    two_classes: Path, offset: int, byte: int, readable: bool
) -> None:
    exif = Image.Exif()
    exif.update({0x0112: 6, 0x010F: "maker"})
    data = bytearray(exif.tobytes()[6:])  # the first six bytes are for JPEG
    data[offset] = byte
    Image.new("RGB", (9, 9)).save(two_classes / "cat" / "damaged.png", exif=bytes(data))
    raw = load(two_classes)
    assert raw.unreadable == ([] if readable else ["cat/damaged.png"])
    assert len(raw.train_images) == 6 + readable


def test_what_systems_leave_behind_is_skipped_at_every_level(
    two_classes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for junk in (
        "__MACOSX/cat/._0.jpg",
        "cat/@eaDir/0.png/SYNOPHOTO_THUMB_M.jpg",
        "cat/.ipynb_checkpoints/0-checkpoint.png",
        "dog/.hidden.png",
    ):
        picture(two_classes / junk)
    for junk in (".DS_Store", "dog/Thumbs.db", "dog/desktop.ini"):
        (two_classes / junk).write_bytes(b"junk")
    (two_classes / "cat" / "notes.txt").write_text("mine")
    raw = load(two_classes)
    assert raw.class_names == ["cat", "dog"]
    assert len(raw.train_images) == 6
    assert len(raw.left_out) == 8
    assert raw.left_out["cat/notes.txt"] == "lacks the suffix of a picture"
    printed = capsys.readouterr().out
    assert "left out 1 (cat/notes.txt): it lacks the suffix of a picture" in printed
    assert "left out 7 (.DS_Store, __MACOSX, cat/.ipynb" in printed
    assert ": each is hidden or belongs to the operating system" in printed


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_kind_of_picture_that_a_device_reads_is_read(two_classes: Path, suffix: str) -> None:
    kind = "JPEG" if suffix in (".jfif", ".jpe") else None
    for name in (f"x{suffix}", f"X{suffix.upper()}"):
        Image.new("RGB", (9, 9)).save(two_classes / "cat" / name, kind)
    assert len(load(two_classes).train_images) == 8


def test_broken_pictures_are_counted_and_the_first_are_named(
    two_classes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(file, "JPEG")
    for number in range(8):
        (two_classes / "cat" / f"half{number}.jpg").write_bytes(file.getvalue()[: 2000 + number])
    (two_classes / "cat" / "empty.jpg").touch()
    raw = load(two_classes)
    assert len(raw.train_images) == 6
    assert (
        "warning: 9 of 15 pictures could not be read: cat/empty.jpg, cat/half0.jpg, cat/half1.jpg "
        "and 6 more; the first is not a picture; expected PNG, JPEG" in capsys.readouterr().out
    )
    assert "truncated" in raw.left_out["cat/half0.jpg"]


def test_grey_levels_that_use_12_of_16_bits_are_reported(
    two_classes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    levels = np.linspace(0, 4095, 81).astype(np.uint16).reshape(9, 9)
    Image.fromarray(levels).save(two_classes / "cat" / "twelve.png")
    Image.fromarray(levels * 16).save(two_classes / "cat" / "sixteen.png")
    colours = levels[..., None].repeat(3, 2)
    (two_classes / "dog" / "twelve.png").write_bytes(deep_png(colours))
    (two_classes / "dog" / "sixteen.png").write_bytes(deep_png(colours * 16))
    load(two_classes)
    assert (
        "warning: nearly black, as 12 bits or fewer of 16 are used, 2 pictures: "
        "cat/twelve.png, dog/twelve.png; multiply the grey levels by 16" in capsys.readouterr().out
    )


def deep_png(colours: np.ndarray) -> bytes:
    """A PNG of (H, W, 3) uint16, which Pillow cannot write."""
    height, width, _ = colours.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in colours)
    return png_files.png((width, height), 16, 2, rows)


def test_a_picture_whose_white_is_unknown_is_left_out(
    two_classes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shares = np.linspace(0, 1, 81, dtype=np.float32).reshape(9, 9)
    Image.fromarray(shares).save(two_classes / "cat" / "shares.tif")
    load(two_classes)
    assert (
        "could not be read: cat/shares.tif; the first has floating-point pixels from 0 to 1; "
        "save it with 8 or 16 bits a channel" in capsys.readouterr().out
    )


def test_white_drawings_on_a_transparent_ground_are_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    darker = np.tile(np.linspace(90, 0, 9, dtype=np.uint8), (9, 1))  # but not of one colour
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.fromarray(darker).save(tmp_path / name / "darker.png")
    circle = Image.new("LA", (9, 9), (255, 0))
    circle.paste((255, 255), (3, 3, 6, 6))
    circle.save(tmp_path / "cat" / "white.png")
    load(tmp_path)
    assert (
        "warning: of one colour, as the model sees them, 1 picture: cat/white.png; if "
        in capsys.readouterr().out
    )


def test_a_photo_of_108_megapixels_is_read(two_classes: Path) -> None:
    Image.new("L", (12000, 9000), 77).save(two_classes / "cat" / "large.jpg")
    Image.new("1", (12000, 9000)).save(two_classes / "cat" / "large.png")
    raw = load(two_classes, height=8, width=8, channels=1)
    assert raw.unreadable == ["cat/large.png"]
    assert raw.left_out["cat/large.png"].startswith("has 12000 x 9000 pixels; expected at most")
    row = [picture.file for picture in rows(raw)].index("cat/large.jpg")
    assert (raw.train_images[row] == 77).all()


def test_pictures_of_a_kind_that_is_not_read_are_named_with_the_cure(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("IMG_1.HEIC", "b.avif"):
        (photos / "cat" / name).touch()
    raw = load(photos)
    cure = "which is not read; convert it to JPEG or PNG"
    assert raw.left_out["cat/IMG_1.HEIC"] == f"is .heic, {cure}"
    assert f"left out 1 (cat/b.avif): it is .avif, {cure}" in capsys.readouterr().out
