"""Your own data as arrays."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from pipeline.config.params import Dataset
from pipeline.datasets import npz
from pipeline.datasets.reading import image_arrays
from pipeline.process.errors import UserError
from tests.own_arrays import load
from tests.test_fetch import claiming
from tests.test_hostile_inputs import HEADERS, npy


def test_an_npz_of_your_own_needs_no_test_part(tmp_path: Path) -> None:
    images = np.zeros((4, 5, 6, 3), np.uint8)
    raw = load(tmp_path, x_train=images, y_train=np.array([0, 1, 2, 1]))
    assert raw.class_names == ["0", "1", "2"]
    assert len(raw.test_labels) == 0


GREY = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 1), np.uint8)
GREY[0, 0, 0], GREY[0, 0, 1] = 0, 255
COLOUR = np.concatenate([GREY, GREY[::-1], 255 - GREY], axis=3)
SOUND = {"x_train": np.zeros((2, 3, 3), np.uint8), "y_train": np.array([0, 1])}


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        (
            {"x_train": np.zeros((2, 3, 3, 1), np.float32), "y_train": np.zeros(2, int)},
            "x_train is float32",
        ),
        ({"x_train": np.zeros((2, 3, 3), np.uint8)}, "has no array y_train"),
        ({"x_train": np.zeros((2, 3, 3), np.uint8), "y_train": np.full((2, 2), 0.5)}, "is float64"),
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
        ({**SOUND, "x_test": SOUND["x_train"]}, "has no array y_test; expected .* both x_test and"),
        ({**SOUND, "y_test": SOUND["y_train"]}, "has no array x_test"),
        ({**SOUND, "x_train": np.array([[1], [2**31]])}, r"x_train is int64 of shape \(2, 1\)"),
        ({**SOUND, "x_train": np.full((2, 3, 3), 256)}, r"x_train is int64 of shape \(2, 3, 3\)"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        load(tmp_path, **arrays)


@pytest.mark.parametrize(
    ("array", "cure"),
    [
        (GREY / np.float32(255), "np.rint(255 * x_train).astype(np.uint8)"),
        (GREY.astype(np.float64), "np.rint(x_train).astype(np.uint8)"),
        (GREY / 127.5 - 1, "np.rint(127.5 * (x_train + 1)).astype(np.uint8)"),
        (COLOUR.transpose(0, 3, 1, 2), "x_train.transpose(0, 2, 3, 1)"),
        (
            (COLOUR / 255).transpose(0, 3, 1, 2),
            "np.rint(255 * x_train.transpose(0, 2, 3, 1)).astype(np.uint8)",
        ),
        (np.concatenate([COLOUR, GREY], 3), "x_train[..., :3]"),
        (GREY[..., 0] / 255, "np.rint(255 * x_train).astype(np.uint8)"),
        (GREY.reshape(6, 64) / 255, "np.rint(255 * x_train.reshape(-1, 8, 8)).astype(np.uint8)"),
        (GREY[..., 0].astype(np.uint16) * 257, "(x_train >> 8).astype(np.uint8)"),
        (GREY[..., 0].astype(np.int64) * 16 + 15, "(x_train >> 4).astype(np.uint8)"),
        (GREY > 127, "255 * x_train.astype(np.uint8)"),
    ],
)
def test_images_in_another_form_become_pixels_by_what_the_sentence_says(
    array: np.ndarray, cure: str
) -> None:
    assert image_arrays.cure("x_train", array) == f"; if it holds images, store {cure}"
    pixels = eval(cure, {"np": np, "x_train": array})  # as a user would paste it
    expected = GREY if pixels.shape[-1] != 3 else COLOUR
    expected = np.where(expected > 127, 255, 0) if array.dtype == bool else expected
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels.reshape(expected.shape), expected)


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"x_train": (COLOUR / 255).astype(np.float32)}, r"series .*; if it .*store np.rint\(255 "),
        ({"x_train": COLOUR.transpose(0, 3, 1, 2)}, r"has 8 channels; .*transpose\(0, 2, 3, 1\)"),
        ({"x_train": GREY * 1.5e3 - 9}, "as uint8, with the pixels from 0 to 255 that they were"),
        ({"images": GREY}, "no array x_train, but 'images'; expected x_train and"),
    ],
)
def test_a_refused_array_of_images_has_its_cure(
    tmp_path: Path, arrays: dict[str, np.ndarray], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        load(tmp_path, **arrays, y_train=np.arange(6) % 2)


def test_one_hot_rows_may_be_floats(tmp_path: Path) -> None:
    """Keras's to_categorical gives such."""
    rows = np.eye(3, dtype=np.float32)[[2, 0, 1, 2, 0, 1]]
    raw = load(tmp_path, x_train=GREY, y_train=rows)
    assert (raw.target, raw.train_labels.tolist()) == ("classes", [2, 0, 1, 2, 0, 1])


def test_a_single_array_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "own.npy", SOUND["x_train"])
    with pytest.raises(UserError, match="holds a single array; expected an npz file with x_train"):
        npz.load(Dataset(name="npz", path=str(tmp_path / "own.npy")))


@pytest.mark.parametrize("type_name", [">i4", "<i4", "int64", "uint16", "uint8"])
def test_integers_of_any_type_are_ids_or_pixels_if_the_values_fit(
    tmp_path: Path, type_name: str
) -> None:
    for shape, expected in (((2, 5), "int32"), ((2, 3, 3), "uint8")):
        array = np.arange(np.prod(shape)).reshape(shape).astype(type_name)
        raw = load(tmp_path, x_train=array, y_train=np.arange(2, dtype=">i8"))
        assert raw.train_images.dtype == expected
        np.testing.assert_array_equal(raw.train_images.reshape(shape), array)
        assert raw.train_labels.tolist() == [0, 1]


def test_names_that_are_bytes_are_text(tmp_path: Path) -> None:
    names = np.array(["Käse".encode(), b"cat"])
    raw = load(tmp_path, **SOUND, class_names=names, person_train=names)
    assert raw.class_names == ["Käse", "cat"]
    assert raw.train_columns == {"person": ["Käse", "cat"]}


@pytest.mark.parametrize("names", [None, ["cat", "ant", "bee"]])
def test_labels_that_are_texts_name_classes(tmp_path: Path, names: list[str] | None) -> None:
    arrays = {
        "x_train": np.zeros((3, 4, 4), np.uint8),
        "y_train": np.array(["cat", "bee", "cat"]),
        "x_test": np.zeros((1, 4, 4), np.uint8),
        "y_test": np.array([b"bee"]),
        **({} if names is None else {"class_names": np.array(names)}),
    }
    raw = load(tmp_path, **arrays)
    assert raw.class_names == (names or ["bee", "cat"])
    assert [raw.class_names[label] for label in raw.train_labels] == ["cat", "bee", "cat"]
    assert [raw.class_names[label] for label in raw.test_labels] == ["bee"]
    with pytest.raises(UserError, match="the label 'bee', which is not in class_names; add it, or"):
        load(tmp_path, **{**arrays, "class_names": np.array(["cat"])})


def test_an_npz_of_your_own_that_claims_more_than_the_memory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.npz").write_bytes(claiming((10**15,)))
    with pytest.raises(UserError, match="is not a readable npz file"):
        npz.load(Dataset(name="npz", path=str(tmp_path / "own.npz")))


@pytest.mark.parametrize("header", HEADERS)
def test_an_npz_with_a_damaged_array_is_refused_in_a_sentence(tmp_path: Path, header: str) -> None:
    with pytest.raises(UserError, match=r"is not a readable npz file of arrays \(.*[^(]\)$"):
        load_member(tmp_path, "x_train.npy", npy(HEADERS[header]))


@pytest.mark.parametrize(("name", "data"), [("README.txt", b"some text"), ("x_train.npy", b"")])
def test_an_npz_with_other_files_than_arrays_is_refused(
    tmp_path: Path, name: str, data: bytes
) -> None:
    with pytest.raises(UserError, match=f"holds {name.removesuffix('.npy')}, which is not an arra"):
        load_member(tmp_path, name, data)


def load_member(folder: Path, name: str, data: bytes) -> None:
    with zipfile.ZipFile(folder / "own.npz", "w") as file:
        file.writestr(name, data)
    npz.load(Dataset(name="npz", path=str(folder / "own.npz")))
