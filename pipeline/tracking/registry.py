"""The MLflow model registry: every file of the bundle is a model of its own, and the alias `champion` is on the best bundle's.

What is registered is the TensorFlow Lite file that a device would choose, or, where none was exported, the first file.
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
from serving import checksums, classifier, model_card
from serving.bundle import Bundle
from serving.model_card import ModelCard
from serving.model_file import ModelFile

REQUIREMENTS = {".tflite": "ai-edge-litert", ".onnx": "onnxruntime"}


def register(client: Any, run: Any, reports: dict[str, Any], model: str) -> None:
    """A logged model for each file and a version of the registered model, once; `champion` moves to it unless it is worse."""
    import mlflow

    name = params.load().problem.name
    digest = reports["package"]["sha256"]
    try:
        versions = client.search_model_versions(f"name = '{name}'")
    except mlflow.exceptions.MlflowException:
        versions = []
    if any(version.tags.get("bundle_sha256") == digest for version in versions):
        return
    opened = Bundle(artifacts.DIST / reports["package"]["file"])
    chosen = registered(opened.card)
    with mlflow.start_run(run.info.run_id):
        logged = {
            file.format: log_file(opened, file, name if file is chosen else None)
            for file in opened.card.files
        }
    version = logged[chosen.format].registered_model_version
    accuracy = reports["evaluate"]["test_accuracy"]
    tags = {
        "bundle_sha256": digest,
        "model_sha256": model,
        "test_accuracy": accuracy,
        "format": chosen.format,
    }
    for key, value in tags.items():
        client.set_model_version_tag(name, version, key, str(value))
    champion = client.get_registered_model(name).aliases.get("champion")
    if champion is None or accuracy >= float(
        client.get_model_version(name, champion).tags["test_accuracy"]
    ):
        client.set_registered_model_alias(name, "champion", version)


def registered(card: ModelCard) -> ModelFile:
    """The file that the registered model answers from."""
    order = [file for file, _ in classifier.candidates(card)]
    return next((file for file in order if file.file.endswith(".tflite")), order[0])


def log_file(opened: Bundle, file: ModelFile, registered_name: str | None) -> Any:
    """The file as a pyfunc model, which answers through `serving`, with what was found of it as its metrics."""
    import mlflow

    with tempfile.TemporaryDirectory() as folder:
        extract(opened, file, Path(folder))
        logged = mlflow.pyfunc.log_model(
            name=file.format,
            loader_module="serving.mlflow_model",
            data_path=folder,
            code_paths=["serving"],
            signature=signature(opened.card),
            pip_requirements=["mlflow", "numpy", "pillow", REQUIREMENTS[Path(file.file).suffix]],
            registered_model_name=registered_name,
        )
    mlflow.log_metrics(figures(file), model_id=logged.model_id)
    return logged


def extract(opened: Bundle, file: ModelFile, folder: Path) -> None:
    """Writes a bundle of one file into `folder`."""
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
    """What was found of the file: the least of its accuracies, its size, and what belongs to one runtime under its name."""
    result: dict[str, float] = {
        "test_accuracy": min(proof.accuracy for proof in file.proofs),
        "bytes": file.bytes,
    }
    for proof in file.proofs:
        for name in (
            "accuracy",
            "accuracy_lost_bound",
            "agreement",
            "median_milliseconds",
            "arena_bytes",
        ):
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
