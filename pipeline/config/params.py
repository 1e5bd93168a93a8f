"""params.yaml as typed, frozen objects. The only reader of that file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.config import framing, starts, validation_message
from pipeline.config.boards import checked_board
from pipeline.config.parts import checked_name, choices
from pipeline.config.processors import EMULATED, NATIVE, WHEELS
from pipeline.process.errors import UserError

FILE = Path("params.yaml")
NONE = starts.NONE
ADDED_SHARE = 0.05  # of the target: what a file may add to the error if params.yaml does not say
NO_OTHERS = "pipeline/no_others"  # as NONE; DVC takes a file as a dependency once

Fraction = Annotated[float, Field(gt=0, lt=1)]


# Rounded to what devices compute with
Region = list[Annotated[float, AfterValidator(partial(round, ndigits=framing.DIGITS))]]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Problem(Section):
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    version: Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+-]*$")]
    statement: str
    use: str
    limits: list[str]
    target: Annotated[float, Field(ge=0)]
    unit: Annotated[str, Field(min_length=1, max_length=40)] | None = None
    coverage: Fraction | None = None
    max_error: Fraction | None = None

    @model_validator(mode="after")
    def _fits_the_answer(self) -> Self:
        if self.unit is None and self.target > 1:
            raise ValueError(
                f"target is {self.target:g}, and unit is null; expected a target from 0 to 1, or "
                "the unit of the number that the model gives"
            )
        if self.unit is not None and self.target == 0:
            raise ValueError("target is 0, an error that no model reaches; expected one above 0")
        if self.unit is not None and self.max_error is not None:
            raise ValueError(
                f"max_error is {self.max_error:g}, the share of wrong answers, and a number is not "
                "right or wrong; expected null with a unit"
            )
        return self


class Dataset(Section):
    name: Annotated[str, AfterValidator(partial(checked_name, "datasets"))]
    path: str = NONE
    other: str = NO_OTHERS
    labels: str = "labels.csv"
    height: PositiveInt = 28
    width: PositiveInt = 28
    channels: Literal[1, 3] = 1
    framing: Literal["resize", "letterbox", "centre_crop"] | Region = "resize"
    rate: Annotated[int, Field(ge=4000, le=48000)] = 8000
    seconds: Annotated[float, Field(gt=0, le=60)] = 1.0
    window: Annotated[int, Field(ge=2, le=512)] = 256
    hop: PositiveInt = 128
    bands: Annotated[int, Field(ge=1, le=128)] = 32
    test: Fraction = 0.2
    vocabulary: PositiveInt = 10000
    length: PositiveInt = 512

    @model_validator(mode="after")
    def _frames_photos(self) -> Self:
        framing.check(self.framing, self.name)
        return self


class Preprocess(Section):
    subset: PositiveInt | None
    validation: Fraction | PositiveInt
    order: Literal["stratified", "random", "first", "last"]
    seed: int
    group: str | None = None
    corrections: str = NONE


class KerasObject(Section):
    """A Keras object by its class name and config, as `keras.saving` serializes it."""

    class_name: str
    config: dict[str, Any] = {}


Name = str | KerasObject  # the name alone if the object needs no config
Rate = Annotated[float, Field(ge=0, lt=1)]
Place = Literal["none", "before", "after"]


class Network(Section):
    """The layers of an architecture; None: the architecture's own value.

    A list holds one value for each hidden layer.
    """

    hidden: Annotated[list[PositiveInt], Field(min_length=1)] | None = None
    width: PositiveFloat | None = None
    activation: Name | list[Name | None] | None = None
    kernel_initializer: Name | list[Name | None] | None = None
    kernel_regularizer: Name | list[Name | None] | None = None
    normalization: Place | list[Place | None] | None = None
    normalization_momentum: Rate | None = None
    input_normalization: bool | None = None
    dropout: Rate | list[Rate | None] | None = None
    input_dropout: Rate | None = None
    dropout_layer: Name | None = None
    drop_connect: Rate | None = None
    output: Literal["softmax", "sigmoid", "sigmoids", "linear"] | None = None

    def over(self, other: Network) -> Network:
        """This network, with the values of `other` where it has None."""
        return other.model_copy(update={name: value for name, value in self if value is not None})


class Thaw(Section):
    """After `after` epochs only `freeze` layers stay frozen, at this learning rate."""

    after: PositiveInt
    freeze: NonNegativeInt
    learning_rate: PositiveFloat


class Train(Section):
    architecture: Annotated[str, AfterValidator(partial(checked_name, "architectures"))]
    network: Network
    weights: Literal["none", "imagenet"] = "none"
    start_from: Annotated[str, AfterValidator(starts.checked_file)]
    start_layers: Literal["hidden", "all"] | PositiveInt
    freeze: NonNegativeInt | Literal["all"] | None
    thaw: list[Thaw]
    seed: Annotated[int, Field(ge=0)]
    epochs: PositiveInt
    batch_size: PositiveInt | Literal["full"]
    loss: Name
    class_weights: Literal["balanced"] | None = None
    metrics: list[Name]
    optimizer: Name
    learning_rate: PositiveFloat
    schedule: Literal["cosine", "constant"] | KerasObject
    warmup: Rate
    augmentation: list[KerasObject] | Literal["digits", "photos_light", "photos_strong"]
    outliers: Rate = 0.0
    keep: Literal["validation_loss", "validation_accuracy", "last"]
    patience: PositiveInt | None
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"]
    steps_per_execution: PositiveInt

    @property
    def starts_from_a_file(self) -> bool:
        return self.start_from != NONE

    @property
    def starts_from_a_backbone(self) -> bool:
        """Whether its layers come from a published network, and not from a model of ours."""
        return self.weights != "none" or self.start_from.endswith(".h5")

    @model_validator(mode="after")
    def _starts_from_one(self) -> Self:
        starts.check(self.weights, self.start_from, self.architecture)
        return self


class Export(Section):
    formats: Annotated[list[str], Field(min_length=1)]
    calibration_images: PositiveInt
    max_accuracy_drop: Fraction
    max_error_added: PositiveFloat | None = None

    @field_validator("formats")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        if len(set(names)) < len(names):
            raise ValueError("a format is named twice; expected each once")
        return [checked_name("formats", name) for name in names]


Runtime = Literal["tflite_runtime", "litert", "onnxruntime", "tflite_micro"]


class Verify(Section):
    runtimes: Annotated[list[Runtime], Field(min_length=1)]
    processors: Annotated[list[str], Field(min_length=1)] = [NATIVE]
    emulated_runtimes: list[Runtime] = ["litert", "onnxruntime"]
    processor_images: PositiveInt = 100
    require: Literal["proven", "not worse"] = "not worse"
    latency_runs: Annotated[int, Field(ge=50)]
    micro_images: PositiveInt
    micro_max_accuracy_drop: Fraction

    @field_validator("processors")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        processors = [NATIVE, *EMULATED]
        for name in names:
            if name not in processors:
                raise ValueError(f"{name!r} is not one of {', '.join(processors)}")
        if len(set(names)) < len(names):
            raise ValueError("a processor is named twice; expected each once")
        if NATIVE not in names:
            raise ValueError(
                f"{NATIVE} is missing; add it, as emulated processors are compared with this one"
            )
        return names

    @model_validator(mode="after")
    def _each_has_a_runtime(self) -> Self:
        used = {name for name, _ in self.places}
        for name in self.processors:
            if name in EMULATED and name not in used:
                wheels = ", ".join(sorted(WHEELS[EMULATED[name].architecture]))
                raise ValueError(
                    f"emulated_runtimes has no runtime with a wheel for {name}; "
                    f"add one of {wheels}, or remove {name} from processors"
                )
        return self

    @property
    def places(self) -> list[tuple[str, str]]:
        """Each emulated processor with each emulated runtime that has a wheel for it."""
        return [
            (name, runtime)
            for name in self.processors
            if name in EMULATED
            for runtime in self.emulated_runtimes
            if runtime in WHEELS[EMULATED[name].architecture]
        ]


class Embed(Section):
    targets: Literal["all"] | list[str]
    images: PositiveInt
    programs: list[Literal["aarch64", "armv7", "x86_64"]]
    arena_bytes: PositiveInt
    board: Annotated[str, AfterValidator(checked_board)] | None = None

    @field_validator("targets")
    @classmethod
    def _known(cls, targets: str | list[str]) -> str | list[str]:
        if isinstance(targets, list):
            if len(set(targets)) < len(targets):
                raise ValueError("a target is named twice; expected each once")
            targets = [checked_name("embedded", name) for name in targets]
        return targets

    @model_validator(mode="after")
    def _board_is_tried(self) -> Self:
        if self.board and "microcontroller" not in self.names:
            raise ValueError(
                f"board is {self.board}, and targets does not hold microcontroller; add it"
            )
        return self

    @property
    def names(self) -> list[str]:
        """The targets to write, in this order."""
        return choices("embedded") if isinstance(self.targets, str) else self.targets


class Package(Section):
    acceptance_images: NonNegativeInt = 1000


class Evaluate(Section):
    folds: str = NONE


class InTheField(Section):
    max_accuracy_drop: Fraction
    false_alarms: Fraction


class Watch(Section):
    tensorboard: bool


class Params(Section):
    problem: Problem
    dataset: Dataset
    preprocess: Preprocess
    train: Train
    evaluate: Evaluate = Evaluate()
    export: Export
    verify: Verify
    embed: Embed
    package: Package = Package()
    field: InTheField
    watch: Watch

    def max_loss(self, *, micro: bool = False) -> float:
        """What a file may lose: accuracy, or for numbers what it may add to the error.

        A `micro` interpreter is slow and sees fewer images, which prove less of an accuracy.
        """
        if self.problem.unit is not None:
            return self.max_error_added
        return self.verify.micro_max_accuracy_drop if micro else self.export.max_accuracy_drop

    @property
    def max_error_added(self) -> float:
        """What a file may add to the mean absolute error, in the unit of the target."""
        return self.export.max_error_added or ADDED_SHARE * self.problem.target


def load(path: Path = FILE) -> Params:
    """Reads and checks `path`. Raises UserError with the key, the fault and what was expected."""
    return parsed(path.read_bytes(), path)


def parsed(text: str | bytes, path: Path) -> Params:
    """The contents of `path`, checked. Raises UserError as `load` does."""
    try:
        values = YAML(typ="safe").load(text if isinstance(text, str) else text.decode())
    except (YAMLError, UnicodeDecodeError) as error:
        fault = validation_message.yaml_fault(error)
        raise UserError(f"{path} is not readable YAML: {fault}") from None
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{path}: {validation_message.sentence(error, values, Params)}") from None


def override(settings: Params, overrides: Mapping[str, Any]) -> Params:
    """`settings` with the given values by dotted key, as `dvc exp run -S` sets them.

    Raises UserError as `load` does.
    """
    values = settings.model_dump(mode="json")
    for key, value in overrides.items():
        *sections, last = key.split(".")
        section = values
        for name in sections:
            section = section.setdefault(name, {})
            if not isinstance(section, dict):
                raise UserError(
                    f"{key} is not a known key: {name} is {section!r}, which has no keys of its own"
                )
        section[last] = value
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise UserError(validation_message.sentence(error, values, Params)) from None
