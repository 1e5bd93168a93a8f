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
from pipeline.verification.device_metrics import device_metrics
from serving import checksums, classifier, model_card
from serving.bundle import Bundle
from serving.model_card import ModelCard
from serving.model_file import ModelFile

BUNDLE = "bundle_sha256"  # the tag of its models and its version
REQUIREMENTS = {".tflite": "ai-edge-litert", ".onnx": "onnxruntime"}


def register(client: Any, run: Any, reports: RunReports) -> None:
    """Logs each file as a model and registers a version, unless the bundle is already registered.

    `champion` moves to the new version unless its test score is lower, or its error higher. After
    an interruption, the next call does what is missing.
    """
    import mlflow

    package, evaluation, verification = reports.package, reports.evaluate, reports.verify
    assert package is not None
    assert evaluation is not None
    assert verification is not None
    key, score = registered_score(evaluation)
    name = params.load().problem.name
    bundle = {BUNDLE: package.sha256}
    if any(version.description for version in versions(client, name, bundle)):
        return
    opened = Bundle(artifacts.DIST / package.file)
    preferred = preferred_file(opened.card)
    # The registered file last, since the run keeps the metrics that were logged last
    files = sorted(opened.card.files, key=lambda file: file is preferred)
    figures = device_metrics(verification.here)
    there = models(client, run, bundle)
    with mlflow.start_run(run.info.run_id):
        for file in files:
            log_file(opened, file, figures[file.format], bundle, there.get(file.format))
    tags = {
        **bundle,
        "model_sha256": package.model_sha256,
        key: str(score),
        "format": preferred.format,
    }
    number = version_of(client, name, models(client, run, bundle)[preferred.format], tags)
    if not is_worse(score, champion_score(client, name, key), key):
        client.set_registered_model_alias(name, "champion", number)
    # Last, as the sign that the bundle is registered
    client.update_model_version(name, number, description(preferred, package.file, reports))


def versions(client: Any, name: str, bundle: dict[str, str]) -> list[Any]:
    """The registered versions of a bundle, the oldest first."""
    import mlflow

    try:
        registered = client.search_model_versions(f"name = '{name}'")
    except mlflow.exceptions.MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return []
    same = [version for version in registered if version.tags.get(BUNDLE) == bundle[BUNDLE]]
    return sorted(same, key=lambda version: int(version.version))


def version_of(client: Any, name: str, model: Any, tags: dict[str, str]) -> str:
    """The number of the bundle's only version, which is registered if there is none.

    As in `runs.create`, MLflow's client may have asked for two.
    """
    import mlflow

    if not versions(client, name, tags):
        mlflow.register_model(f"models:/{model.model_id}", name, tags=tags)
    first, *others = versions(client, name, tags)
    for other in others:
        client.delete_model_version(name, other.version)
    return str(first.version)


def models(client: Any, run: Any, bundle: dict[str, str]) -> dict[str, Any]:
    """The logged model of each format that the run has of a bundle; deletes what is there twice."""
    query = f"source_run_id = '{run.info.run_id}' AND tags.{BUNDLE} = '{bundle[BUNDLE]}'"
    by_format: dict[str, Any] = {}
    logged = client.search_logged_models([run.info.experiment_id], query)
    for model in sorted(logged, key=lambda model: (not is_ready(model), model.creation_timestamp)):
        if model.name in by_format:
            client.delete_logged_model(model.model_id)
        else:
            by_format[model.name] = model
    return by_format


def is_ready(model: Any) -> bool:
    return str(model.status) == "READY"


def description(file: ModelFile, bundle_file: str, reports: RunReports) -> str:
    """What the version is, and the verdicts on its bundle."""
    return f"{file.format}, {file.bytes:,} bytes, of {bundle_file}. {overview.description(reports)}"


def registered_score(evaluation: Evaluation) -> tuple[str, float]:
    """The tag by which versions are compared, and its value."""
    if isinstance(evaluation, NumberReport):
        return "test_error", evaluation.test_error
    assert isinstance(evaluation, EvaluationReport)
    return f"test_{evaluation.score.name}", evaluation.score.value


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


def log_file(
    opened: Bundle, file: ModelFile, figures: dict[str, float], bundle: dict[str, str], begun: Any
) -> None:
    """Logs a file, with its metrics, as a pyfunc model that predicts with `serving`.

    `begun` is the model if it is there already, perhaps without all of its files or metrics.
    """
    import mlflow

    if begun is None or not is_ready(begun):
        with tempfile.TemporaryDirectory() as folder:
            extract(opened, file, Path(folder))
            runtime = REQUIREMENTS[Path(file.file).suffix]
            begun = mlflow.pyfunc.log_model(
                name=file.format,
                loader_module="serving.classifier",
                data_path=folder,
                code_paths=["serving"],
                signature=signature(opened.card),
                pip_requirements=["mlflow", "numpy", "pillow", runtime],
                tags=bundle,
                model_id=begun and begun.model_id,
                step=-1,  # at step 0 MLflow would copy the figures of the run to the model
            )
    logged = {metric.key: metric.value for metric in begun.metrics or ()}
    if not figures.items() <= logged.items():
        mlflow.log_metrics(figures, model_id=begun.model_id)


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


def signature(card: ModelCard) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    return ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(card.input.type), (-1, *card.input_shape))]),
        outputs=Schema([TensorSpec(np.dtype("float32"), (-1, len(card.class_names)))]),
    )
