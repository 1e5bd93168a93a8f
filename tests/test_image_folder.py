"""Folders of pictures as people have them."""

from __future__ import annotations

import io
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import check
from pipeline.config import mnist_problem, params
from pipeline.config.params import Dataset
from pipeline.datasets import Raw, _photos, _tree, image_folder
from pipeline.datasets._photos import Candidate, Listed
from pipeline.files import picture_table, pictures
from pipeline.files.picture_table import Picture, Table
from pipeline.process.errors import UserError
from serving import photo
from tests.conftest import OWN_PROBLEM, ROOT


def picture(
    path: Path, mode: str = "RGB", size: tuple[int, int] = (9, 9), colour: object = 0
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)  # type: ignore[arg-type]


def dataset(path: Path, **values: object) -> Dataset:
    return Dataset.model_validate({"name": "image_folder", "path": str(path), **values})


def load(path: Path, **values: object) -> Raw:
    return image_folder.load(dataset(path, **values))


def rows(raw: Raw) -> list[Picture]:
    photos = pictures.on_disk(raw.train_images)
    assert photos
    return list(photos.rows)


def files(raw: Raw) -> list[str]:
    return sorted(row.file for row in rows(raw))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    picture(root / "cat" / "grey.png", "L", (30, 50), 100)
    picture(root / "cat" / "palette.png", "P", (8, 8), 0)
    picture(root / "cat" / "sixteen.png", "I;16", (9, 9), 25700)
    picture(root / "dog" / "colour.jpg", "RGB", (10, 10), (200, 200, 200))
    picture(root / "dog" / "clear.png", "RGBA", (10, 10), (0, 0, 0, 0))
    (root / "dog" / "broken.png").write_bytes(b"\x89PNG but not really")
    return root


@pytest.fixture
def two_classes(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    for name in ("cat", "dog"):
        for number in range(3):
            picture(root / name / f"{number}.png", colour=(number, 0, len(name)))
    return root


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
    raw = _photos.dataset(dataset(two_classes), Listed(candidates, ["cat", "dog"], {}))
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


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("train", "val", "test"),
        ("Training", "valid", "Testing"),
        ("training_set", "Validation", "test_set"),
        ("TRAIN", "validation-set", "TEST"),
    ],
)
def test_the_parts_of_the_data_are_known_in_their_usual_spellings(
    tmp_path: Path, train: str, validation: str, test: str
) -> None:
    for part, count in ((train, 4), (validation, 2), (test, 1)):
        for name in ("cat", "dog"):
            for number in range(count):
                picture(tmp_path / part / name / f"{number}.png")
    raw = load(tmp_path)
    assert raw.class_names == ["cat", "dog"]
    assert raw.train_labels.tolist() == [0, 1] * 6
    assert raw.test_labels.tolist() == [0, 1]
    assert raw.validation is not None
    assert {rows(raw)[row].file.split("/")[0] for row in raw.validation} == {validation}
    assert len(raw.validation) == 4


def test_two_spellings_of_one_part_are_refused(tmp_path: Path) -> None:
    for part in ("train", "Training"):
        picture(tmp_path / part / "cat" / "1.png")
    with pytest.raises(UserError, match="Training/ and train/ are both the train part"):
        load(tmp_path)


def test_a_part_without_classes_is_left_out(two_classes: Path, tmp_path: Path) -> None:
    """As in competitions, whose test pictures have no labels."""
    shutil.copytree(two_classes, tmp_path / "parts" / "train")
    picture(tmp_path / "parts" / "test" / "1.png")
    raw = load(tmp_path / "parts")
    assert len(raw.test_labels) == 0
    assert raw.left_out == {"test/1.png": "lies in no folder of a class"}


def test_a_class_of_the_test_part_that_training_lacks_is_refused(
    two_classes: Path, tmp_path: Path
) -> None:
    shutil.copytree(two_classes, tmp_path / "parts" / "train")
    picture(tmp_path / "parts" / "test" / "cow" / "1.png")
    with pytest.raises(UserError, match=r"test/cow is not a class .* expected cat, dog"):
        load(tmp_path / "parts")


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    for name in ("bus", "car", "test", "train"):
        picture(tmp_path / name / "one.png")
    (tmp_path / ".ipynb_checkpoints").mkdir()
    assert load(tmp_path).class_names == ["bus", "car", "test", "train"]


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


@pytest.mark.parametrize("suffix", photo.SUFFIXES)
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
    load(two_classes)
    assert (
        "warning: nearly black, as 12 bits or fewer of 16 are used, 1 picture: "
        "cat/twelve.png; multiply the grey levels by 16" in capsys.readouterr().out
    )


def test_a_photo_of_108_megapixels_is_read(two_classes: Path) -> None:
    Image.new("L", (12000, 9000), 77).save(two_classes / "cat" / "large.jpg")
    Image.new("1", (12000, 9000)).save(two_classes / "cat" / "large.png")
    raw = load(two_classes, height=8, width=8, channels=1)
    assert raw.unreadable == ["cat/large.png"]
    assert raw.left_out["cat/large.png"].startswith("has 12000 x 9000 pixels; expected at most")
    row = [picture.file for picture in rows(raw)].index("cat/large.jpg")
    assert (raw.train_images[row] == 77).all()


def test_links_are_followed_once_and_loops_are_refused(two_classes: Path, tmp_path: Path) -> None:
    picture(tmp_path / "elsewhere" / "kittens" / "k.png")
    (two_classes / "cat" / "more").symlink_to(tmp_path / "elsewhere")
    (two_classes / "cat" / "round").symlink_to(two_classes / "cat")
    (two_classes / "dog" / "up").symlink_to(two_classes)
    (two_classes / "dog" / "again").symlink_to(tmp_path / "elsewhere" / "kittens")
    (two_classes / "dog" / "self.png").symlink_to(two_classes / "dog" / "self.png")
    (two_classes / "dog" / "gone.png").symlink_to(tmp_path / "gone.png")
    os.mkfifo(two_classes / "dog" / "pipe.png")
    raw = load(two_classes)
    assert len(raw.train_images) == 7
    assert "cat/more/kittens/k.png" in files(raw)
    twice = "leads to a folder that has been read already"
    assert raw.left_out == {
        "cat/round/": twice,
        "dog/up/": twice,
        "dog/again/": twice,
        "dog/self.png": "is not a file",
        "dog/gone.png": "is not a file",
        "dog/pipe.png": "is not a file",
    }


def test_class_names_are_compared_in_one_unicode_form(tmp_path: Path) -> None:
    for part, name in (("train", "K\u00e4se"), ("test", "Ka\u0308se")):
        picture(tmp_path / part / name / "1.png")
        picture(tmp_path / part / "Wurst" / "1.png")
    raw = load(tmp_path)
    assert raw.class_names == ["K\u00e4se", "Wurst"]
    assert raw.test_labels.tolist() == [0, 1]


def test_a_name_that_is_not_utf_8_is_named(two_classes: Path) -> None:
    name = os.fsencode(two_classes / "cat") + b"/caf\xe9.png"
    os.close(os.open(name, os.O_CREAT))
    with pytest.raises(UserError, match=r"cat/caf\\xe9\.png is not UTF-8, so DVC cannot track it"):
        load(two_classes)


def test_check_names_a_file_whose_name_is_not_utf_8(
    two_classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DVC would only say `surrogates not allowed`."""
    os.close(os.open(os.fsencode(two_classes / "dog") + b"/caf\xe9.png", os.O_CREAT))
    values = {"dataset.name": "image_folder", "dataset.path": "photos", **OWN_PROBLEM}
    settings = params.override(params.load(ROOT / "params.yaml"), values)
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(settings.model_dump_json())
    Path("pipeline").mkdir()
    Path("pipeline/none").touch()
    with pytest.raises(UserError, match=r"photos/dog/caf\\xe9\.png, whose name is not UTF-8"):
        check.main()


@pytest.fixture
def checked(
    two_classes: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Runs `check` on the two classes with other values; returns what it printed."""

    def run(**values: object) -> str:
        own = {"dataset.name": "image_folder", "dataset.path": str(two_classes)}
        settings = params.override(params.load(ROOT / "params.yaml"), {**own, **values})
        monkeypatch.chdir(two_classes.parent)
        Path("pipeline").mkdir(exist_ok=True)
        Path("pipeline/none").touch()
        Path("params.yaml").write_text(settings.model_dump_json())
        check.main()
        return capsys.readouterr().out

    return run


def test_check_refuses_texts_of_mnist_for_data_of_ones_own(checked: Callable[..., str]) -> None:
    shipped = params.load(ROOT / "params.yaml").problem
    every = "problem.statement, problem.use, problem.limits"
    assert ", ".join(mnist_problem.keys(shipped)) == every
    with pytest.raises(UserError, match=f"{every} still describe .*edgeproof start"):
        checked()
    statement = {"problem.statement": OWN_PROBLEM["problem.statement"]}
    with pytest.raises(UserError, match=r"^problem.use, problem.limits still describe"):
        checked(**statement)
    with pytest.raises(UserError, match=f"{every} still describe .*edgeproof start"):
        checked(**{"dataset.name": "series_folder"})
    assert checked(**OWN_PROBLEM) == ""


def test_check_warns_of_them_for_an_experiment_with_data_of_the_project(
    checked: Callable[..., str],
) -> None:
    assert "warning: problem.statement" in checked(**{"dataset.name": "fashion_mnist"})
    assert checked(**{"dataset.name": "mnist"}) == ""


@pytest.mark.parametrize("name", ["new\nline.png", "a,b\"c'.png", "%s{}.png", " .png", "🐈.png"])
def test_files_with_odd_names_are_read(two_classes: Path, name: str, tmp_path: Path) -> None:
    picture(two_classes / "cat" / name)
    raw = load(two_classes)
    assert f"cat/{name}" in files(raw)
    picture_table.save(tmp_path / "table.csv", Table.of(rows(raw), len(rows(raw))))
    assert list(picture_table.load(tmp_path / "table.csv")) == rows(raw)


def zipped(root: Path, top: str = "") -> Path:
    path = root.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*")):
            archive.write(file, top + file.relative_to(root).as_posix())
    return path


@pytest.mark.parametrize("top", ["", "photos/", "a/b/"])
def test_a_zip_file_is_read_in_place_like_the_folder(two_classes: Path, top: str) -> None:
    folder, archive = load(two_classes), load(zipped(two_classes, top))
    np.testing.assert_array_equal(folder.train_images[:], archive.train_images[:])
    np.testing.assert_array_equal(folder.train_labels, archive.train_labels)
    assert files(archive) == [top + name for name in files(folder)]


def test_a_hostile_zip_file_harms_nothing(two_classes: Path) -> None:
    path = zipped(two_classes)
    sound = (two_classes / "cat" / "0.png").read_bytes()
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        for name in ("../cat/out.png", "/cat/root.png", "cat/../../up.png", "__MACOSX/cat/._0.png"):
            archive.writestr(name, sound)
        link = zipfile.ZipInfo("cat/link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("cat/large.png", bytes(pictures.LARGEST_BYTES + 1))
    raw = load(path)
    assert len(raw.train_images) == 6
    assert len(raw.left_out) == 6
    assert raw.left_out["cat/large.png"] == "has 268,435,457 bytes; expected at most 268,435,456"
    assert raw.left_out["cat/link.png"] == "is a link"


def test_a_zip_bomb_is_refused(two_classes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_tree, "SMALL_BYTES", 10**6)
    path = zipped(two_classes)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cat/bomb.png", bytes(10**7))
    with pytest.raises(UserError, match="more than 100 times its own; expected pictures"):
        load(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "does not exist"),
        ("data", "neither a folder nor a readable zip file"),
        ("data/only/one.png", "1 class folders"),
        ("data/train/one.png", "train has 0 class folders"),
        ("data/val/cat/one.png", "has val/, but no folder train/; expected one"),
    ],
)
def test_what_holds_no_classes_is_refused(tmp_path: Path, content: str | None, reason: str) -> None:
    if content == "data":
        (tmp_path / "data").write_text("no zip file")
    elif content:
        picture(tmp_path / content)
    with pytest.raises(UserError, match=reason):
        load(tmp_path / "data")


def test_a_class_without_a_readable_picture_is_refused(two_classes: Path) -> None:
    (two_classes / "empty").mkdir()
    with pytest.raises(UserError, match="class empty holds no readable picture"):
        load(two_classes)


def test_the_first_rows_hold_all_classes_in_proportion(tmp_path: Path) -> None:
    """So that `preprocess.subset` is a fair sample of folders, which are read one after another."""
    for name, count in (("a", 30), ("b", 20), ("c", 10)):
        for number in range(count):
            picture(tmp_path / name / f"{number:02}.png")
    labels = load(tmp_path).train_labels
    assert np.bincount(labels[:30]).tolist() == [15, 10, 5]
