"""The three splits as the datasets of a run in MLflow."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from pipeline.config import params
from pipeline.files import artifacts, digests
from pipeline.files.reports.preprocess import PreprocessReport
from serving.inputs import TYPES

# What MLflow calls the context of each split.
CONTEXTS = {"train": "training", "validation": "validation", "test": "test"}


def log(client: Any, run: Any, preprocess: PreprocessReport) -> None:
    """Logs the splits that the run lacks, with a digest of the data and how they were split."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    description = artifacts.load_description()
    logged = {entry.dataset.digest for entry in run.inputs.dataset_inputs}
    settings = params.load()
    inputs = []
    for split, part in preprocess.splits.items():
        prepared = settings.preprocess.model_dump_json(exclude={"store"})
        digest = digests.of_facts([*map(str, description.sha256.items()), prepared, split])
        if digest not in logged:
            dataset = Dataset(
                name=f"{description.name} {CONTEXTS[split]}",
                digest=digest,
                source_type="local",
                source=json.dumps({"uri": str(artifacts.PREPARED / split)}),
                schema=_schema(description),
                profile=json.dumps({"num_rows": part.images}),
            )
            inputs.append(DatasetInput(dataset, [InputTag("mlflow.data.context", CONTEXTS[split])]))
    if inputs:
        client.log_inputs(run.info.run_id, datasets=inputs)


def _schema(description: artifacts.Description) -> str:
    from mlflow.data.schema import TensorDatasetSchema
    from mlflow.types import Schema, TensorSpec

    dtype = np.dtype(TYPES[description.kind])
    features = Schema([TensorSpec(dtype, (-1, *description.input_shape))])
    label = np.int64 if description.unit is None else np.float32
    targets = Schema([TensorSpec(np.dtype(label), (-1,))])
    return json.dumps(TensorDatasetSchema(features=features, targets=targets).to_dict())
