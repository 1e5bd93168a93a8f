"""A change of params.yaml, and the situation after a training that calls for it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any

from pipeline.config.overrides import Overrides, written
from pipeline.config.params import Params
from pipeline.config.parts import declared
from pipeline.diagnosis.data_and_layer_rules import NEGLECTED, SMALL
from pipeline.files.reports.diagnose import DiagnosisReport
from pipeline.inputs import Kind, kind

CONFIG = ".config."  # in the key of a value for a Keras object


def rounded(rate: float) -> float:
    """A rate that reads well in a command: 0.003 / 10 is 0.00030000000000000003."""
    return float(f"{rate:.3g}")


@dataclass(frozen=True)
class Situation:
    """A training: its parameters, its verdict, and the data that is available."""

    params: Params
    verdict: str
    available: int  # training examples before validation is split off
    small_validation: bool = False  # as a note on the verdict says
    neglects_classes: bool = False  # rare ones, as a note says

    @classmethod
    def after(cls, settings: Params, diagnosis: DiagnosisReport, available: int) -> Situation:
        """After a training with this verdict."""
        return cls(
            settings,
            diagnosis.verdict,
            available,
            small_validation=SMALL in diagnosis.numbers,
            neglects_classes=NEGLECTED in diagnosis.numbers,
        )

    @property
    def architecture(self) -> dict[str, Any]:
        """What the module of its architecture declares."""
        return declared("architectures", self.params.train.architecture)

    @property
    def is_backbone(self) -> bool:
        """Whether it is a published network, whose layers are fixed."""
        return "WEIGHTS" in self.architecture

    @property
    def inputs(self) -> Kind:
        """The kind of input, which is the one that the architecture takes."""
        return kind(self.architecture["INPUT"])

    @property
    def hidden(self) -> list[int]:
        return self.params.train.network.hidden or []


@dataclass(frozen=True)
class Change:
    """Overrides of params.yaml by dotted key, with a name and the reason why they should help."""

    name: str
    overrides: Overrides
    reason: str

    def arguments(self) -> list[str]:
        """`dvc exp run` takes a key that params.yaml may lack, as those of a config, with ++."""
        return [
            argument
            for key, value in self.overrides.items()
            for argument in ("-S", f"{'++' if CONFIG in key else ''}{key}={written(value)}")
        ]

    def command(self) -> str:
        """The experiment with this change, to paste into a shell."""
        return shlex.join(["dvc", "exp", "run", *self.arguments()])
