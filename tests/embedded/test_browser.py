"""The page in real Chromium: pictures, and the answers to them."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from pipeline.files.artifacts import Array
from serving import InputError, photo
from serving.model_card import FILE as CARD
from serving.model_card import ModelCard
from tests.embedded.conftest import Tab, predict
from tests.embedded.drawing import announced, silence
from tests.server import Server, png
from tests.test_browser import sheets
from tests.test_photo import card


def prepare(page: Any, picture: bytes, model: ModelCard, kind: str = "image/png") -> Array | str:
    """What the page makes of a picture for that card: (H, W, C) uint8, or its error message."""
    answer = page.evaluate(
        """async ([picture, card, kind]) => {
            const { read } = await import("./photo.js");
            const bytes = Uint8Array.from(atob(picture), letter => letter.charCodeAt(0));
            try {
                return [...await read(new Blob([bytes], { type: kind }), card)];
            } catch (error) {
                return error.message;
            }
        }""",
        [base64.b64encode(picture).decode(), json.loads(model.dump()), kind],
    )
    if isinstance(answer, str):
        return answer
    return np.array(answer, np.uint8).reshape(model.input_shape)


def in_python(picture: bytes, model: ModelCard) -> Array | str:
    try:
        pixels: Array = photo.read(picture, model)
    except InputError as error:
        return str(error).replace("the picture", "the photo")
    return pixels


def test_200_test_images_give_the_probabilities_of_micro_to_the_last_bit(
    page: Any, images: Array, tmp_path: Path
) -> None:
    images = images[:200]
    expected, _ = predict("tflite_int8", "tflite_micro", images, tmp_path)
    answers = page.evaluate(
        """async images => {
            const { Classifier } = await import("./classifier.js");
            const classifier = await Classifier.load();
            return images.map(image => [...classifier.predict(Uint8Array.from(image))]);
        }""",
        images.reshape(200, -1).tolist(),
    )
    np.testing.assert_array_equal(np.array(answers, np.float32), expected)


def test_golden_photos_are_prepared_to_the_pixel(page: Any, bundle: Path) -> None:
    model = ModelCard.parse((bundle / CARD).read_bytes())
    names = [
        path.name.removesuffix(".expected.png")
        for path in (bundle / "photos").glob("*.expected.png")
    ]
    assert len(names) == 5
    for name in names:
        expected = np.asarray(Image.open(bundle / f"photos/{name}.expected.png"))
        prepared = prepare(page, (bundle / f"photos/{name}.png").read_bytes(), model)
        np.testing.assert_array_equal(np.squeeze(prepared), expected, name)


@pytest.mark.parametrize(
    "model",
    [
        card("mnist"),
        card("fashion_mnist"),
        card("npz", (20, 36, 3)),
        card("image_folder", (20, 36, 3), "letterbox"),
        card("image_folder", (33, 24, 1), "centre_crop"),
        card("image_folder", (20, 36, 3), [0.1, 0.25, 0.85, 1.0]),
    ],
    ids=["mnist", "grey", "colour", "letterbox", "centre_crop", "region"],
)
def test_any_picture_is_prepared_as_in_python_or_refused_with_the_same_message(
    page: Any, model: ModelCard
) -> None:
    refused = 0
    pictures = [png(sheet) for channels in (1, 3, 4) for sheet in sheets(7, channels)]
    for number, picture in enumerate(pictures):
        expected, answer = in_python(picture, model), prepare(page, picture, model)
        if isinstance(expected, str) or isinstance(answer, str):
            assert expected == answer, number
            refused += 1
        else:
            np.testing.assert_array_equal(answer, expected, str(number))
    assert refused < 10


def test_a_jpeg_is_prepared_almost_as_in_python(page: Any, images: Array) -> None:
    digit = images[0, ..., 0]
    file = io.BytesIO()
    Image.fromarray(240 - np.pad(digit, 9).repeat(9, 0).repeat(9, 1) // 2).convert("RGB").save(
        file, "JPEG", quality=80
    )
    answer, expected = (
        prepare(page, file.getvalue(), card("mnist"), "image/jpeg"),
        photo.read(file.getvalue(), card("mnist")),
    )
    assert not isinstance(answer, str)
    assert np.abs(answer.astype(int) - expected).max() <= 2


DROP_AND = """async ([pictures, selector]) => {
    const bitmaps = [], original = window.createImageBitmap;
    window.createImageBitmap = (...options) => (bitmaps.push(original(...options)), bitmaps.at(-1));
    for (const picture of pictures) {
        const data = new DataTransfer();
        const bytes = Uint8Array.from(atob(picture), letter => letter.charCodeAt(0));
        data.items.add(new File([bytes], "photo.png", { type: "image/png" }));
        document.dispatchEvent(new DragEvent("drop", { dataTransfer: data }));
    }
    if (selector) document.querySelector(selector).click();
    for (let count = 0; count < bitmaps.length; count++) {
        await bitmaps[count].catch(() => null);
        await new Promise(resolve => setTimeout(resolve));
    }
    await new Promise(resolve => requestAnimationFrame(() => setTimeout(resolve)));
    window.createImageBitmap = original;
    return document.getElementById("answer").firstChild.textContent;
}"""


def test_a_slow_photo_does_not_replace_the_answer_to_what_came_after_it(
    page: Any, tab: Tab, server: Server, images: Array
) -> None:
    small = png(255 - images[0, ..., 0])
    large = png(255 - images[1, ..., 0].repeat(80, 0).repeat(80, 1))
    first, second = (
        server.ask("POST", "/predict", picture).json["class"] for picture in (large, small)
    )
    assert first != second
    sent = [base64.b64encode(picture).decode() for picture in (large, small)]
    assert page.evaluate(DROP_AND, [sent, None]) == second
    assert page.evaluate(DROP_AND, [sent[:1], "#clear"]) == "Nothing drawn yet"
    example = page.locator("#examples button").first
    label = str(example.get_attribute("aria-label")).rpartition(" ")[2]
    assert label != first
    assert page.evaluate(DROP_AND, [sent[:1], "#examples button"]) == label
    assert not tab.faults


def test_a_picture_may_be_chosen_dropped_or_pasted(
    page: Any, tab: Tab, server: Server, images: Array
) -> None:
    deliver = """([name, picture]) => {
        const bytes = Uint8Array.from(atob(picture), letter => letter.charCodeAt(0));
        const data = new DataTransfer();
        data.items.add(new File([bytes], "photo.png", { type: "image/png" }));
        const event = name === "paste"
            ? new ClipboardEvent(name, { clipboardData: data })
            : new DragEvent(name, { dataTransfer: data });
        document.dispatchEvent(event);
    }"""
    for image, way in zip(images[:3, ..., 0], ("choose", "drop", "paste"), strict=True):
        picture = png(255 - image)
        silence(page)
        if way == "choose":
            page.set_input_files(
                "#picture", {"name": "photo.png", "mimeType": "image/png", "buffer": picture}
            )
        else:
            page.evaluate(deliver, [way, base64.b64encode(picture).decode()])
        expected = server.ask("POST", "/predict", picture).json
        assert announced(page) == expected["class"]
        share = page.text_content("#probabilities .likeliest td:last-child")
        assert share == f"{100 * expected['probabilities'][expected['class']]:.2f} %"
    assert not tab.faults


def test_a_file_that_is_not_a_picture_or_shows_nothing_gets_one_message(
    page: Any, tab: Tab
) -> None:
    for name, content, message in (
        (
            "notes.png",
            b"not at all",
            "notes.png is not a picture that this browser can read; choose a PNG or JPEG",
        ),
        (
            "blank.png",
            png(np.full((40, 40), 200, np.uint8)),
            "nothing that stands out from its background",
        ),
    ):
        page.set_input_files("#picture", {"name": name, "mimeType": "image/png", "buffer": content})
        expect(page.locator("#problem")).to_contain_text(message)
        assert page.text_content("#answer") == "No answer"
    assert not tab.faults
