"""A bundle of a network with one linear layer, made without training."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from benchmarks.integer_c.tflite_builder import Builder
from pipeline import embed, verify
from pipeline.bundle import acceptance, archive, card, card_markdown, contents, drift_reference
from pipeline.bundle.acceptance import AcceptanceSet
from pipeline.config import params
from pipeline.files import artifacts, digests, predictions
from pipeline.files.artifacts import Array, Description
from pipeline.files.reports.embed import EmbedReport
from pipeline.files.reports.export import ExportedFile, ExportReport
from pipeline.files.reports.verify import VerificationReport
from pipeline.reporting import statistics
from pipeline.targets import classes
from tests import reports
from tests.conftest import ROOT, Project


@dataclass(frozen=True)
class Linear:
    """Softmax of x.weights + bias, of weights (K, H, W, C) and bias (K,).

    The file stores logits in tenths, from `zero_point` on.
    """

    weights: Array
    bias: Array
    zero_point: int

    def network(self) -> bytes:
        """One convolution as large as the image, as an int8 file."""
        count, *shape = self.weights.shape
        builder = Builder()
        image = builder.tensor((1, *shape), "uint8", [1.0])
        pixels = builder.tensor((1, *shape), "int8", [1.0], -128)
        builder.operator("QUANTIZE", [image], pixels)
        scale = float(np.abs(self.weights).max()) / 127
        weights = builder.constant(np.rint(self.weights / scale).astype(np.int8), [scale])
        bias = builder.constant(np.rint(self.bias / scale).astype(np.int32), [scale])
        values = builder.tensor((1, 1, 1, count), "int8", [0.1], self.zero_point)
        steps = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
        valid = {"kind": "Conv2DOptions", "padding": schema.Padding.VALID, **steps}
        builder.operator("CONV_2D", [pixels, weights, bias], values, **valid)
        logits = builder.tensor((1, count), "int8", [0.1], self.zero_point)
        flat = builder.constant(np.array([-1, count], np.int32))
        builder.operator("RESHAPE", [values, flat], logits)
        shares = builder.tensor((1, count), "int8", [1 / 256], -128)
        builder.operator("SOFTMAX", [logits], shares, kind="SoftmaxOptions", beta=1.0)
        probabilities = builder.tensor((1, count), "float32")
        builder.operator("DEQUANTIZE", [shares], probabilities)
        return builder.finish(image, probabilities)

    def probabilities(self, images: Array) -> Array:
        """(N, K) float32 of images (N, H, W, C), in floating point."""
        flat = self.weights.reshape(len(self.weights), -1)
        logits = images.reshape(len(images), -1) @ flat.T + self.bias
        powers = np.exp(logits - logits.max(1, keepdims=True))
        result: Array = (powers / powers.sum(1, keepdims=True)).astype(np.float32)
        return result


def write_inputs(model: Linear, data: Description, images: Array, labels: Array) -> None:
    """Writes what the stages before `verify` would write into the working directory.

    The network's own file takes the place of the trained model.
    """
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
    file = artifacts.EXPORTED / "tflite_int8.tflite"
    file.write_bytes(model.network())
    shutil.copy(file, artifacts.MODEL)
    digest = artifacts.sha256(file)
    entry = ExportedFile(file=file.name, bytes=file.stat().st_size, sha256=digest)
    ExportReport(model_sha256=digest, formats={"tflite_int8": entry}).save()
    probabilities = model.probabilities(images)
    artifacts.save_array(artifacts.TEST_PROBABILITIES, probabilities)
    artifacts.save_array(artifacts.PREPARED / "validation/images.npy", images)
    artifacts.save_array(artifacts.PREPARED / "validation/labels.npy", labels)
    predictions.save(
        artifacts.VALIDATION,
        predictions.Predictions(probabilities, labels, digests.of_examples(images)),
    )


def make(
    folder: Path,
    model: Linear,
    data: Description,
    examples: tuple[Array, Array],
    changes: dict[str, Any],
) -> Path:
    """Runs the pipeline in the folder from `verify` on; `package` without MLflow.

    `examples` are test images and labels, and `changes` those of params.yaml.
    """
    images, labels = examples
    Project(folder, folder).begin().change(changes)
    with contextlib.chdir(folder), tempfile.TemporaryDirectory() as content:
        write_inputs(model, data, images, labels)
        verify.main()
        probabilities = artifacts.load_array(artifacts.TEST_PROBABILITIES)
        accuracy, interval = statistics.accuracy(probabilities.argmax(1), labels)
        evaluated = reports.evaluation(
            model_sha256=artifacts.sha256(artifacts.MODEL),
            test_accuracy=accuracy,
            test_accuracy_interval=interval,
            test_images=len(labels),
            gate={"baseline_accuracy": float((labels == 0).mean())},
        )
        evaluated.save()
        embed.main()
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
        accepted = AcceptanceSet(images, labels, probabilities)
        model_card = acceptance.add_to_card(model_card, accepted)
        contents.fill(Path(content), model_card, data, accepted)
        name = f"{model_card.name}-{model_card.version}"
        archive.write(Path(content), folder / f"{name}.tar.gz", name)
    return folder / f"{name}.tar.gz"
