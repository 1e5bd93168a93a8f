"""The page of a model unlike MNIST's: colour, wider than high, more classes than bars."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect

from pipeline.files.artifacts import Array, Description
from pipeline.runtimes import environments
from serving.bundle import Bundle
from tests.embedded import linear_bundle
from tests.embedded.conftest import MICRO, Tab
from tests.embedded.linear_bundle import Linear
from tests.server import Server, png

SHAPE = (20, 36, 3)
NAMES = [
    *(f"pattern {number}" for number in range(1, 12)),
    "Käsekästchen",
    "a pattern whose name is rather long",
]
SPREAD = 1.5e6  # scales squared distances, so that no probability is 0 or 1
PARAMS = {
    "problem.name": "patterns",
    "problem.statement": "Which pattern of coloured squares is it?",
    "problem.use": "Trying the page.",
    "problem.limits": ["It knows no other pattern."],
    "export.max_accuracy_drop": 0.1,
    "verify.runtimes": ["litert", "tflite_micro"],
    "embed.targets": ["browser"],
}


def patterns() -> tuple[Array, Array, Array]:
    """A pattern for each class (K, H, W, C), noisy images (N, H, W, C) uint8, labels (N,)."""
    dice = np.random.default_rng(0)
    squares = dice.integers(0, 256, (len(NAMES), 5, 9, 3)).repeat(4, 1).repeat(4, 2)
    labels = np.arange(260) % len(NAMES)
    noisy = squares[labels] + dice.normal(0, 40, (len(labels), *SHAPE))
    return squares, np.clip(noisy, 0, 255).astype(np.uint8), labels


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a network that finds the nearest pattern, where x.t - t.t / 2 is largest."""
    squares, images, labels = patterns()
    halves = -(squares.astype(float) ** 2).sum((1, 2, 3)) / 2
    nearest = Linear(squares / SPREAD, halves / SPREAD, zero_point=-128)
    folder = tmp_path_factory.mktemp("patterns")
    data = Description("npz", NAMES, SHAPE, {}, [])
    return linear_bundle.make(folder, nearest, data, (images, labels), PARAMS)


def bars(page: Any) -> dict[str, float]:
    """The classes with a bar, from top to bottom, and their probabilities in percent."""
    rows = page.evaluate(
        """[...document.querySelectorAll("#probabilities tr")]
            .map(row => [row.cells[0].textContent, row.cells[2].textContent])"""
    )
    return {name: float(share.removesuffix(" %")) for name, share in rows}


def test_the_page_of_a_wide_colour_model_with_13_classes_gives_the_verified_probabilities(
    bundle: Path, tab: Tab
) -> None:
    with np.load(io.BytesIO(Bundle(bundle).read("golden.npz"))) as golden:
        tested = golden["labels"] >= 0  # synthetic inputs are not shown as examples
        images, verified = golden["images"][tested], golden["tflite_int8"][tested]
    answers = json.loads(Bundle(bundle).read("embedded/browser/golden.json"))
    expected = np.array(answers["probabilities"])[tested]
    assert np.abs(expected - verified).max() <= 2 / 256
    python = environments.python("tflite_micro")
    with Server(bundle, *MICRO, python=python) as server:
        page = tab.open(f"http://{server.url}/")
        assert page.locator("#examples button").count() == len(images) >= 16
        assert page.is_visible("#pen-colour-label")
        assert page.text_content("#shape") == " \N{MULTIPLICATION SIGN} ".join(map(str, SHAPE))
        assert page.evaluate("[drawing.width / drawing.height, seen.width, seen.height]") == [
            pytest.approx(36 / 20, abs=0.01),
            36,
            20,
        ]
        for index, probabilities in enumerate(expected):
            page.locator("#examples button").nth(index).click()
            shown = bars(page)
            assert len(shown) == 12
            assert next(iter(shown)) == NAMES[probabilities.argmax()]
            assert sorted(shown.values(), reverse=True) == list(shown.values())
            assert shown == {
                name: pytest.approx(100 * probabilities[NAMES.index(name)], abs=0.006)
                for name in shown
            }
            pixels = page.evaluate("[...seen.getContext('2d').getImageData(0, 0, 36, 20).data]")
            np.testing.assert_array_equal(np.reshape(pixels, (20, 36, 4))[..., :3], images[index])
        photo = png(images[0].repeat(9, 0).repeat(9, 1))
        page.set_input_files(
            "#picture", {"name": "photo.png", "mimeType": "image/png", "buffer": photo}
        )
        expect(page.locator("#latency")).to_contain_text("to prepare the image")
        answer = server.ask("POST", "/predict", photo).json
        assert next(iter(bars(page))) == answer["class"] == NAMES[expected[0].argmax()]
        assert bars(page)[answer["class"]] == pytest.approx(
            100 * answer["probabilities"][answer["class"]], abs=0.006
        )
        page.fill("#pen-colour", "#ff8000")
        sheet = page.locator("#drawing").bounding_box()
        page.locator("#drawing").click(position={"x": sheet["width"] / 4, "y": sheet["height"] / 2})
        expect(page.locator("#announcement")).to_be_empty()
        expect(page.locator("#announcement")).not_to_be_empty()
        assert page.evaluate(
            "[...seen.getContext('2d').getImageData(9, 10, 1, 1).data]"
        ) == pytest.approx([255, 128, 0, 255], abs=20)
    assert not tab.faults
