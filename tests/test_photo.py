"""Photos of any size and mode, and digits of another collection by other writers."""

from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from pipeline.bundle.description import describe
from pipeline.config import params
from pipeline.datasets import Raw
from pipeline.files.artifacts import Array, Description
from pipeline.files.pictures import picture_file
from pipeline.files.pictures.picture_file import Framing
from serving import Classifier, InputError, photo
from serving.framing import upright
from serving.model_card import ModelCard, Preprocessing, Tensor
from serving.photo import normalize
from tests.conftest import ROOT


def card(
    dataset: str, shape: tuple[int, int, int] = (28, 28, 1), framing: Framing = "resize"
) -> ModelCard:
    """A card without files, as the pipeline would write it for a dataset of that name and shape."""
    problem = params.load(ROOT / "params.yaml").problem
    description = Description(dataset, ["a", "b"], shape, {}, [], framing=framing)
    values = describe(problem, description, "")
    values["input"] = Tensor("image", "uint8", shape, (0, 255))
    values["preprocessing"] = Preprocessing(**values["preprocessing"])
    results = {
        "test_accuracy": 0.0,
        "test_accuracy_interval": (0.0, 0.0),
        "test_images": 1,
        "baseline_accuracy": 0.0,
        "files": [],
    }
    return ModelCard(**{**values, **results})


DIGITS = card("mnist")
NOISE = np.random.default_rng(0).integers(0, 256, (30, 30)).astype(np.uint8)


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def test_the_digits_of_mnist_stay_almost_the_same(raw_mnist: Raw) -> None:
    """To within a few of 256 levels: photos are prepared the way MNIST was made."""
    differences = [
        np.abs(normalize(image, 28, 20).astype(int) - image).mean()
        for image in raw_mnist.test_images[:500, :, :, 0]
    ]
    assert np.median(differences) < 1
    assert np.quantile(differences, 0.9) < 2


def test_the_place_size_and_paper_of_a_digit_change_little(raw_mnist: Raw) -> None:
    rng, differences = np.random.default_rng(0), []
    for digit in raw_mnist.test_images[:200, :, :, 0]:
        factor, top, left, paper = (
            int(rng.integers(*bounds)) for bounds in ((2, 7), (0, 61), (0, 61), (120, 256))
        )
        large = np.pad(
            digit.repeat(factor, 0).repeat(factor, 1), ((top, 60 - top), (left, 60 - left))
        )
        result = normalize(
            (paper - large.astype(int) * 100 // 255).astype(np.uint8), 28, 20
        ).astype(int)
        expected = normalize(digit, 28, 20)
        # A centre between two pixels may go to either.
        shifts = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
        differences.append(
            min(np.abs(np.roll(result, shift, (0, 1)) - expected).mean() for shift in shifts)
        )
    assert np.quantile(differences, 0.98) < 1


def test_ink_may_be_darker_or_lighter_than_its_paper(raw_mnist: Raw) -> None:
    for digit in raw_mnist.test_images[:50, :, :, 0]:
        np.testing.assert_array_equal(normalize(digit, 28, 20), normalize(255 - digit, 28, 20))


@pytest.mark.parametrize(
    "mode", ["1", "L", "P", "LA", "RGB", "RGBA", "I;16", "I", "CMYK", "YCbCr", "HSV", "LAB", "F"]
)
def test_every_mode_is_read(raw_mnist: Raw, mode: str) -> None:
    grey = Image.fromarray(255 - raw_mnist.test_images[0, :, :, 0]).resize((90, 120))
    deep = {"I;16": np.uint16, "I": np.int32}
    image = (
        Image.fromarray(np.asarray(grey).astype(deep[mode]) * 257)
        if mode in deep
        else grey.convert("RGB").convert(mode)
    )
    result = photo.to_input(image, DIGITS)
    assert (result.shape, result.dtype) == ((28, 28, 1), np.uint8)
    assert np.abs(result.astype(int) - photo.to_input(grey, DIGITS)).mean() < 8


@pytest.mark.parametrize(
    ("pixels", "sentence"),
    [
        (np.array([[0, 70_000]], np.int32), "grey levels from 0 to 70,000"),
        (np.array([[-1, 255]], np.int32), "grey levels from -1 to 255"),
        (np.array([[0, 255]], np.int32), "grey levels from 0 to 255"),
        (np.array([[0, 0.5]], np.float32), "floating-point pixels from 0 to 0.5"),
        (np.array([[0, 1.25]], np.float32), "floating-point pixels from 0 to 1.25"),
        (np.array([[0, 4000]], np.float32), "floating-point pixels from 0 to 4000"),
        (np.array([[0, np.nan]], np.float32), "floating-point pixels from nan to nan"),
    ],
)
def test_a_picture_whose_white_cannot_be_known_is_refused(
    pixels: np.ndarray, sentence: str
) -> None:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "TIFF")
    with pytest.raises(InputError) as caught:
        photo.read(file.getvalue(), DIGITS)
    assert str(caught.value) == (f"the picture has {sentence}; save it with 8 or 16 bits a channel")


@pytest.mark.parametrize("orientation", range(10))
def test_a_picture_is_turned_upright_by_its_exif_orientation_as_in_pillow(
    raw_mnist: Raw, orientation: int
) -> None:
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    Image.fromarray(raw_mnist.test_images[0, :, :, 0]).resize((30, 50)).save(file, "PNG", exif=exif)
    turned = ImageOps.exif_transpose(Image.open(file))
    np.testing.assert_array_equal(upright(Image.open(file), "L"), turned)
    np.testing.assert_array_equal(
        photo.read(file.getvalue(), DIGITS), photo.read(png(turned), DIGITS)
    )


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("size", "mode"), [((50, 40), "RGB"), ((20, 24), "L"), ((7, 9), "RGBA")])
def test_pictures_of_other_datasets_are_prepared_as_for_training(
    tmp_path: Path, size: tuple[int, int], mode: str, orientation: int, suffix: str
) -> None:
    channels = {"L": (), "RGB": (3,), "RGBA": (4,)}[mode]
    pixels = np.random.default_rng(0).integers(0, 256, (*size, *channels)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"picture.{suffix}"
    if (mode, suffix) == ("RGBA", "jpg"):
        mode = "RGB"  # a JPEG has no transparency
    Image.fromarray(pixels).convert(mode).save(path, exif=exif)
    training_image = picture_file.image(path.read_bytes(), (20, 24, 3))
    image = photo.read(path, card("image_folder", (20, 24, 3)))
    np.testing.assert_array_equal(image, training_image)


def test_own_photos_are_upright_in_training(tmp_path: Path) -> None:
    upright = Image.new("L", (40, 60), 255)
    upright.paste(0, (0, 0, 40, 30))
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.rotate(90, expand=True).save(tmp_path / "lying.jpg", exif=exif)
    image = picture_file.image((tmp_path / "lying.jpg").read_bytes(), (20, 20, 1))
    assert image[:8].mean() < 10
    assert image[-8:].mean() > 245


@pytest.mark.slow
def test_digits_of_another_collection_are_read(archive: Path) -> None:
    """The UCI digits (Alpaydin and Kaynak, 1998) as dark ink on paper: 8 x 8 pixels, 43 writers."""
    from sklearn.datasets import load_digits

    collection = load_digits()
    sheets = [
        240 - np.pad(digit.astype(np.uint8) * 12, 4).repeat(8, 0).repeat(8, 1)
        for digit in collection.images[:600]
    ]
    images = np.stack([photo.to_input(Image.fromarray(sheet), DIGITS) for sheet in sheets])
    right = Classifier.load(archive).predict(images).argmax(1) == collection.target[:600]
    assert right.mean() > 0.5  # the model was trained on 4,000 digits for two epochs


def bomb() -> bytes:
    """A few kilobytes that claim to be 169 megapixels."""
    return png(Image.new("1", (13000, 13000)))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is not a picture"),
        (b"some text", "is not a picture"),
        (png(Image.new("L", (40, 40), 200)), "nothing that stands out"),
        (png(Image.fromarray(NOISE))[:300], "damaged|not readable"),
        (bomb(), "expected at most 64,000,000"),
        (png(Image.new("1", (1, 70_000))), "expected at most 64,000,000, and 65,535 a side"),
    ],
)
def test_an_unreadable_picture_is_refused_in_one_sentence(data: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        photo.read(data, DIGITS)
    assert len(str(caught.value).splitlines()) == 1


def test_heic_is_named_with_the_way_to_convert_it(tmp_path: Path) -> None:
    (tmp_path / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64))
    with pytest.raises(InputError, match="HEIC is HEIC, which is not read here: convert it to JPE"):
        photo.read(tmp_path / "IMG_1.HEIC", DIGITS)


def test_a_tiff_whose_offsets_are_floats_is_refused_in_one_sentence() -> None:
    """Pillow computes with a tag of whatever type."""
    file = io.BytesIO()
    Image.new("L", (8, 8), 200).save(file, "TIFF")
    data = bytearray(file.getvalue())
    strip_offsets = b"\x11\x01\x04\x00"  # the tag, and its type LONG
    assert data.count(strip_offsets) == 1
    place = data.index(strip_offsets)
    data[place + 2 : place + 4] = b"\x0b\x00"  # FLOAT
    with pytest.raises(InputError, match="the picture is damaged"):
        photo.read(bytes(data), DIGITS)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "GIF", "BMP", "WEBP"])
def test_a_damaged_picture_is_read_or_refused(raw_mnist: Raw, kind: str) -> None:
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112], exif[0x010F] = 6, "a maker of cameras"
    metadata = {"exif": exif} if kind in ("JPEG", "PNG", "TIFF", "WEBP") else {}
    Image.fromarray(255 - raw_mnist.test_images[0, :, :, 0]).save(file, kind, **metadata)
    dice, refused = random.Random(0), 0
    for _ in range(2000):
        damaged = bytearray(file.getvalue())
        for _ in range(3):
            damaged[dice.randrange(250)] = dice.randrange(256)
        try:
            photo.read(bytes(damaged), DIGITS)
        except InputError:
            refused += 1
    assert refused > 100


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P"])
def test_transparency_is_laid_on_white_in_strips_as_in_one_piece(mode: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (600, 40, 4)).astype(np.uint8)
    image = Image.fromarray(pixels)
    if mode == "P":
        image = image.quantize(16)
        image.info["transparency"] = 3
    else:
        image = image.convert(mode)
    white = Image.new("RGBA", image.size, "white")
    whole = Image.alpha_composite(white, image.convert("RGBA"))
    np.testing.assert_array_equal(upright(image, "L"), whole.convert("L"))


@settings(max_examples=200)
@given(
    pixels=st.integers(1, 40).flatmap(lambda h: st.integers(1, 40).map(lambda w: (h, w))),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_picture_is_normalized_or_refused(pixels: tuple[int, int], seed: int) -> None:
    noise: Array = np.random.default_rng(seed).integers(0, 256, pixels).astype(np.uint8)
    try:
        result = normalize(noise, 28, 20)
    except InputError:
        return
    assert result.shape == (28, 28)
    assert result.max() == 255
