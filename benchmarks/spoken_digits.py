"""Spoken digits, each of six speakers held out in turn: the network against logistic regression.

    python -m benchmarks.spoken_digits
    python -m benchmarks.spoken_digits --float --seeds 0 1 2    not exported, in a third of the time
    python -m benchmarks.spoken_digits --architecture bc_resnet

The stages from download to embed run for each speaker with the values that `edgeproof start`
proposes: the speaker's recordings are the test set, and those of the other five are for training,
but for a few that validate. It prints how many of the speaker's recordings the network gets right
before its export, as int8 on TensorFlow Lite Micro and as C, and how many the regression does on
the same features of the same recordings.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import held_out
from pipeline.config import params
from pipeline.datasets import fsdd
from pipeline.planning import params_file, start, survey
from pipeline.process.words import percent

Train = dict[str, Any]  # values of `train` that differ from those of `edgeproof start`
SOUNDS = Path("sounds")
# Recordings of the speakers who train validate, as five speakers are too few to set one aside: they
# say nothing of others, and choose nothing but the temperature.
VALIDATES: dict[str, Any] = {"preprocess": {"validation": 0.05, "group": None}}
FLOAT = ("float", "logistic regression")
EXPORTED = ("int8 on Micro", "as C", "bytes of the file", "of the arena")


def write(files: dict[str, bytes], speaker: str) -> None:
    """The recordings as SOUNDS/{train,test}/DIGIT/FILE, the speaker's in test."""
    shutil.rmtree(SOUNDS, ignore_errors=True)
    for name, data in files.items():
        digit, owner, _ = name.split("_")
        path = SOUNDS / ("test" if owner == speaker else "train") / digit / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def propose() -> None:
    """Writes the values that `edgeproof start` proposes into params.yaml."""
    path = Path(params.FILE)
    text = path.read_text(encoding="utf-8")
    choices, _ = start.propose(survey.survey(SOUNDS), SOUNDS, None, text)
    path.write_text(params_file.apply(text, choices), encoding="utf-8")


def measured(
    files: dict[str, bytes], speakers: Sequence[str], recipes: Sequence[Train], is_float: bool
) -> Iterator[tuple[str, int, list[float]]]:
    """Of each speaker and seed the shares that are right, and the sizes in bytes."""
    with held_out.workspace({}) as folder:
        for speaker in speakers:
            write(files, speaker)
            propose()
            for recipe in recipes:
                for changes in (held_out.MEASURED, VALIDATES, {"train": recipe}):
                    held_out.change(folder, changes)
                held_out.run(held_out.TO_EVALUATE if is_float else held_out.STAGES)
                yield speaker, recipe["seed"], [*trained(), *([] if is_float else exported())]


def trained() -> tuple[float, float]:
    """As FLOAT has them, in the current folder."""
    regression = held_out.report("baseline")["test_logistic_regression"]
    return held_out.report("evaluate")["test_accuracy"], regression["accuracy"]


def exported() -> tuple[float, float, int, int]:
    """As EXPORTED has them, in the current folder."""
    micro, c = held_out.on_micro(), held_out.in_c()
    return micro["accuracy"], c["accuracy"], micro["bytes"], c["arena_bytes"]


def row(name: str, seed: object, values: Sequence[float]) -> str:
    """Shares in percent; what is above 1 is bytes."""
    cells = [percent(value, 1) if value <= 1 else f"{value:,.0f}" for value in values]
    return f"| {' | '.join([name, str(seed), *cells])} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--speakers", nargs="+", help="default: all six")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--architecture", default="ds_cnn")
    parser.add_argument("--float", action="store_true", help="stop after `evaluate`")
    arguments = parser.parse_args()
    files = fsdd.published()
    everybody = sorted({name.split("_")[1] for name in files})
    speakers = arguments.speakers or everybody
    if unknown := set(speakers) - set(everybody):
        parser.error(f"--speakers: no {', '.join(unknown)}; expected of {', '.join(everybody)}")
    columns = [*FLOAT, *([] if arguments.float else EXPORTED)]
    print(f"| speaker held out | seed | {' | '.join(columns)} |")
    print(f"|{' --- |' * (2 + len(columns))}")
    results = []
    recipes = [{"seed": seed, "architecture": arguments.architecture} for seed in arguments.seeds]
    runs = measured(files, speakers, recipes, arguments.float)
    for speaker, seed, values in runs:
        results.append(values)
        print(row(speaker, seed, values), flush=True)
    print(row("mean", "all", np.array(results).mean(0).tolist()))


if __name__ == "__main__":
    main()
