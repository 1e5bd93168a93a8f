"""A value for each choice in params.yaml, with its reason, by what the data are and how many.

The small values are those that worked on few images: small batches, so that there are steps enough,
a low rate, and many epochs. Those for 30,000 images and more are params.yaml's own, for MNIST. The
numbers behind them are in docs/training.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.boards import BOARDS
from pipeline.config.overrides import Overrides
from pipeline.config.own_model import NO_MODEL
from pipeline.config.params import NONE
from pipeline.files.reports.folds import FOLDS, FoldsReport
from pipeline.files.splits import validation_count
from pipeline.planning import problem, sounds
from pipeline.planning.choice import Choice
from pipeline.planning.data import Survey
from pipeline.planning.networks import PHOTO, SMALL_BACKBONE, Network
from pipeline.reporting.statistics import FEW_TESTED

TEST = 0.2
FEW = 2000  # images outside the test set: below that a fifth of them validates, not a tenth
STEPS, FEWEST_EPOCHS, MOST_EPOCHS = 2500, 12, 80
HEAD_EPOCHS, THAWED_STEPS, FEWEST_THAWED, MOST_THAWED, THAWED_RATE = 10, 1200, 5, 20, 0.0003
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


@dataclass(frozen=True)
class Size:
    """Up to `images` for training: the batch size and the highest rate of AdamW."""

    images: float
    batch: int
    rate: float


SIZES = (
    Size(2_000, 32, 0.001),
    Size(10_000, 64, 0.003),
    Size(30_000, 128, 0.005),
    Size(float("inf"), 256, 0.01),
)


@dataclass(frozen=True)
class Parts:
    """How many examples each split will have."""

    train: int
    validation: int
    test: int

    @property
    def unseen(self) -> int:
        return self.validation + self.test


def parts(data: Survey) -> Parts:
    """The splits, with TEST and `validation_share` where the data have none of their own."""
    examples, test = data.examples["train"], data.examples.get("test", 0)
    if not test:
        test = round(TEST * examples)
        examples -= test
    validation = data.examples.get("validation", 0)
    if not validation:
        validation = validation_count(validation_share(examples), examples)
        examples -= validation
    return Parts(examples, validation, test)


def validation_share(examples: int) -> float:
    return 0.2 if examples < FEW else 0.1


def propose(data: Survey, path: Path, network: Network, board: str | None) -> list[Choice]:
    """Every choice, in the order of params.yaml."""
    return [
        *problem.propose(data, path),
        *_dataset(data, network),
        *_preprocess(data),
        *_train(data, network),
        _folds(data),
        *_devices(data, network, board),
    ]


def overrides(choices: Sequence[Choice]) -> Overrides:
    return {choice.key: choice.value for choice in choices}


def _dataset(data: Survey, network: Network) -> list[Choice]:
    choices = [Choice(f"dataset.{key}", value) for key, value in data.values.items()]
    if data.kind == "sounds":
        return [*choices, *sounds.features(data), Choice("dataset.test", TEST)]
    if network.side is None:
        return choices
    why = "what the published weights take" if network.is_backbone else "more hardly help, and cost"
    shown = f"your pictures have about {data.side} pixels on the shorter side; {why}"
    colours = "your pictures have colours" if data.colour else "your pictures are grey"
    return [
        *choices,
        Choice("dataset.height", network.side, shown),
        Choice("dataset.width", network.side),
        Choice("dataset.channels", 3 if data.colour else 1, colours),
        Choice("dataset.test", TEST),
    ]


def _preprocess(data: Survey) -> list[Choice]:
    outside = data.examples["train"] - (0 if data.examples.get("test") else parts(data).test)
    share = validation_share(outside)
    size = f"{outside:,} outside the test set are {'few' if outside < FEW else 'enough'}"
    reason = f"{size}, so {'a fifth' if share == 0.2 else 'a tenth'} of them validates"
    if data.examples.get("validation"):
        reason = "not used: your data come with a validation set"
    choices = [
        Choice("preprocess.subset", None),
        Choice("preprocess.validation", share, reason),
        Choice("preprocess.order", "stratified"),
    ]
    if data.kind == "series":
        reason = "windows of one person or machine belong together; sort them by that"
        choices[-1] = Choice("preprocess.order", "first", reason)
    group = "a column of your list" if data.group else ""
    if data.group and data.kind == "sounds":
        group = "what the parentheses find in a file's name belongs together, such as a speaker"
    return [*choices, Choice("preprocess.group", data.group, group)]


def _train(data: Survey, network: Network) -> list[Choice]:
    images = parts(data).train
    size = next(size for size in SIZES if images < size.images)
    batch, rate, steps, decay = size.batch, size.rate, STEPS, 0.1
    if data.kind == "sounds":
        batch, rate, steps = sounds.batch(images), sounds.LEARNING_RATE, sounds.STEPS
    epochs = min(max(round(steps * batch / images), FEWEST_EPOCHS), MOST_EPOCHS)
    epochs_reason = f"about {epochs * -(-images // batch):,} steps"
    weights = "none"
    thaw = Choice("train.thaw", [])
    if network.is_backbone:
        batch, rate, decay, epochs, weights = 32, 0.003, 0.05, 20, "imagenet"
        epochs_reason = "only the output layer is trained, which takes little"
    if network == SMALL_BACKBONE:
        thaw = _thaw(images, batch)
        epochs, epochs_reason = HEAD_EPOCHS + _thawed(images, batch), "as train.thaw has them"
    hidden = [16, 16] if data.kind == "ids" else None
    dropout = 0.5 if data.kind == "ids" else None
    return [
        Choice("train.architecture", network.architecture, _architecture_reason(data, network)),
        Choice("train.network.hidden", hidden),
        Choice("train.network.width", None),
        Choice("train.network.dropout", dropout),
        Choice("train.network.output", None),
        Choice("train.weights", weights),
        Choice("model.path", NO_MODEL),
        Choice("train.start_from", NONE),
        Choice("train.freeze", None),
        thaw,
        Choice("train.epochs", epochs, epochs_reason),
        Choice("train.batch_size", batch, _batch_reason(images, batch)),
        _loss(data),
        _class_weights(data),
        Choice("train.optimizer", {"class_name": "AdamW", "config": {"weight_decay": decay}}),
        Choice("train.learning_rate", rate, f"fits batches of {batch}"),
        Choice("train.schedule", "cosine"),
        _augmentation(data, network),
        Choice("train.keep", "last" if data.kind == "sounds" else "validation_loss"),
    ]


def _architecture_reason(data: Survey, network: Network) -> str:
    if network.is_backbone and data.number:
        return f"{network.reason}; for a number that is an angle, a place or a size, try edge"
    return network.reason


def _loss(data: Survey) -> Choice:
    key = "train.loss"
    if data.target == "number":
        return Choice(key, "Huber", "a few numbers may be far off")
    if data.target == "labels":
        return Choice(key, "BinaryCrossentropy", "several labels at once")
    smoothed = {"class_name": "CategoricalCrossentropy", "config": {"label_smoothing": 0.05}}
    return Choice(key, smoothed, "labels smoothed, as a few may be wrong")


def _thaw(images: int, batch: int) -> Choice:
    """All layers of a small backbone learn, after its output layer has."""
    phase = {"after": HEAD_EPOCHS, "freeze": 0, "learning_rate": THAWED_RATE}
    count = _thawed(images, batch)
    reason = f"the output layer alone, then all layers for {count} epochs, as the network is small"
    return Choice("train.thaw", [phase], reason)


def _thawed(images: int, batch: int) -> int:
    return min(max(round(THAWED_STEPS * batch / images), FEWEST_THAWED), MOST_THAWED)


def _class_weights(data: Survey) -> Choice:
    if problem.is_uneven(data):
        return Choice("train.class_weights", "balanced", problem.EVERY)
    return Choice("train.class_weights", None)


def _batch_reason(images: int, batch: int) -> str:
    if batch < 256:
        return f"{images:,} training examples make {-(-images // batch)} steps an epoch"
    return f"{images:,} training examples are enough for large batches"


def _augmentation(data: Survey, network: Network) -> Choice:
    key = "train.augmentation"
    if data.kind == "sounds":
        return Choice(key, sounds.AUGMENTATION, "slower and higher, shifted, and in part masked")
    if data.kind != "pixels":
        return Choice(key, [], "for images only")
    if network.is_backbone:
        return Choice(key, [], "so that the frozen layers are computed only once")
    if data.target == "number":
        return Choice(key, [], "turned, mirrored or shifted, a picture may mean another number")
    if data.colour or data.side >= PHOTO:
        reason = "it also mirrors; take digits if left and right matter, as in letters"
        return Choice(key, "photos_light", reason)
    return Choice(key, "digits", "small shifts, which change no meaning")


def _folds(data: Survey) -> Choice:
    """Folds, if the test set is small and they can judge such data."""
    expected = parts(data)
    if expected.test >= FEW_TESTED:
        return Choice("evaluate.folds", NONE)
    reason = f"{expected.test:,} images for the test are few, but "
    if problem.is_uneven(data) or data.target == "number":
        return Choice("evaluate.folds", NONE, f"{reason}folds know accuracy alone")
    outside = 1 - (0 if data.examples.get("test") else TEST)
    if outside * min(data.counts.values()) < FOLDS or 0 < data.groups < 2 * FOLDS:
        units = "groups" if data.groups else "images of a class"
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


def _devices(data: Survey, network: Network, board: str | None) -> list[Choice]:
    drop = Choice("export.max_accuracy_drop", ACCURACY_DROP)
    choices = [Choice("export.formats", FORMATS), Choice("verify.runtimes", RUNTIMES)]
    if network.is_backbone:
        choices[0] = _formats_of_a_backbone(board)
    if network == SMALL_BACKBONE:
        reason = "a microcontroller takes int8 alone, which may cost such a network a point"
        drop = Choice(drop.key, 0.01, reason)
    if data.kind == "ids":
        reason = "TensorFlow Lite Micro lacks an operator"
        choices[1] = Choice("verify.runtimes", RUNTIMES[:-1], reason)
    arena = Choice("embed.arena_bytes", ARENA_BYTES)
    if board:
        ram = f"what {board} has for a model ({BOARDS[board].source})"
        arena = Choice("embed.arena_bytes", BOARDS[board].ram_bytes, ram)
    return [*choices, drop, *_processors(network, board), arena, Choice("embed.board", board)]


def _processors(network: Network, board: str | None) -> list[Choice]:
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
