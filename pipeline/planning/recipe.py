"""A value for each choice in params.yaml, with its reason, by what the data are and how many.

Those under `train` are in training.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.config.boards import BOARDS
from pipeline.config.overrides import Overrides
from pipeline.config.params import NONE
from pipeline.config.parts import one_class_each
from pipeline.files.reports.folds import FOLDS, FoldsReport
from pipeline.planning import kinds, problem, training
from pipeline.planning.choice import Choice
from pipeline.planning.data import Survey
from pipeline.planning.networks import Candidate
from pipeline.planning.parts import FEW, fewest_outside_test, parts, validation_share
from pipeline.process.words import counted
from pipeline.reporting.statistics import FEW_TESTED

ARENA_BYTES = 65_536  # of a microcontroller that is not named
FORMATS = [
    *("tflite_float32", "tflite_float16", "tflite_dynamic", "tflite_int8"),
    *("onnx_float32", "onnx_int8"),
]
RUNTIMES = ["tflite_runtime", "litert", "onnxruntime", "tflite_micro"]
PROCESSORS = ["native", "nehalem", "haswell", "cortex-a72"]
# Formats of a backbone that lose no accuracy. Its int8 file loses up to half a point, so a file may
# lose a point, which is at least three of the fewest unseen examples that judge it.
FLOAT_FORMATS = ["tflite_float32", "tflite_float16", "onnx_float32"]
INT8_DROP, INT8_UNSEEN = 0.01, 300


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
    return [*choices, *kinds.kind_of(data).dataset(data, network)]


def _preprocess(data: Survey) -> list[Choice]:
    outside = data.examples["train"] - (0 if data.examples.get("test") else parts(data).test)
    share = validation_share(outside)
    size = f"{outside:,} outside the test set are {'few' if outside < FEW else 'enough'}"
    reason = f"{size}, so {'a fifth' if share == 0.2 else 'a tenth'} of them validates"
    if data.examples.get("validation"):
        reason = "not used: your data come with a validation set"
    kind = kinds.kind_of(data)
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
    if data.number:
        return Choice("evaluate.folds", NONE, f"{reason}folds judge no number")
    if fewest_outside_test(data) < FOLDS:
        return Choice("evaluate.folds", NONE, f"{reason}folds need more examples of a class")
    if not expected.folds:
        few = f"a class is in {data.groups_of_class} of {counted(data.groups, 'group')}"
        too_few = "too few for folds with an interval that holds"
        return Choice("evaluate.folds", NONE, f"{reason}{few}, {too_few}")
    others = expected.train + expected.validation
    wide = "" if expected.folds == FOLDS else f"; of {data.groups} groups their interval is wide"
    return Choice(
        "evaluate.folds",
        str(FoldsReport.PATH),
        f"the test set would hold {expected.test:,}, too few to judge by, so {expected.folds} "
        f"trainings on parts of the other {others:,} do; `edgeproof run` makes them first{wide}",
    )


def _files(data: Survey, network: Candidate, board: str | None) -> list[Choice]:
    """The files to export, the runtimes that must prove them, and what they may lose."""
    formats, drop = "export.formats", "export.max_accuracy_drop"
    kind, unseen = kinds.kind_of(data), parts(data).unseen
    if not network.is_backbone:
        return [Choice(formats, FORMATS), kind.runtimes(RUNTIMES), kind.accuracy_drop()]
    if board:
        return [
            Choice(
                formats,
                [*FLOAT_FORMATS, "tflite_int8"],
                f"of these, {board} takes tflite_int8 alone",
            ),
            Choice("verify.runtimes", RUNTIMES),
            Choice(drop, INT8_DROP, "int8 may cost such a network a point"),
        ]
    one_each = one_class_each(data.target)
    is_judged = one_each and unseen >= INT8_UNSEEN
    large = Choice("verify.runtimes", RUNTIMES[:-1], "no microcontroller has room for it")
    if not is_judged:
        few = f"{unseen:,} unseen examples are too few to tell what an int8 file loses"
        unknown = "what an int8 file of such a network loses is known for classes alone"
        reason = few if one_each else unknown
        return [Choice(formats, FLOAT_FORMATS, reason), large, kind.accuracy_drop()]
    return [
        Choice(formats, [*FLOAT_FORMATS, "tflite_int8"]),
        large,
        Choice(drop, INT8_DROP, "int8 costs such a network up to half a point"),
    ]


def _without_float16(data: Survey, choices: list[Choice]) -> list[Choice]:
    """The files, but for that in float16 if it would give wrong numbers."""
    if data.number is None or data.number.fits_float16:
        return choices
    formats, *others = choices
    assert isinstance(formats.value, list)
    kept = [name for name in formats.value if name != "tflite_float16"]
    reason = "float16 keeps three digits and ends at 65,504, which is too coarse for these numbers"
    return [Choice(formats.key, kept, "; ".join(filter(None, (formats.reason, reason)))), *others]


def _devices(data: Survey, network: Candidate, board: str | None) -> list[Choice]:
    targets = Choice("embed.targets", "all")
    if network.is_backbone and not board:
        targets = Choice("embed.targets", [], "no microcontroller has room for such a network")
    arena = Choice("embed.arena_bytes", ARENA_BYTES)
    if board:
        ram = f"what {board} has for a model ({BOARDS[board].source})"
        arena = Choice("embed.arena_bytes", BOARDS[board].ram_bytes, ram)
    return [
        *_without_float16(data, _files(data, network, board)),
        *_processors(network, board),
        *(targets, arena, Choice("embed.board", board)),
    ]


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
