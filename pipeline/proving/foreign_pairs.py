"""A file of somebody else with each runtime and processor, and the verdicts on these pairs."""

from __future__ import annotations

import time
from pathlib import Path

from pipeline.config.params import Params
from pipeline.files import digests, timing_cache
from pipeline.process.errors import UserError
from pipeline.proving import foreign_model
from pipeline.proving.foreign_model import ForeignModel
from pipeline.verification import schedule
from pipeline.verification.material import Material
from pipeline.verification.pair import Pair
from serving import runtimes


class ForeignPair(Pair):
    """A file of somebody else, with its adapter beside it."""

    PROGRAM = foreign_model.PROGRAM

    def reasons(self, problems: list[str], refusals: list[str]) -> list[str]:
        # The adapter takes other inputs and outputs than our own files have, so `problems` do not
        # count. What TensorFlow Lite Micro lacks is known when it has tried.
        return [] if self.micro else refusals

    def unavailable(self, reason: str) -> None:
        self.could_not_run(reason)


def run(model: ForeignModel, material: Material, settings: Params, folder: Path) -> list[Pair]:
    """The file on every runtime and processor, with verdicts. Raises UserError."""
    natives, groups = native_pairs(model, settings), emulated_pairs(model, settings)
    pairs = [*natives, *(pair for group in groups for pair in group)]
    facts = [model.origin.sha256, str(len(material.labels)), settings.verify.model_dump_json()]
    key, started = f"prove-{digests.of_facts(facts)}", time.perf_counter()
    schedule.announce(len(pairs), key)
    schedule.run(natives, groups, material, settings, folder)
    timing_cache.remember(key, round(time.perf_counter() - started, 1))
    return pairs


def native_pairs(model: ForeignModel, settings: Params) -> list[Pair]:
    """The file with each runtime that reads it, on this processor. Raises UserError."""
    suffix = model.path.suffix
    names = [name for name in settings.verify.runtimes if runtimes.SUFFIXES[name] == suffix]
    if not names:
        readers = [name for name, read in runtimes.SUFFIXES.items() if read == suffix]
        raise UserError(
            f"no runtime of verify.runtimes reads {suffix} files; expected {' or '.join(readers)}"
        )
    return [ForeignPair(model.path.name, model.file, name) for name in names]


def emulated_pairs(model: ForeignModel, settings: Params) -> list[list[Pair]]:
    """The same on each emulated processor that has the runtime."""
    return [
        [ForeignPair(model.path.name, model.file, runtime, processor)]
        for processor, runtime in settings.verify.places
        if runtimes.SUFFIXES[runtime] == model.path.suffix
    ]
