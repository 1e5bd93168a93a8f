"""Builds the model card: a description of the model, and what the reports prove about each file."""

from __future__ import annotations

from typing import Any

from pipeline.bundle import description, gates
from pipeline.config.params import Params
from pipeline.config.processors import EMULATED, NATIVE
from pipeline.files import artifacts
from pipeline.reporting import statistics
from serving.gate import COULD_NOT_RUN
from serving.model_card import Embedded, ModelCard, Preprocessing, Reference, Tensor
from serving.model_file import Emulated, ModelFile, Proof, Requirements

# The sections of params.yaml that the bundle depends on.
PARAMS = {"dataset", "preprocess", "train", "export", "verify", "embed", "package"}


def build(
    params: Params,
    reports: dict[str, Any],
    data: artifacts.Description,
    reference: Reference,
    *,
    draft: bool = False,
) -> ModelCard:
    """The card of the files that go into the bundle, or into the draft."""
    evaluation = reports["evaluate"]
    fields = description.describe(params.problem, data, evaluation["model_sha256"])
    return ModelCard(
        **{
            **fields,
            "input": _tensor(fields["input"]),
            "output": _tensor(fields["output"]),
            "preprocessing": Preprocessing(**fields["preprocessing"]),
            "test_accuracy": evaluation["test_accuracy"],
            "test_accuracy_interval": tuple(evaluation["test_accuracy_interval"]),
            "test_images": evaluation["test_images"],
            "baseline_accuracy": evaluation["gate"]["baseline_accuracy"],
            "reference": reference,
            "files": [model_file(name, reports) for name in gates.files(reports, draft=draft)],
            "embedded": [Embedded(**row) for row in reports["embed"]["targets"]],
            "not_proven": gates.failures(params, reports) if draft else [],
            "provenance": {
                **fields["provenance"],
                "training_key": reports["train"]["training_key"],
                "params": params.model_dump(mode="json", include=PARAMS),
                # Filled in when the bundle is signed: an output of the pipeline that named the
                # commit would change with every commit.
                "git_commit": None,
            },
        }
    )


def _tensor(values: dict[str, Any]) -> Tensor:
    return Tensor(values["name"], values["type"], tuple(values["shape"]), tuple(values["range"]))


def model_file(name: str, reports: dict[str, Any]) -> ModelFile:
    entry = reports["export"]["formats"][name]
    pairs = [
        pair
        for pair in reports["verify"]["pairs"]
        if pair["format"] == name and pair["state"] != COULD_NOT_RUN
    ]
    native = [pair for pair in pairs if pair["processor"] == NATIVE]
    emulated = [pair for pair in pairs if pair["processor"] != NATIVE]
    requirements = Requirements.parse(native[0]["requirements"])
    quantized = "int8" in requirements.weights
    tolerance = statistics.QUANTIZED_TOLERANCE if quantized else statistics.FLOAT_TOLERANCE
    return ModelFile(
        format=name,
        file=entry["file"],
        bytes=entry["bytes"],
        sha256=entry["sha256"],
        golden_tolerance=tolerance,
        requirements=requirements,
        proofs=[_proof(pair) for pair in native],
        emulated=[_emulated(pair) for pair in emulated],
    )


def _proof(pair: dict[str, Any]) -> Proof:
    return Proof(
        runtime=pair["runtime"],
        runtime_version=pair["runtime_version"],
        verdict=pair["state"],
        images=pair["images"],
        accuracy=pair["accuracy"],
        accuracy_interval=tuple(pair["accuracy_interval"]),
        accuracy_lost_bound=pair["accuracy_lost_bound"],
        agreement=pair["agreement"],
        median_milliseconds=pair.get("median_milliseconds"),
        processor=pair.get("measured_on"),
        arena_bytes=pair.get("arena_bytes"),
    )


def _emulated(pair: dict[str, Any]) -> Emulated:
    return Emulated(
        processor=pair["processor"],
        description=EMULATED[pair["processor"]].description,
        runtime=pair["runtime"],
        verdict=pair["state"],
        images=pair["images"],
        agreement=pair["agreement"],
        largest_difference=pair["largest_difference"],
        golden_difference=pair.get("golden_difference"),
    )
