"""What to expect of a run, in sentences: splits, accuracy, gate, time, memory, files, boards."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.config.boards import BOARDS
from pipeline.config.params import NONE, Params
from pipeline.config.parts import one_class_each
from pipeline.diagnosis.few_examples import FEWEST
from pipeline.files.reports.folds import FOLDS, command
from pipeline.planning import cost
from pipeline.planning.cost import NetworkFiles, Speed
from pipeline.planning.data import Survey
from pipeline.planning.parts import Parts
from pipeline.planning.problem import UNEVEN
from pipeline.process import stage
from pipeline.reporting import metrics, statistics
from pipeline.reporting.metrics import ACCURACY
from pipeline.verification.emulated import FLOAT_SHARE
from pipeline.verification.rejection import RISK, fewest

TO_SET_EVEN = (
    "; with train.class_weights: balanced and problem.metric: balanced_accuracy every class counts "
    "the same"
)
SET_EVEN = ": class weights and a metric with which every class counts the same are set"
# Of a training: it may be faster on an idle machine, and slower on a busy one or with augmentation.
FASTER, SLOWER = 0.7, 2.0
HEAD_SECONDS = 1.5  # an epoch of an output layer on features
# The stages beside the training, on two idle cores: `edge` on 500 photos with all processors took
# 2 to 4 minutes, and efficientnet_lite0 on this processor alone 100 seconds.
OTHER_STAGES_SECONDS = (120, 360)
# How much slower a runtime on an emulated processor is than TensorFlow here: with
# efficientnet_lite0 at 128 x 128, 1.5 to 2 seconds of a core for an image, instead of 5 ms.
EMULATED, CORES = 350, 2
LEAST_COVERAGE = 0.9  # that is worth a promise
TELLING = 10  # golden vectors that each file sees there, beside its sample of test images


def splits(
    parts: Parts, settings: Params, rarest: int = FOLDS, counts: Sequence[int] = ()
) -> list[str]:
    """The size of each split, and what the test and the gate can show with it.

    `rarest` is the number of examples of the rarest class outside the test set, and `counts` are
    those of all classes, on which a metric that weighs them depends.
    """
    share = settings.problem.target
    sizes = (
        f"about {parts.train:,} examples for training, {parts.validation:,} for validation, "
        f"{parts.test:,} for the test"
    )
    if settings.problem.unit is not None:
        return [sizes, *_interval(parts.validation, settings)]
    interval = statistics.expected_interval(share, parts.test)
    lines = [
        sizes,
        f"test: an accuracy of {100 * share:.0f} % would have a 95 % interval of {interval}",
    ]
    if settings.problem.metric != ACCURACY:
        lines.append(
            f"problem.metric is {settings.problem.metric}: its interval is wider, as a class with "
            "few images counts as much as any"
        )
    if parts.test < statistics.FEW_TESTED and (parts.folds or has_folds(settings)):
        outside = parts.train + parts.validation
        folds = (
            f"{_folds(parts)} folds judge" if has_folds(settings) else f"{command(rarest)} judges"
        )
        lines[-1] += (
            f"; {folds} the recipe on all {outside:,} outside the test set, which gives at best "
            f"{statistics.expected_interval(share, outside)}"
        )
    return [*lines, _gate(parts.unseen, settings, counts)]


def _interval(validation: int, settings: Params) -> list[str]:
    """A line if an answer that is a number has too few validation examples for an interval."""
    coverage = settings.problem.coverage
    if coverage is None or validation >= fewest(coverage):
        return []
    return [
        f"interval: {validation:,} validation examples are too few to say within what distance "
        f"{100 * coverage:g} % of true numbers are, which takes {fewest(coverage):,}: there is none"
    ]


def rejection(validation: int, settings: Params) -> list[str]:
    """A line if a classifier has too few validation examples to reject any input, else none."""
    coverage = settings.problem.coverage
    if coverage is None or validation >= fewest(coverage):
        return []
    line = (
        f'"none of these": every input gets a class, as {validation:,} validation examples are too '
        f"few to reject any and still answer {100 * coverage:g} % of new ones; that takes "
        f"{fewest(coverage):,}"
    )
    # That of `fewest`, the other way round, with a digit less
    possible = int(100 * RISK ** (1 / max(validation, 1))) / 100
    if possible < LEAST_COVERAGE:
        return [line]
    return [f"{line}, but with problem.coverage: {possible:g} these are enough"]


def _folds(parts: Parts) -> int:
    """How many there are if params.yaml asks for them, even though they judge badly."""
    return parts.folds or FOLDS


def has_folds(settings: Params) -> bool:
    return settings.evaluate.folds != NONE


def _gate(unseen: int, settings: Params, counts: Sequence[int]) -> str:
    bound, max_accuracy_drop = _bound(unseen, settings, counts), settings.export.max_accuracy_drop
    name = settings.problem.metric
    of_metric = "" if name == ACCURACY else f" of {metrics.METRICS[name].words}"
    points = f"{100 * max_accuracy_drop:.2g} points"
    if bound <= max_accuracy_drop:
        return f"gate: {unseen:,} unseen examples can prove a loss of at most {points}{of_metric}"
    return (
        f"gate: {unseen:,} unseen examples show at best that a file loses at most "
        f"{100 * bound:.2f} points{of_metric}, and export.max_accuracy_drop asks for {points}: "
        "files will be `not shown`, which does not stop the run"
    )


def _bound(unseen: int, settings: Params, counts: Sequence[int]) -> float:
    name = settings.problem.metric
    if name == ACCURACY or not counts:
        return statistics.accuracy_lost_bound(0, 0, unseen)
    of_class = [max(1, round(unseen * count / sum(counts))) for count in counts]
    return metrics.lost_at_best(name, of_class)


def classes(data: Survey, is_balanced: bool = True) -> list[str]:
    """Classes or labels that are rare, or much rarer than others. A number has none."""
    counts = data.counts
    if not counts:
        return []
    one_each = one_class_each(data.target)
    names = sorted(counts, key=lambda name: counts[name])
    rarest, largest, lines = names[0], names[-1], []
    if one_each and counts[largest] > UNEVEN * counts[rarest]:
        lines.append(
            f"{largest} has {counts[largest]:,} examples and {rarest} {counts[rarest]:,}"
            + (SET_EVEN if is_balanced else TO_SET_EVEN)
        )
    rare = [name for name in names if counts[name] < FEWEST]
    if rare:
        more = f" and {len(rare) - 5:,} more" if len(rare) > 5 else ""
        lines.append(
            f"fewer than {FEWEST} examples of {', '.join(rare[:5])}{more}: too few to learn "
            f"from, and to test with; add some, or leave the {'class' if one_each else 'label'} out"
        )
    cut = 3 - sum(data.examples.get(part, 0) > 0 for part in ("validation", "test"))
    if data.groups and data.groups_of_class < cut:
        noun = "groups" if data.group else "recordings" if data.is_of_sensors else "files"
        why = " (preprocess.group)" if data.group else ", each for one split"
        lines.append(
            f"a class is in {data.groups_of_class} of {data.groups} {noun}{why}, so a split will "
            f"lack it, and `edgeproof run` will refuse that: add {noun} with it, or leave it out"
        )
    return lines


def training(settings: Params, parts: Parts, speed: Speed) -> str:
    """How long it takes, as a range, and how much memory."""
    train, epochs = settings.train, settings.train.epochs
    on_features = cost.epochs_on_features(settings)
    seconds = parts.train * speed.training + parts.validation * speed.inference
    total = (epochs - on_features) * seconds
    count = _folds(parts)
    in_folds = (count - 1) * total  # each trains on all folds but one
    if on_features:  # which are computed once
        in_folds += count * on_features * HEAD_SECONDS
        total += on_features * HEAD_SECONDS + (parts.train + parts.validation) * speed.inference
    folds = f", {_range(in_folds)} for the same in {count} folds"
    low, high = OTHER_STAGES_SECONDS
    emulated = emulated_images(settings) * EMULATED * speed.inference / CORES
    others = f"{stage.duration(low + emulated)} to {stage.duration(high + SLOWER * emulated)}"
    return (
        f"time: {_range(total)} for {epochs} epochs of {train.architecture} on this machine"
        f"{folds if has_folds(settings) else ''}"
        f", and {others} for the other stages; memory: {_bytes(speed.memory_bytes)}"
    )


def emulated_images(settings: Params) -> int:
    """How many images all files together answer on emulated processors."""
    sample = settings.verify.processor_images
    few = max(1, sample // FLOAT_SHARE)
    return sum(
        TELLING + (few if "float" in name else sample)
        for _, runtime in settings.verify.places
        for name in settings.export.formats
        if name.startswith("onnx") == (runtime == "onnxruntime")
    )


def _range(seconds: float) -> str:
    return " to ".join(stage.duration(factor * seconds) for factor in (FASTER, SLOWER))


def model(files: NetworkFiles, export_format: str) -> list[str]:
    """The model's size, in float32 and in `embed.format`, and what it needs without Python."""
    lines = [
        f"model: {files.parameters:,} parameters; float32 file {_bytes(files.float_bytes)}, "
        f"{export_format.removeprefix('tflite_')} file {_bytes(files.integer_bytes)}"
    ]
    if files.multiply_accumulates is not None:
        lines[0] += f"; {files.multiply_accumulates / 1e6:.1f} million multiplications an example"
    if files.c_arena_bytes is not None:
        lines.append(
            f"C: {files.c_flash_bytes:,} bytes of constants, arena of {files.c_arena_bytes:,}"
        )
    if files.micro_arena_bytes is not None:
        lines.append(
            f"TensorFlow Lite Micro: about {files.micro_flash_bytes:,} bytes of flash, arena of "
            f"{files.micro_arena_bytes:,} (up to {files.micro_arena_bytes_esp32:,} with ESP-NN)"
        )
    elif files.refused:
        lines.append(f"no microcontroller: {files.refused}")
    return lines


def board(files: NetworkFiles, name: str | None) -> list[str]:
    """Whether the named board takes the model; which ones do, if none is named."""
    if files.micro_arena_bytes is None:
        return []
    if name is None:
        fitting = [candidate for candidate in BOARDS if not files.misfit(candidate)]
        return [f"boards that take it: {', '.join(fitting) or 'none of ' + ', '.join(BOARDS)}"]
    fault = files.misfit(name)
    return [f"{name} does not take it: {fault}" if fault else f"{name} takes it"]


def _bytes(count: int) -> str:
    """A number of bytes for people."""
    if count >= 2**30:
        return f"{count / 2**30:.1f} GiB"
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 2**10:.0f} KiB"
