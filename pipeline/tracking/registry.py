"""The MLflow model registry: one logged model per file, and one registered version per bundle.

The registered version is the TensorFlow Lite file that a device would choose, or the first file
if none was exported. The alias `champion` marks the version of the best bundle.
"""

from __future__ import annotations

import dataclasses
import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config import params
from pipeline.files import artifacts
from pipeline.files.reports.evaluate import Evaluation, EvaluationReport, NumberReport
from pipeline.files.reports.run import RunReports
from pipeline.tracking import overview
from serving import checksums, classifier, model_card
from serving.bundle import Bundle
from serving.model_card import ModelCard
from serving.model_file import ModelFile

REQUIREMENTS = {".tflite": "ai-edge-litert", ".onnx": "onnxruntime"}
RUNTIME_FIGURES = (
    "accuracy",
    "accuracy_lost_bound",
    "agreement",
    "error",
    "error_added_bound",
    "median_milliseconds",
    "arena_bytes",
)


def register(client: Any, run: Any, reports: RunReports) -> None:
    """Logs each file as a model and registers a version, unless the bundle is already registered.

    `champion` moves to the new version unless its test accuracy is lower, or its error higher.
    """
    import mlflow

    package, evaluation = reports.package, reports.evaluate
    assert package is not None
    assert evaluation is not None
    key, score = registered_score(evaluation)
    name = params.load().problem.name
    try:
        versions = client.search_model_versions(f"name = '{name}'")
    except mlflow.exceptions.MlflowException:
        versions = []
    if any(version.tags.get("bundle_sha256") == package.sha256 for version in versions):
        return
    opened = Bundle(artifacts.DIST / package.file)
    preferred = preferred_file(opened.card)
    with mlflow.start_run(run.info.run_id):
        logged = {
            file.format: log_file(opened, file, name if file is preferred else None)
            for file in opened.card.files
        }
    version = logged[preferred.format].registered_model_version
    tags = {
        "bundle_sha256": package.sha256,
        "model_sha256": package.model_sha256,
        key: score,
        "format": preferred.format,
    }
    for tag, value in tags.items():
        client.set_model_version_tag(name, version, tag, str(value))
    client.update_model_version(name, version, description(preferred, package.file, reports))
    if not is_worse(score, champion_score(client, name, key), key):
        client.set_registered_model_alias(name, "champion", version)


def description(file: ModelFile, bundle_file: str, reports: RunReports) -> str:
    """What the version is, and the verdicts on its bundle."""
    return f"{file.format}, {file.bytes:,} bytes, of {bundle_file}. {overview.description(reports)}"


def registered_score(evaluation: Evaluation) -> tuple[str, float]:
    """The tag by which versions are compared, and its value."""
    if isinstance(evaluation, NumberReport):
        return "test_error", evaluation.test_error
    assert isinstance(evaluation, EvaluationReport)
    return "test_accuracy", evaluation.test_accuracy


def champion_score(client: Any, name: str, key: str) -> float | None:
    """This score of the version with the alias `champion`; None if there is none."""
    champion = client.get_registered_model(name).aliases.get("champion")
    if champion is None:
        return None
    value = client.get_model_version(name, champion).tags.get(key)
    return None if value is None else float(value)


def is_worse(score: float, champion: float | None, key: str) -> bool:
    if champion is None:
        return False
    return score > champion if key == "test_error" else score < champion


def preferred_file(card: ModelCard) -> ModelFile:
    """The file that becomes the registered version."""
    order = [file for file, _ in classifier.candidates(card)]
    return next((file for file in order if file.file.endswith(".tflite")), order[0])


def log_file(opened: Bundle, file: ModelFile, registered_name: str | None) -> Any:
    """Logs the file, with its metrics, as a pyfunc model that predicts with `serving`."""
    import mlflow

    with tempfile.TemporaryDirectory() as folder:
        extract(opened, file, Path(folder))
        logged = mlflow.pyfunc.log_model(
            name=file.format,
            loader_module="serving.classifier",
            data_path=folder,
            code_paths=["serving"],
            signature=signature(opened.card),
            pip_requirements=["mlflow", "numpy", "pillow", REQUIREMENTS[Path(file.file).suffix]],
            registered_model_name=registered_name,
        )
    mlflow.log_metrics(figures(file), model_id=logged.model_id)
    return logged


def extract(opened: Bundle, file: ModelFile, folder: Path) -> None:
    """Writes a bundle that contains only this file into `folder`."""
    golden = io.BytesIO()
    with np.load(io.BytesIO(opened.read(classifier.GOLDEN)), allow_pickle=False) as arrays:
        np.savez(
            golden,
            allow_pickle=False,
            **{name: arrays[name] for name in ("images", "labels", file.format)},
        )
    files = {
        file.file: opened.read(file.file),
        classifier.GOLDEN: golden.getvalue(),
        model_card.FILE: dataclasses.replace(opened.card, files=[file]).dump(),
    }
    for name, data in {**files, checksums.MANIFEST: checksums.manifest(files)}.items():
        (folder / name).write_bytes(data)


def figures(file: ModelFile) -> dict[str, float]:
    """The metrics of the file: its worst score, its size, and each runtime's figures."""
    accuracies = [proof.accuracy for proof in file.proofs if proof.accuracy is not None]
    errors = [proof.error for proof in file.proofs if proof.error is not None]
    worst = {"test_error": max(errors)} if errors else {"test_accuracy": min(accuracies)}
    result: dict[str, float] = {**worst, "bytes": file.bytes}
    for proof in file.proofs:
        for name in RUNTIME_FIGURES:
            value = getattr(proof, name)
            if value is not None:
                result[f"{proof.runtime}.{name}"] = value
    return result


def signature(card: ModelCard) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    return ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(card.input.type), (-1, *card.input_shape))]),
        outputs=Schema([TensorSpec(np.dtype("float32"), (-1, len(card.class_names)))]),
    )
