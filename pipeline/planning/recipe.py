"""A value for each choice in params.yaml, with its reason, by what the data are and how many.

Those under `train` are in training.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.config.boards import BOARDS
from pipeline.config.overrides import Overrides
from pipeline.config.params import NONE
from pipeline.files.reports.folds import FOLDS, FoldsReport
from pipeline.planning import kinds, problem, training
from pipeline.planning.choice import Choice
from pipeline.planning.data import Survey
from pipeline.planning.networks import SMALL_BACKBONE, Candidate
from pipeline.planning.parts import FEW, TEST, parts, validation_share
from pipeline.reporting.statistics import FEW_TESTED

ARENA_BYTES = 65_536  # of a microcontroller that is not named
FORMATS = [
    *("tflite_float32", "tflite_float16", "tflite_dynamic", "tflite_int8"),
    *("onnx_float32", "onnx_int8"),
]
RUNTIMES = ["tflite_runtime", "litert", "onnxruntime", "tflite_micro"]
ACCURACY_DROP = 0.002
PROCESSORS = ["native", "nehalem", "haswell", "cortex-a72"]
# Those that lose no accuracy; int8 files of the backbone do.
FLOAT_FORMATS = ["tflite_float32", "tflite_float16", "onnx_float32"]


def propose(data: Survey, path: Path, network: Candidate, board: str | None) -> list[Choice]:
    """Every choice, in the order of params.yaml."""
    return [
        *problem.propose(data, path),
        *_dataset(data, network),
        *_preprocess(data),
        *training.propose(data, network),
        _folds(data),
        *_devices(data, network, board),
    ]


def overrides(choices: Sequence[Choice]) -> Overrides:
    return {choice.key: choice.value for choice in choices}


def _dataset(data: Survey, network: Candidate) -> list[Choice]:
    choices = [Choice(f"dataset.{key}", value) for key, value in data.values.items()]
    return [*choices, *kinds.of(data).dataset(data, network)]


def _preprocess(data: Survey) -> list[Choice]:
    outside = data.examples["train"] - (0 if data.examples.get("test") else parts(data).test)
    share = validation_share(outside)
    size = f"{outside:,} outside the test set are {'few' if outside < FEW else 'enough'}"
    reason = f"{size}, so {'a fifth' if share == 0.2 else 'a tenth'} of them validates"
    if data.examples.get("validation"):
        reason = "not used: your data come with a validation set"
    kind = kinds.of(data)
    return [
        Choice("preprocess.subset", None),
        Choice("preprocess.validation", share, reason),
        kind.order(data),
        Choice("preprocess.group", data.group, kind.grouped(data) if data.group else ""),
    ]


def _folds(data: Survey) -> Choice:
    """Folds, if the test set is small and they can judge such data."""
    expected = parts(data)
    if expected.test >= FEW_TESTED:
        return Choice("evaluate.folds", NONE)
    reason = f"{expected.test:,} examples for the test are few, but "
    if problem.is_uneven(data) or data.target == "number":
        return Choice("evaluate.folds", NONE, f"{reason}folds know accuracy alone")
    outside = 1 - (0 if data.examples.get("test") else TEST)
    if outside * min(data.counts.values()) < FOLDS or 0 < data.groups < 2 * FOLDS:
        units = "groups" if data.groups else "examples of a class"
        return Choice("evaluate.folds", NONE, f"{reason}there are too few {units} for folds")
    others = expected.train + expected.validation
    return Choice(
        "evaluate.folds",
        str(FoldsReport.PATH),
        f"the test set would hold {expected.test:,}, too few to judge by, so {FOLDS} trainings on "
        f"parts of the other {others:,} do; `edgeproof run` makes them first",
    )


def _formats_of_a_backbone(board: str | None) -> Choice:
    key = "export.formats"
    if board:
        return Choice(key, [*FLOAT_FORMATS, "tflite_int8"], f"{board} takes tflite_int8 alone")
    reason = "its int8 files lose accuracy; add tflite_int8 to see what the gate says"
    return Choice(key, FLOAT_FORMATS, reason)


def _devices(data: Survey, network: Candidate, board: str | None) -> list[Choice]:
    drop = Choice("export.max_accuracy_drop", ACCURACY_DROP)
    choices = [Choice("export.formats", FORMATS), kinds.of(data).runtimes(RUNTIMES)]
    if network.is_backbone:
        choices[0] = _formats_of_a_backbone(board)
    if network == SMALL_BACKBONE:
        reason = "a microcontroller takes int8 alone, which may cost such a network a point"
        drop = Choice(drop.key, 0.01, reason)
    arena = Choice("embed.arena_bytes", ARENA_BYTES)
    if board:
        ram = f"what {board} has for a model ({BOARDS[board].source})"
        arena = Choice("embed.arena_bytes", BOARDS[board].ram_bytes, ram)
    return [*choices, drop, *_processors(network, board), arena, Choice("embed.board", board)]


def _processors(network: Candidate, board: str | None) -> list[Choice]:
    """The processor of the device. Emulation takes minutes for a large network in float32."""
    if board:
        choice = Choice("verify.processors", ["native"], "a microcontroller is none of the others")
        return [choice, Choice("verify.processor_images", 100)]
    if network.is_backbone:
        few = "a Raspberry Pi 4; others take minutes each to emulate with such a network"
        return [
            Choice("verify.processors", ["native", "cortex-a72"], few),
            Choice("verify.processor_images", 10, "as few, for the same reason"),
        ]
    return [Choice("verify.processors", PROCESSORS), Choice("verify.processor_images", 100)]
