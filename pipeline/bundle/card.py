"""Builds the model card: a description of the model, and what the reports prove about each file."""

from __future__ import annotations

from typing import Any

from pipeline.bundle import description, gates
from pipeline.config.params import Params
from pipeline.config.parts import declared
from pipeline.config.problem import Problem
from pipeline.config.processors import EMULATED
from pipeline.files import artifacts
from pipeline.files.reports.bundle import BundleReports
from pipeline.files.reports.evaluate import Evaluation, EvaluationReport, NumberReport
from pipeline.files.reports.report import Section
from pipeline.files.reports.verify import (
    ComparedPair,
    NumberPair,
    Others,
    RanPair,
    Rejection,
    VerificationReport,
)
from pipeline.process.words import percent
from pipeline.reporting import by_folds, statistics
from serving.log_mel import LogMel
from serving.model_card import Embedded, ModelCard, Preprocessing, Tensor
from serving.model_file import Emulated, ModelFile, Number, Proof, Score
from serving.reference import Reference, Spread

# The sections of params.yaml that the bundle depends on.
PARAMS = {"dataset", "preprocess", "train", "export", "verify", "embed", "package"}


class RejectingPair(Section):
    format: str
    runtime: str
    accept_from: float


class JudgedRejection(Rejection, RejectingPair):
    """What a file with a threshold rejected of the test set."""

    others: Others | None = None


class CardRejection(Section):
    """`rejection` of the card: the rule by which files answer "none of these", and its test."""

    rule: str
    coverage: float | None
    max_error: float | None
    test: list[JudgedRejection]


def build(
    params: Params,
    reports: BundleReports,
    data: artifacts.Description,
    reference: Reference | Spread | None,
    *,
    draft: bool = False,
) -> ModelCard:
    """The card of the files that go into the bundle, or into the draft."""
    evaluation = reports.evaluate
    fields = description.describe(params.problem, data, evaluation.model_sha256)
    rejected = rejection(params.problem, reports.verify)
    return ModelCard(
        **{
            **fields,
            "input": _tensor(fields["input"]),
            "output": _tensor(fields["output"]),
            "preprocessing": _preprocessing(fields["preprocessing"]),
            **_scores(params, evaluation, reference if isinstance(reference, Spread) else None),
            "reference": reference if isinstance(reference, Reference) else None,
            "holds_from": evaluation.holds_from and list(evaluation.holds_from),
            "files": [model_file(name, reports) for name in gates.files(reports, draft=draft)],
            "embedded": [
                Embedded(**row.model_dump(exclude_unset=True)) for row in reports.embed.targets
            ],
            "rejection": rejected.model_dump(exclude_unset=True) if rejected else None,
            "not_proven": gates.failures(params, reports) if draft else [],
            "provenance": {
                **fields["provenance"],
                **_weights(params),
                **_origin(reports),
                **_from_folds(reports),
                "training_key": reports.train.training_key,
                "params": params.model_dump(mode="json", include=PARAMS),
                # Filled in when the bundle is signed: an output of the pipeline that named the
                # commit would change with every commit.
                "git_commit": None,
            },
        }
    )


def _scores(params: Params, evaluation: Evaluation, spread: Spread | None) -> dict[str, Any]:
    """The fields of the card that say how good the model is on the test set."""
    fields: dict[str, Any] = {"test_images": evaluation.test_images}
    if isinstance(evaluation, EvaluationReport):
        return {
            "test_accuracy": evaluation.test_accuracy,
            "test_accuracy_interval": evaluation.test_accuracy_interval,
            **fields,
            "baseline_accuracy": evaluation.gate.baseline_accuracy,
            "metric": None if evaluation.metric is None else Score(**dict(evaluation.metric)),
        }
    assert isinstance(evaluation, NumberReport)
    accuracies = ("test_accuracy", "test_accuracy_interval", "baseline_accuracy")
    number = Number(
        unit=evaluation.unit,
        error=evaluation.test_error,
        error_interval=evaluation.test_error_interval,
        root_mean_square_error=evaluation.root_mean_square_error,
        r_squared=evaluation.r_squared,
        baseline_error=evaluation.gate.baseline_error,
        max_error_added=params.max_error_added,
        coverage=params.problem.coverage,
        spread=spread,
    )
    return {**dict.fromkeys(accuracies), **fields, "number": number}


def _origin(reports: BundleReports) -> dict[str, str]:
    """Where a model came from that was not trained here; nothing for other models."""
    origin = reports.train.origin
    return {"origin": origin.sentence} if origin else {}


def _weights(params: Params) -> dict[str, str]:
    """Where the weights of a backbone come from, and their licence; nothing for other models."""
    if params.model.is_given or not params.train.starts_from_a_backbone:
        return {}
    return {"pretrained_weights": declared("architectures", params.train.architecture)["WEIGHTS"]}


def _from_folds(reports: BundleReports) -> dict[str, str]:
    """The accuracy of the recipe, if its target was judged by it."""
    remark = by_folds.remark(reports.evaluate)
    return {by_folds.KEY: remark} if remark else {}


def _preprocessing(values: dict[str, Any]) -> Preprocessing:
    sound = values.get("sound")
    return Preprocessing(**{**values, "sound": sound and LogMel(**sound)})


def _tensor(values: dict[str, Any]) -> Tensor:
    return Tensor(values["name"], values["type"], tuple(values["shape"]), tuple(values["range"]))


def model_file(name: str, reports: BundleReports) -> ModelFile:
    exported = reports.export.files[name]
    pairs = [pair for pair in reports.verify.ran if pair.format == name]
    native = [pair for pair in pairs if pair.is_native]
    emulated = [pair for pair in pairs if not pair.is_native]
    quantized = native[0].computes_in_integers
    tolerance = statistics.tolerance(quantized, reports.verify.span)
    return ModelFile(
        format=name,
        file=exported.file,
        bytes=exported.bytes,
        sha256=exported.sha256,
        golden_tolerance=tolerance,
        requirements=native[0].requirements,
        proofs=[_proof(pair) for pair in native],
        emulated=[_emulated(pair) for pair in emulated],
        accept_from=reports.verify.accept_from(name),
        interval=reports.verify.half_width(name),
    )


def rejection(problem: Problem, verification: VerificationReport) -> CardRejection | None:
    """What the card says of files that reject; None if none does."""
    names = {*RejectingPair.model_fields, "others"}
    judged = [
        JudgedRejection(
            **pair.model_dump(include=names, exclude_none=True), **pair.rejection.model_dump()
        )
        for pair in verification.native
        if pair.rejection
    ]
    if not judged:
        return None
    rule = 'The answer is "none of these" if its probability is below the threshold of the file.'
    return CardRejection(
        rule=f"{rule} {promise(problem)}",
        coverage=problem.coverage,
        max_error=problem.max_error,
        test=judged,
    )


def promise(problem: Problem) -> str:
    """What the thresholds were fitted for, on the validation set."""
    if problem.coverage is not None:
        share = percent(problem.coverage)
        return (
            f"The threshold is the highest that still answers {share} of inputs like those of the "
            "validation set, with 95 % confidence."
        )
    share = percent(problem.max_error or 0)
    return (
        f"The threshold is the lowest at which at most {share} of the answers to inputs like those "
        "of the validation set are wrong, with 95 % confidence."
    )


def _proof(pair: RanPair) -> Proof:
    names = ["accuracy", "accuracy_interval", "accuracy_lost_bound", "agreement"]
    if isinstance(pair, NumberPair):
        names = ["error", "error_interval", "error_added_bound"]
    metric = pair.metric if isinstance(pair, ComparedPair) else None
    figures = ("value", "interval", "lost_bound") if metric else ()
    return Proof(
        **{f"metric_{name}": getattr(metric, name) for name in figures},
        **{name: getattr(pair, name) for name in names},
        runtime=pair.runtime,
        runtime_version=pair.runtime_version,
        verdict=pair.state,
        images=pair.images,
        median_milliseconds=pair.median_milliseconds,
        processor=pair.measured_on,
        arena_bytes=pair.arena_bytes,
    )


def _emulated(pair: RanPair) -> Emulated:
    return Emulated(
        processor=pair.processor,
        description=EMULATED[pair.processor].description,
        runtime=pair.runtime,
        verdict=pair.state,
        images=pair.images,
        agreement=pair.agreement if isinstance(pair, ComparedPair) else None,
        largest_difference=pair.largest_difference,
        golden_difference=pair.golden_difference,
    )
