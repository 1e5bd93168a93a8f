"""The page of a model unlike MNIST's: colour, wider than high, more classes than bars."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from playwright.sync_api import expect

from pipeline import embed, package, verify
from pipeline.bundle import archive, card, card_markdown, drift_reference
from pipeline.config import params
from pipeline.embedded import browser
from pipeline.files import artifacts, digests, predictions
from pipeline.files.artifacts import Array, Description
from pipeline.files.reports.embed import EmbedReport
from pipeline.files.reports.export import ExportedFile, ExportReport
from pipeline.files.reports.verify import VerificationReport
from pipeline.reporting import statistics
from pipeline.runtimes import environments
from pipeline.targets import classes
from serving.bundle import Bundle
from tests import reports
from tests.conftest import ROOT, Project
from tests.embedded.conftest import MICRO, Tab, png
from tests.integer_c.tflite_builder import Builder
from tests.server import Server

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


def network(squares: Array) -> bytes:
    """Finds the nearest pattern by Euclidean distance, where x.t - t.t / 2 is largest.

    It is one convolution as large as the image.
    """
    builder = Builder()
    image = builder.tensor((1, *SHAPE), "uint8", [1.0])
    pixels = builder.tensor((1, *SHAPE), "int8", [1.0], -128)
    builder.operator("QUANTIZE", [image], pixels)
    scale = 255 / 127 / SPREAD
    weights = builder.constant(np.rint(squares / SPREAD / scale).astype(np.int8), [scale])
    halves = -(squares.astype(float) ** 2).sum((1, 2, 3)) / 2 / SPREAD
    bias = builder.constant(np.rint(halves / scale).astype(np.int32), [scale])
    nearness = builder.tensor((1, 1, 1, len(NAMES)), "int8", [0.1], -128)
    steps = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    valid = {"kind": "Conv2DOptions", "padding": schema.Padding.VALID, **steps}
    builder.operator("CONV_2D", [pixels, weights, bias], nearness, **valid)
    logits = builder.tensor((1, len(NAMES)), "int8", [0.1], -128)
    shape = builder.constant(np.array([-1, len(NAMES)], np.int32))
    builder.operator("RESHAPE", [nearness, shape], logits)
    shares = builder.tensor((1, len(NAMES)), "int8", [1 / 256], -128)
    builder.operator("SOFTMAX", [logits], shares, kind="SoftmaxOptions", beta=1.0)
    probabilities = builder.tensor((1, len(NAMES)), "float32")
    builder.operator("DEQUANTIZE", [shares], probabilities)
    return builder.finish(image, probabilities)


def write_inputs(squares: Array, images: Array, labels: Array) -> Description:
    """Writes what the stages before `verify` would write into the working directory.

    The network's own file takes the place of the trained model.
    """
    data = Description("npz", NAMES, SHAPE, {}, [])
    for path in (
        artifacts.DESCRIPTION,
        artifacts.PREPARED / "test/images",
        artifacts.MODEL,
        artifacts.EXPORTED / "file",
        artifacts.GOLDEN,
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
    artifacts.save_description(artifacts.DESCRIPTION, data)
    artifacts.save_array(artifacts.PREPARED / "test/images.npy", images)
    artifacts.save_array(artifacts.PREPARED / "test/labels.npy", labels)
    file = artifacts.EXPORTED / f"{browser.FORMAT}.tflite"
    file.write_bytes(network(squares))
    shutil.copy(file, artifacts.MODEL)
    digest = artifacts.sha256(file)
    entry = ExportedFile(file=file.name, bytes=file.stat().st_size, sha256=digest)
    ExportReport(model_sha256=digest, formats={browser.FORMAT: entry}).save()
    logits = (
        images.reshape(len(images), -1) @ squares.reshape(len(squares), -1).T
        - (squares**2).sum((1, 2, 3)) / 2
    ) / SPREAD
    powers = np.exp(logits - logits.max(1, keepdims=True))
    probabilities = (powers / powers.sum(1, keepdims=True)).astype(np.float32)
    artifacts.save_array(artifacts.TEST_PROBABILITIES, probabilities)
    artifacts.save_array(artifacts.PREPARED / "validation/images.npy", images)
    predictions.save(
        artifacts.VALIDATION,
        predictions.Predictions(probabilities, labels, digests.of_examples(images)),
    )
    return data


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs the pipeline from `verify` on for that network; `package` without MLflow."""
    folder = tmp_path_factory.mktemp("patterns")
    Project(folder, folder).begin().change(PARAMS)
    squares, images, labels = patterns()
    with contextlib.chdir(folder), tempfile.TemporaryDirectory() as content:
        data = write_inputs(squares, images, labels)
        verify.main()
        embed.main()
        probabilities = artifacts.load_array(artifacts.TEST_PROBABILITIES)
        accuracy, interval = statistics.accuracy(probabilities.argmax(1), labels)
        evaluated = reports.evaluation(
            model_sha256=artifacts.sha256(artifacts.MODEL),
            test_accuracy=accuracy,
            test_accuracy_interval=interval,
            test_images=len(labels),
            gate={"baseline_accuracy": float((labels == 0).mean())},
        )
        stage_reports = reports.bundled(
            train=reports.training(training_key="none"),
            evaluate=evaluated,
            export=ExportReport.load(),
            verify=VerificationReport.load(),
            embed=EmbedReport.load(),
        )
        for name in card_markdown.PICTURES:
            shutil.copy(ROOT / artifacts.REPORTS / f"{name}.png", artifacts.REPORTS)
        model_card = card.build(
            params.load(),
            stage_reports,
            data,
            drift_reference.summarize(classes, images, probabilities, labels),
        )
        package.fill(Path(content), model_card, data, "these patterns are not a real test set")
        archive.write(Path(content), folder / "patterns.tar.gz", "patterns-1.0.0")
    return folder / "patterns.tar.gz"


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
        images, verified = golden["images"][tested], golden[browser.FORMAT][tested]
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
