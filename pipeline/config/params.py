"""params.yaml as typed, frozen objects. The only reader of that file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.config import framing, named_by_dvc, parts, quantized, starts, validation_message
from pipeline.config.device_files import Embed, Export, InTheField, Package, Verify
from pipeline.config.own_model import OwnModel
from pipeline.config.parts import checked_name
from pipeline.config.problem import Problem
from pipeline.config.section import Fraction, Options, ParamsSection
from pipeline.process.errors import UserError

FILE = Path("params.yaml")
NONE = named_by_dvc.NONE
ADDED_SHARE = 0.05  # of the target: what a file may add to the error if params.yaml does not say

AnyOptions = TypeVar("AnyOptions", bound=Options)

# Rounded to what devices compute with
Region = list[Annotated[float, AfterValidator(partial(round, ndigits=framing.DIGITS))]]


class Dataset(ParamsSection):
    """What every dataset has. The other keys are options, which the module of a dataset declares.

    So a misspelt key is found here, and a wrong value of an option where the dataset is loaded.
    """

    model_config = ConfigDict(extra="allow")

    name: Annotated[str, AfterValidator(partial(checked_name, "datasets"))]
    path: str = NONE
    other: str = NONE
    framing: Literal["resize", "letterbox", "centre_crop"] | Region = "resize"
    test: Fraction = 0.2

    @model_validator(mode="after")
    def _frames_photos(self) -> Self:
        framing.check(self.framing, self.name)
        return self

    @model_validator(mode="after")
    def _has_known_keys(self) -> Self:
        known = parts.options("datasets")
        for key in self.model_extra or {}:
            if key not in known:
                expected = ", ".join([*type(self).model_fields, *known])
                raise ValueError(f"{key} is not a known key; expected one of {expected}")
        return self

    def options(self, kind: type[AnyOptions]) -> AnyOptions:
        """The values of a dataset's own options. Raises UserError for a wrong one."""
        return validation_message.checked(kind, self.model_extra or {}, "dataset.")


class Preprocess(ParamsSection):
    subset: PositiveInt | None
    validation: Fraction | PositiveInt
    order: Literal["stratified", "random", "first", "last"]
    seed: int
    group: str | None = None
    corrections: str = NONE
    store: Literal["pixels", "compressed"] = "pixels"


class KerasObject(ParamsSection):
    """A Keras object by its class name and config, as `keras.saving` serializes it."""

    class_name: str
    config: dict[str, Any] = Field(default={})


Name = str | KerasObject  # the name alone if the object needs no config
Rate = Annotated[float, Field(ge=0, lt=1)]
Place = Literal["none", "before", "after"]
End = Literal["flatten", "mean"]


class Network(ParamsSection):
    """The layers of an architecture; None: the architecture's own value.

    A list holds one value for each hidden layer.
    """

    hidden: Annotated[list[PositiveInt], Field(min_length=1)] | None = None
    width: PositiveFloat | None = None
    convolution: Literal["full", "separable"] | None = None
    end: End | None = None
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


class Thaw(ParamsSection):
    """After `after` epochs only `freeze` layers stay frozen, at this learning rate."""

    after: PositiveInt
    freeze: NonNegativeInt
    learning_rate: PositiveFloat


class Train(ParamsSection):
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
    augmentation: list[KerasObject] | Literal["digits", "photos_light", "photos_strong", "speech"]
    outliers: Rate = 0.0
    keep: Literal[
        "validation_loss",
        "validation_accuracy",
        "validation_balanced_accuracy",
        "validation_macro_f1",
        "last",
    ]
    patience: PositiveInt | None
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"]
    quantization_aware: bool = False
    steps_per_execution: PositiveInt
    processes: PositiveInt = 1

    @property
    def starts_from_a_file(self) -> bool:
        return self.start_from != NONE

    @property
    def starts_from_a_backbone(self) -> bool:
        """Whether its layers come from a published network, and not from a model of ours."""
        return self.weights != "none" or self.start_from.endswith(".h5")

    @property
    def quantized_epochs(self) -> int:
        """How many epochs, the last ones, train with the rounding of int8."""
        return quantized.epochs(self.epochs) if self.quantization_aware else 0

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        starts.check(self.weights, self.start_from, self.architecture)
        # A full batch is cut to fit
        if isinstance(self.batch_size, int) and self.batch_size % self.processes:
            raise ValueError(
                f"batch_size is {self.batch_size}, and {self.processes} processes share a batch; "
                f"expected a multiple of {self.processes}"
            )
        if self.quantization_aware:
            quantized.check(self.model_dump())
        return self


class Evaluate(ParamsSection):
    folds: str = NONE


class Watch(ParamsSection):
    tensorboard: bool


class Params(ParamsSection):
    problem: Problem
    dataset: Dataset
    preprocess: Preprocess
    model: OwnModel = OwnModel()
    train: Train
    evaluate: Evaluate = Evaluate()
    export: Export
    verify: Verify
    embed: Embed
    package: Package = Package()
    field: InTheField
    watch: Watch

    @model_validator(mode="after")
    def _judges_what_it_trains(self) -> Self:
        folds, unit = self.evaluate.folds, self.problem.unit
        if self.model.is_given and folds != NONE:
            raise ValueError(
                f"evaluate.folds is {folds}, which judges a recipe by models that it trained, and "
                f"model.path is {self.model.path}; expected {NONE}, or model.path {NONE}"
            )
        if unit is not None and folds != NONE:
            raise ValueError(
                f"evaluate.folds is {folds}, and problem.unit is {unit}: the error of a number is "
                f"judged on the test set; expected {NONE}"
            )
        return self

    @model_validator(mode="after")
    def _keeps_by_the_metric(self) -> Self:
        keep, metric = self.train.keep, self.problem.metric
        expected = ("validation_loss", f"validation_{metric}", "last")
        if keep not in expected:
            raise ValueError(
                f"train.keep is {keep}, and problem.metric is {metric}; expected "
                f"{', '.join(expected[:-1])} or last"
            )
        return self

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
    settings = parsed(path.read_bytes(), path)
    named_by_dvc.check(settings, path)
    return settings


def parsed(text: str | bytes, path: Path) -> Params:
    """The contents of `path`, checked. Raises UserError as `load` does."""
    try:
        values = YAML(typ="safe").load(text if isinstance(text, str) else text.decode())
    except (YAMLError, UnicodeDecodeError) as error:
        fault = validation_message.yaml_fault(error)
        raise UserError(f"{path} is not readable YAML: {fault}") from None
    return validation_message.checked(Params, values, f"{path}: ")


def load_or_none() -> Params | None:
    """params.yaml; None if it is wrong: for what a later run can prepare as well."""
    try:
        return load()
    except UserError:
        return None


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
    return validation_message.checked(Params, values)
