"""A value for each choice in params.yaml, with its reason, by what the data are and how many.

The small values are those that worked on few images: small batches, so that there are steps enough,
a low rate, and many epochs. Those for 30,000 images and more are params.yaml's own, for MNIST. The
numbers behind them are in docs/training.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.boards import BOARDS
from pipeline.config.overrides import Overrides
from pipeline.config.own_model import NO_MODEL
from pipeline.files.splits import validation_count
from pipeline.planning.networks import PHOTO, Network
from pipeline.planning.survey import Survey

TEST = 0.2
FEW = 2000  # images outside the test set: below that a fifth of them validates, not a tenth
UNEVEN = 3  # times that the largest class may exceed the smallest
EVERY = "every class counts the same, also those with few examples"
STEPS, FEWEST_EPOCHS, MOST_EPOCHS = 2500, 12, 80
LEAST_TARGET = 0.8
NAMED = 12  # classes that a sentence names
ARENA_BYTES = 65_536  # of a microcontroller that is not named
RARE = 50  # images of a class; fewer are a limit worth stating
FORMATS = [
    *("tflite_float32", "tflite_float16", "tflite_dynamic", "tflite_int8"),
    *("onnx_float32", "onnx_int8"),
]
RUNTIMES = ["tflite_runtime", "litert", "onnxruntime", "tflite_micro"]
# Those that lose no accuracy; int8 files of the backbone do.
FLOAT_FORMATS = ["tflite_float32", "tflite_float16", "onnx_float32"]
NOUNS = {"pixels": "image", "series": "series of measurements", "ids": "list of ids"}


@dataclass(frozen=True)
class Choice:
    """A value of params.yaml, and why; a value that only fits the others has no reason."""

    key: str
    value: object
    reason: str = ""


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
        *_problem(data, path),
        *_dataset(data, network),
        *_preprocess(data),
        *_train(data, network),
        *_devices(data, network, board),
    ]


def overrides(choices: Sequence[Choice]) -> Overrides:
    return {choice.key: choice.value for choice in choices}


def _problem(data: Survey, path: Path) -> list[Choice]:
    noun = "photo" if data.kind == "pixels" and not data.size else NOUNS[data.kind]
    classes, count = _named(data.class_names), len(data.class_names)
    several = data.target == "labels"
    verb = "does the photo show" if noun == "photo" else f"is the {noun}"
    question = f"Which of {count} classes {verb}: {classes}?"
    answer = (
        f"Anything that is none of the {count} classes is often taken for one of them; the answer "
        'is "none of these" only if the model is unsure.'
    )
    if several:
        question = f"Which of {count} labels hold for the {noun}: {classes}?"
        answer = f"Only these {count} labels are known; whatever else is there gets none."
    total, rarest = data.examples["train"], min(data.counts, key=lambda name: data.counts[name])
    plural = noun if noun.startswith(("series", "list")) else f"{noun}s"
    limits = [
        answer,
        f"It was trained on a part of {total:,} {plural}. What they do not show, such as other "
        "devices, places and conditions, may be recognized worse.",
    ]
    if data.counts[rarest] < RARE:
        limits.append(f"Of {rarest} there were only {data.counts[rarest]} {plural}.")
    use = f"Telling apart {classes}, in {plural} made like those of the training set."
    majority = max(data.counts.values()) / max(sum(data.counts.values()), 1)
    if is_uneven(data):
        majority = 1 / count
    target = LEAST_TARGET if several else max(LEAST_TARGET, round((1 + majority) / 2, 2))
    uneven = [Choice("problem.metric", "balanced_accuracy", EVERY)] if is_uneven(data) else []
    return [
        Choice("problem.name", _slug(path)),
        Choice("problem.version", "1.0.0"),
        Choice("problem.statement", question),
        Choice("problem.use", use),
        Choice("problem.limits", limits),
        Choice(
            "problem.target",
            target,
            "a guess: set what is good enough for the job, as there is no bundle below it",
        ),
        *uneven,
    ]


def is_uneven(data: Survey) -> bool:
    """Whether a class has so few examples that it would hardly count in accuracy and loss."""
    sizes = data.counts.values()
    return data.target == "classes" and max(sizes) > UNEVEN * min(sizes)


def _slug(path: Path) -> str:
    """The name of the folder or file as problem.name takes it."""
    plain = re.sub(r"[^a-z0-9._-]+", "-", path.resolve().stem.lower()).strip("-._")
    return plain or "my-classes"


def _named(names: Sequence[str]) -> str:
    if len(names) > NAMED:
        return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more"
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _dataset(data: Survey, network: Network) -> list[Choice]:
    choices = [Choice(f"dataset.{key}", value) for key, value in data.values.items()]
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
    return [*choices, Choice("preprocess.group", data.group, group)]


def _train(data: Survey, network: Network) -> list[Choice]:
    images = parts(data).train
    size = next(size for size in SIZES if images < size.images)
    epochs = min(max(round(STEPS * size.batch / images), FEWEST_EPOCHS), MOST_EPOCHS)
    batch, rate, decay = size.batch, size.rate, 0.1
    epochs_reason = f"about {epochs * -(-images // batch):,} steps"
    weights = "none"
    if network.is_backbone:
        batch, rate, decay, epochs, weights = 32, 0.003, 0.05, 20, "imagenet"
        epochs_reason = "only the output layer is trained, which takes little"
    several = data.target == "labels"
    smoothed = {"class_name": "CategoricalCrossentropy", "config": {"label_smoothing": 0.05}}
    hidden = [16, 16] if data.kind == "ids" else None
    dropout = 0.5 if data.kind == "ids" else None
    return [
        Choice("train.architecture", network.architecture, network.reason),
        Choice("train.network.hidden", hidden),
        Choice("train.network.width", None),
        Choice("train.network.dropout", dropout),
        Choice("train.network.output", None),
        Choice("train.weights", weights),
        Choice("model.path", NO_MODEL),
        Choice("train.start_from", "pipeline/none"),
        Choice("train.freeze", None),
        Choice("train.thaw", []),
        Choice("train.epochs", epochs, epochs_reason),
        Choice("train.batch_size", batch, _batch_reason(images, batch)),
        Choice(
            "train.loss",
            "BinaryCrossentropy" if several else smoothed,
            "several labels at once" if several else "labels smoothed, as a few may be wrong",
        ),
        *([Choice("train.class_weights", "balanced", EVERY)] if is_uneven(data) else []),
        Choice("train.optimizer", {"class_name": "AdamW", "config": {"weight_decay": decay}}),
        Choice("train.learning_rate", rate, f"fits batches of {batch}"),
        Choice("train.schedule", "cosine"),
        _augmentation(data, network),
    ]


def _batch_reason(images: int, batch: int) -> str:
    if batch < 256:
        return f"{images:,} training examples make {-(-images // batch)} steps an epoch"
    return f"{images:,} training examples are enough for large batches"


def _augmentation(data: Survey, network: Network) -> Choice:
    key = "train.augmentation"
    if data.kind != "pixels":
        return Choice(key, [], "for images only")
    if network.is_backbone:
        return Choice(key, [], "so that the frozen layers are computed only once")
    if data.colour or data.side >= PHOTO:
        reason = "it also mirrors; take digits if left and right matter, as in letters"
        return Choice(key, "photos_light", reason)
    return Choice(key, "digits", "small shifts, which change no meaning")


def _devices(data: Survey, network: Network, board: str | None) -> list[Choice]:
    choices = [Choice("export.formats", FORMATS), Choice("verify.runtimes", RUNTIMES)]
    if network.is_backbone:
        reason = "its int8 files lose accuracy; add tflite_int8 to see what the gate says"
        choices[0] = Choice("export.formats", FLOAT_FORMATS, reason)
    if data.kind == "ids":
        reason = "TensorFlow Lite Micro lacks an operator"
        choices[1] = Choice("verify.runtimes", RUNTIMES[:-1], reason)
    arena = Choice("embed.arena_bytes", ARENA_BYTES)
    if board:
        ram = f"what {board} has for a model ({BOARDS[board].source})"
        arena = Choice("embed.arena_bytes", BOARDS[board].ram_bytes, ram)
    return [*choices, arena, Choice("embed.board", board)]
