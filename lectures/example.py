"""A worked example of the lectures as a file: what was asked, what was varied, and what was published."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.config import params, validation_message
from pipeline.config.params import Params, Section
from pipeline.files import digests
from pipeline.process.errors import UserError

FOLDER = Path(__file__).parent
PLAIN = "plain"
QUICK = {"preprocess.subset": 1000, "preprocess.validation": 0.2, "train.epochs": 1}
QUICK_SEEDS = 2


class Order(Section):
    """Published as a verdict on two variations: this one's measure lies below that of another, or above."""

    below: str | None = None
    above: str | None = None


Kind = Literal["training", "nearest_mean", "ridge", "initialization", "lbfgs"]
Published = (
    float | str | list[str] | Order
)  # a figure; a verdict, or several that all fit what was published; or an order


class Variation(Section):
    """`settings` are dotted keys of params.yaml, as `dvc exp run -S` has them; of a study that trains nothing, those of its kind.
    `kind` is the module that makes it and `seeds` how many, where they are not the study's: fewer where trainings are long."""

    name: str
    kind: Kind | None = None
    seeds: PositiveInt | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    published: dict[str, Published] = Field(default_factory=dict)


class Study(Section):
    """`measures` are shown of every variation, published or not; `places` are the digits after the point that were published, where
    the figures do not show it; `findings` tell what came out, `mistakes` what was wrong in a listing."""

    title: str
    lecture: str
    question: str
    kind: Kind = "training"
    seeds: PositiveInt = 1
    settings: dict[str, Any] = Field(default_factory=dict)
    measures: list[str] = Field(default_factory=list)
    places: NonNegativeInt | None = None
    picture: Literal["losses", "figures", "errors", "spreads"]
    variations: list[Variation]
    mistakes: list[str] = Field(default_factory=list)
    findings: list[str] = Field(default_factory=list)

    def params(self, variation: Variation, quick: bool) -> Params:
        """What a variation trains with: the line's params.yaml, under the plain training, the study and the variation. Raises UserError."""
        settings = {
            **_read(PLAIN),
            **self.settings,
            **variation.settings,
            **(QUICK if quick else {}),
        }
        try:
            return params.override(params.load(), settings)
        except UserError as error:
            raise UserError(f"variation {variation.name!r}: {error}") from None

    def shown(self, variation: Variation) -> list[str]:
        """The measures of a variation's rows in the table: what was published of it, and then the study's own."""
        return list(dict.fromkeys([*variation.published, *self.measures]))

    def digest(self) -> str:
        """Another one where figures may be others: with the settings of the plain training, the study or a variation, or the seeds."""
        each = [
            (variation.name, variation.settings, len(self.seeds_of(variation, quick=False)))
            for variation in self.variations
        ]
        return digests.of_facts([json.dumps([_read(PLAIN), self.settings, each], sort_keys=True)])

    def seeds_of(self, variation: Variation, quick: bool) -> range:
        count = variation.seeds or self.seeds
        return range(min(count, QUICK_SEEDS) if quick else count)


def names() -> list[str]:
    """S1, S2, ... in the order of their numbers."""
    return sorted(
        (path.stem for path in FOLDER.glob("S*.yaml") if re.fullmatch(r"S\d+", path.stem)),
        key=lambda name: int(name[1:]),
    )


def load(name: str) -> Study:
    """Raises UserError: one sentence with the key, what is wrong and what is allowed."""
    if name not in names():
        raise UserError(f"{name!r} is no study; allowed are {', '.join(names())}")
    values = _read(name)
    try:
        study = Study.model_validate(values)
    except ValidationError as error:
        raise UserError(
            f"{_path(name)}: {validation_message.sentence(error, values, Study)}"
        ) from None
    known = [variation.name for variation in study.variations]
    if len(set(known)) < len(known):
        raise UserError(f"{_path(name)}: a variation is named twice; give each a name of its own")
    for variation in study.variations:
        for measure, published in variation.published.items():
            if isinstance(published, Order) and (published.below or published.above) not in known:
                raise UserError(
                    f"{_path(name)}: {variation.name}: {measure} is compared with no variation; allowed are {', '.join(known)}"
                )
    return study


def _path(name: str) -> Path:
    return FOLDER / f"{name}.yaml"


def _read(name: str) -> Any:
    try:
        return YAML(typ="safe").load(_path(name).read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(
            f"{_path(name)} is not readable YAML: {' '.join(str(error).split())}"
        ) from None
