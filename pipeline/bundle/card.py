"""The model card of a bundle: the description of the model and what the reports prove of each file."""

from __future__ import annotations

from typing import Any

from pipeline import artifacts, metrics, model_description
from pipeline.params import Params
from serving.model_card import Embedded, ModelCard, ModelFile, Preprocessing, Proof, Reference, Requirements, Tensor


def build(chosen: Params, reports: dict[str, Any], data: artifacts.Description, reference: Reference) -> ModelCard:
    """The card of the files that passed on every runtime that was asked for."""
    evaluation = reports["evaluate"]
    described = model_description.describe(chosen.problem, data, evaluation["model_sha256"])
    return ModelCard(
        **{
            **described,
            "input": _tensor(described["input"]),
            "output": _tensor(described["output"]),
            "preprocessing": Preprocessing(**described["preprocessing"]),
            "test_accuracy": evaluation["test_accuracy"],
            "test_accuracy_interval": tuple(evaluation["test_accuracy_interval"]),
            "test_images": evaluation["test_images"],
            "baseline_accuracy": evaluation["gate"]["baseline_accuracy"],
            "reference": reference,
            "files": [model_file(name, reports) for name in reports["export"]["formats"] if _passed(name, reports)],
            "embedded": [Embedded(**row) for row in reports["embed"]["targets"]],
            "provenance": {
                **described["provenance"],
                "training_key": reports["train"]["training_key"],
                "params": chosen.model_dump(mode="json", include={"dataset", "preprocess", "train", "export", "verify", "embed"}),
                "git_commit": None,  # known when the bundle is signed: an out that named its commit would change with every commit
            },
        }
    )


def _tensor(values: dict[str, Any]) -> Tensor:
    return Tensor(values["name"], values["type"], tuple(values["shape"]), tuple(values["range"]))


def _pairs(name: str, reports: dict[str, Any]) -> list[dict[str, Any]]:
    return [pair for pair in reports["verify"]["pairs"] if pair["format"] == name]


def _passed(name: str, reports: dict[str, Any]) -> bool:
    return all(pair["state"] == "passed" for pair in _pairs(name, reports))


def model_file(name: str, reports: dict[str, Any]) -> ModelFile:
    entry, pairs = reports["export"]["formats"][name], _pairs(name, reports)
    requirements = Requirements.parse(pairs[0]["requirements"])
    return ModelFile(
        format=name,
        file=entry["file"],
        bytes=entry["bytes"],
        sha256=entry["sha256"],
        golden_tolerance=metrics.QUANTIZED_TOLERANCE if "int8" in requirements.weights else metrics.FLOAT_TOLERANCE,
        requirements=requirements,
        proofs=[
            Proof(
                runtime=pair["runtime"],
                runtime_version=pair["runtime_version"],
                images=pair["images"],
                accuracy=pair["accuracy"],
                accuracy_interval=tuple(pair["accuracy_interval"]),
                accuracy_lost_bound=pair["accuracy_lost_bound"],
                agreement=pair["agreement"],
                median_milliseconds=pair.get("median_milliseconds"),
                processor=pair.get("processor"),
                arena_bytes=pair.get("arena_bytes"),
            )
            for pair in pairs
        ],
    )
