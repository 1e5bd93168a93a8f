"""The sections of params.yaml on the files for devices: how they are made, proven and packed."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from pipeline.config.boards import checked_board
from pipeline.config.parts import checked_name, choices, runs_on_micro
from pipeline.config.processors import EMULATED, NATIVE, WHEELS, has_wheel
from pipeline.config.section import Fraction, ParamsSection

Runtime = Literal["tflite_runtime", "litert", "onnxruntime", "tflite_micro"]


def _check_each_once(names: list[str], what: str) -> None:
    if len(set(names)) < len(names):
        raise ValueError(f"{what} is named twice; expected each once")


class Export(ParamsSection):
    formats: Annotated[list[str], Field(min_length=1)]
    calibration_images: PositiveInt
    max_accuracy_drop: Fraction
    max_error_added: PositiveFloat | None = None

    @field_validator("formats")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        _check_each_once(names, "a format")
        return [checked_name("formats", name) for name in names]


class Verify(ParamsSection):
    runtimes: Annotated[list[Runtime], Field(min_length=1)]
    processors: Annotated[list[str], Field(min_length=1)] = Field(default=[NATIVE])
    emulated_runtimes: list[Runtime] = Field(default=["litert", "onnxruntime"])
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
        _check_each_once(names, "a processor")
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

    @property
    def installed(self) -> list[str]:
        """The runtimes that need an environment on this machine."""
        named = [*self.runtimes, *(runtime for _, runtime in self.places)]
        return [runtime for runtime in dict.fromkeys(named) if has_wheel(runtime)]

    @property
    def lacking(self) -> list[str]:
        """The runtimes that this machine cannot install."""
        return [runtime for runtime in self.runtimes if not has_wheel(runtime)]


class Embed(ParamsSection):
    targets: Literal["all"] | list[str]
    format: str = "tflite_int8"
    images: PositiveInt
    programs: list[Literal["aarch64", "armv7", "x86_64"]]
    arena_bytes: PositiveInt
    board: Annotated[str, AfterValidator(checked_board)] | None = None

    @field_validator("targets")
    @classmethod
    def _known(cls, targets: str | list[str]) -> str | list[str]:
        if isinstance(targets, list):
            _check_each_once(targets, "a target")
            targets = [checked_name("embedded", name) for name in targets]
        return targets

    @field_validator("format")
    @classmethod
    def _of_integers(cls, name: str) -> str:
        possible = [other for other in choices("formats") if runs_on_micro(other)]
        if name not in possible:
            raise ValueError(f"expected one of {', '.join(possible)}")
        return name

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


class Package(ParamsSection):
    acceptance_images: NonNegativeInt = 1000


class InTheField(ParamsSection):
    max_accuracy_drop: Fraction
    max_error_increase: PositiveFloat | None = None
    false_alarms: Fraction
