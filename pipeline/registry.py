"""The MLflow model registry: a version for each bundle, and the alias `champion` on the best that passed every gate."""

from __future__ import annotations

import tarfile
import tempfile
from pathlib import Path
from typing import Any

from pipeline import artifacts, params


def register(client: Any, run: Any, reports: dict[str, Any], model: str) -> None:
    """A version of the registered model for this bundle, once; `champion` moves to it unless it is worse."""
    import mlflow

    name = params.load().problem.name
    bundle = reports["package"]["sha256"]
    try:
        versions = client.search_model_versions(f"name = '{name}'")
    except mlflow.exceptions.MlflowException:
        versions = []
    if any(version.tags.get("bundle_sha256") == bundle for version in versions):
        return
    with tempfile.TemporaryDirectory() as folder, mlflow.start_run(run.info.run_id):
        with tarfile.open(artifacts.DIST / reports["package"]["file"]) as tar:
            tar.extractall(folder, filter="data")
        unpacked = next(Path(folder).iterdir())
        logged = mlflow.pyfunc.log_model(
            name="bundle",
            loader_module="serving.mlflow_model",
            data_path=str(unpacked),
            code_paths=["serving"],
            signature=signature(unpacked),
            pip_requirements=["mlflow", "numpy", "onnxruntime"],
            registered_model_name=name,
        )
    version = logged.registered_model_version
    accuracy = reports["evaluate"]["test_accuracy"]
    client.set_model_version_tag(name, version, "bundle_sha256", bundle)
    client.set_model_version_tag(name, version, "model_sha256", model)
    client.set_model_version_tag(name, version, "test_accuracy", str(accuracy))
    champion = client.get_registered_model(name).aliases.get("champion")
    if champion is None or accuracy >= float(client.get_model_version(name, champion).tags["test_accuracy"]):
        client.set_registered_model_alias(name, "champion", version)


def signature(bundle: Path) -> Any:
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    from serving.model_card import ModelCard

    card = ModelCard.load(bundle)
    return ModelSignature(
        inputs=Schema([TensorSpec(np.dtype("uint8"), (-1, *card.input_shape))]),
        outputs=Schema([TensorSpec(np.dtype("float32"), (-1, len(card.class_names)))]),
    )
