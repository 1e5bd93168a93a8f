"""A worked example as a file: its question, its variations, and the published results."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.config import params, validation_message
from pipeline.config.params import Params
from pipeline.config.section import ParamsSection
from pipeline.files import digests
from pipeline.process.errors import UserError

FOLDER = Path(__file__).parent
PLAIN = "plain"
QUICK = {"preprocess.subset": 1000, "preprocess.validation": 0.2, "train.epochs": 1}
QUICK_SEEDS = 2


class Order(ParamsSection):
    """A published comparison: the measure lies below, or above, that of another variation."""

    below: str | None = None
    above: str | None = None


Kind = Literal["training", "nearest_mean", "ridge", "initialization", "lbfgs"]
# A figure; a verdict, or several that all fit the published text; or an order.
Published = float | str | list[str] | Order


class Variation(ParamsSection):
    """`settings` are dotted keys of params.yaml, or those of its kind if it trains nothing.

    `kind`, the module that runs it, and `seeds` override those of the example.
    """

    name: str
    kind: Kind | None = None
    seeds: PositiveInt | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    published: dict[str, Published] = Field(default_factory=dict)


class Example(ParamsSection):
    """`measures` are shown for every variation, published or not.

    `places` is the number of published decimals, if the figures do not show it. `findings` are
    texts on the outcome, `mistakes` on errors in a lecture's listing.
    """

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
        """params.yaml, overridden by plain training, example and variation. Raises UserError."""
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

    def all_params(self, quick: bool) -> dict[str, Params]:
        """Those of every variation, by its name. Raises UserError."""
        return {variation.name: self.params(variation, quick) for variation in self.variations}

    def shown(self, variation: Variation) -> list[str]:
        """The measures of a variation in the table: the published ones, then `measures`."""
        return list(dict.fromkeys([*variation.published, *self.measures]))

    def digest(self) -> str:
        """A digest of all settings and seeds that the figures depend on."""
        variations = [
            (variation.name, variation.settings, len(self.seeds_of(variation, quick=False)))
            for variation in self.variations
        ]
        return digests.of_facts(
            [json.dumps([_read(PLAIN), self.settings, variations], sort_keys=True)]
        )

    def seeds_of(self, variation: Variation, quick: bool) -> range:
        count = variation.seeds or self.seeds
        return range(min(count, QUICK_SEEDS) if quick else count)


def names() -> list[str]:
    """S1, S2, ... in the order of their numbers."""
    return sorted(
        (path.stem for path in FOLDER.glob("S*.yaml") if re.fullmatch(r"S\d+", path.stem)),
        key=lambda name: int(name[1:]),
    )


def load(name: str) -> Example:
    """The example with this name. Raises UserError."""
    if name not in names():
        raise UserError(f"{name!r} is not an example; expected one of {', '.join(names())}")
    example = validation_message.checked(Example, _read(name), f"{_path(name)}: ")
    variations = [variation.name for variation in example.variations]
    if len(set(variations)) < len(variations):
        raise UserError(f"{_path(name)}: two variations have the same name; expected unique names")
    for variation in example.variations:
        for measure, published in variation.published.items():
            if not isinstance(published, Order):
                continue
            other = published.below or published.above
            if other not in variations:
                raise UserError(
                    f"{_path(name)}: {variation.name}: {measure} is compared with {other!r};"
                    f" expected one of {', '.join(variations)}"
                )
    return example


def _path(name: str) -> Path:
    return FOLDER / f"{name}.yaml"


def _read(name: str) -> Any:
    try:
        return YAML(typ="safe").load(_path(name).read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(
            f"{_path(name)} is not valid YAML: {' '.join(str(error).split())}"
        ) from None
