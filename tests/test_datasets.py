"""Your own data: pictures of any size and mode, and arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.config.params import Dataset
from pipeline.datasets import image_folder, npz
from pipeline.process.errors import UserError
from tests.test_fetch import claiming


def picture(path: Path, mode: str, size: tuple[int, int], colour: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)  # type: ignore[arg-type]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    picture(tmp_path / "cat" / "grey.png", "L", (30, 50), 100)
    picture(tmp_path / "cat" / "palette.png", "P", (8, 8), 0)
    picture(tmp_path / "cat" / "sixteen.png", "I;16", (9, 9), 25700)
    picture(tmp_path / "dog" / "colour.jpg", "RGB", (10, 10), (200, 200, 200))
    picture(tmp_path / "dog" / "clear.png", "RGBA", (10, 10), (0, 0, 0, 0))
    (tmp_path / "dog" / "broken.png").write_bytes(b"\x89PNG but not really")
    return tmp_path


def test_pictures_of_any_size_and_mode_become_one_shape(pictures: Path) -> None:
    raw = image_folder.load(
        Dataset(name="image_folder", path=str(pictures), height=12, width=16, channels=1)
    )
    assert raw.train_images.shape == (5, 12, 16, 1)
    assert raw.class_names == ["cat", "dog"]
    assert raw.unreadable == [f"{pictures.name}/dog/broken.png"]
    names = ["grey", "palette", "sixteen", "clear", "colour"]
    means = dict(zip(names, raw.train_images.mean((1, 2, 3)), strict=True))
    assert means["grey"] == 100
    assert means["sixteen"] == 100  # 25700 of 65535 is 100 of 255
    assert means["clear"] == 255  # transparent on white


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data", "ignore:Tag data larger")
@pytest.mark.parametrize(
    ("offset", "byte", "readable"), [(0, 0, False), (11, 0, True), (11, 26, True)]
)
def test_a_picture_with_damaged_exif_data_is_read_or_reported_as_unreadable(
    tmp_path: Path, offset: int, byte: int, readable: bool
) -> None:
    exif = Image.Exif()
    exif.update({0x0112: 6, 0x010F: "maker"})
    data = bytearray(exif.tobytes()[6:])  # the first six bytes are for JPEG
    data[offset] = byte
    for name in ("cat", "dog"):
        picture(tmp_path / name / "sound.png", "RGB", (9, 9), 0)
    Image.new("RGB", (9, 9)).save(tmp_path / "cat" / "damaged.png", exif=bytes(data))
    raw = image_folder.load(Dataset(name="image_folder", path=str(tmp_path)))
    assert raw.unreadable == ([] if readable else [f"{tmp_path.name}/cat/damaged.png"])
    assert len(raw.train_images) == 2 + readable


def test_three_channels_keep_the_colour(pictures: Path) -> None:
    raw = image_folder.load(
        Dataset(name="image_folder", path=str(pictures), height=4, width=4, channels=3)
    )
    assert raw.train_images.shape == (5, 4, 4, 3)


def test_train_and_test_folders_are_used_as_they_are(
    pictures: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("parts")
    (root / "train").symlink_to(pictures)
    picture(root / "test" / "dog" / "one.png", "L", (5, 5), 3)
    raw = image_folder.load(Dataset(name="image_folder", path=str(root)))
    assert raw.test_labels.tolist() == [1]


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    for name in ("bus", "car", "test", "train"):
        picture(tmp_path / name / "one.png", "L", (5, 5), 3)
    (tmp_path / ".ipynb_checkpoints").mkdir()
    raw = image_folder.load(Dataset(name="image_folder", path=str(tmp_path)))
    assert raw.class_names == ["bus", "car", "test", "train"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "is not a folder"),
        ("only", "1 class folders"),
        ("train", "train has 0 class folders"),
    ],
)
def test_a_folder_without_classes_is_refused(
    tmp_path: Path, content: str | None, reason: str
) -> None:
    if content:
        picture(tmp_path / "data" / content / "one.png", "L", (5, 5), 3)
    with pytest.raises(UserError, match=reason):
        image_folder.load(Dataset(name="image_folder", path=str(tmp_path / "data")))


def test_an_npz_of_your_own_needs_no_test_part(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "own.npz",
        x_train=np.zeros((4, 5, 6, 3), np.uint8),
        y_train=np.array([0, 1, 2, 1]),
    )
    raw = npz.load(Dataset(name="npz", path=str(tmp_path / "own.npz")))
    assert raw.class_names == ["0", "1", "2"]
    assert len(raw.test_labels) == 0


SOUND = {"x_train": np.zeros((2, 3, 3), np.uint8), "y_train": np.array([0, 1])}


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        (
            {"x_train": np.zeros((2, 3, 3, 1), np.float32), "y_train": np.zeros(2, int)},
            "x_train is float32",
        ),
        ({"x_train": np.zeros((2, 3, 3), np.uint8)}, "has no array y_train"),
        ({"x_train": np.zeros((2, 3, 3), np.uint8), "y_train": np.zeros(2)}, "y_train is float64"),
        ({"x_train": np.array([{}], object), "y_train": np.zeros(1, int)}, "holds Python objects"),
        (
            {**SOUND, "x_test": np.zeros((2, 4, 4), np.uint8), "y_test": np.zeros(2, int)},
            r"x_test is uint8 of shape \(2, 4, 4, 1\) and x_train",
        ),
        (
            {**SOUND, "x_test": np.zeros((2, 9), np.int32), "y_test": np.zeros(2, int)},
            "x_test is int32",
        ),
        (
            {**SOUND, "x_train": np.zeros((2, 3, 3, 2), np.uint8)},
            "x_train has 2 channels; expected 1 or 3",
        ),
        (
            {**SOUND, "class_names": np.array(["a", "b", "b", "c"])},
            "class_names has 'b' more than once",
        ),
        ({**SOUND, "y_train": np.array([0, 10**9])}, "labels up to 1000000000 and 2 examples"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], sentence: str
) -> None:
    np.savez(tmp_path / "own.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=sentence):
        npz.load(Dataset(name="npz", path=str(tmp_path / "own.npz")))


def test_an_npz_of_your_own_that_claims_more_than_the_memory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.npz").write_bytes(claiming((10**15,)))
    with pytest.raises(UserError, match="is not a readable npz file"):
        npz.load(Dataset(name="npz", path=str(tmp_path / "own.npz")))
