"""Spoken digits, each of six speakers held out in turn: the network against logistic regression.

    python -m benchmarks.spoken_digits

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
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import held_out
from pipeline.config import params
from pipeline.datasets import fsdd
from pipeline.files.artifacts import Array
from pipeline.planning import params_file, start, survey
from pipeline.process.words import percent

SOUNDS = Path("sounds")
# Recordings of the speakers who train validate, as five speakers are too few to set one aside: they
# say nothing of others, and choose nothing but the temperature.
VALIDATES: dict[str, Any] = {"preprocess": {"validation": 0.05, "group": None}}
SHARES = ("float", "int8 on Micro", "as C", "logistic regression")


@dataclass(frozen=True)
class Result:
    """Of one speaker: the shares that are right, and the sizes in bytes."""

    float_model: float
    micro: float
    c: float
    regression: float
    file_bytes: int
    arena_bytes: int


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
    files: dict[str, bytes], speakers: Sequence[str], seeds: Sequence[int]
) -> Iterator[tuple[str, int, Result]]:
    with held_out.workspace({}) as folder:
        for speaker in speakers:
            write(files, speaker)
            propose()
            for seed in seeds:
                for changes in (held_out.MEASURED, VALIDATES, {"train": {"seed": seed}}):
                    held_out.change(folder, changes)
                held_out.run()
                yield speaker, seed, result()


def result() -> Result:
    """Of the current folder."""
    micro, c = held_out.on_micro(), held_out.in_c()
    return Result(
        float_model=held_out.report("evaluate")["test_accuracy"],
        micro=micro["accuracy"],
        c=c["accuracy"],
        regression=held_out.report("baseline")["test_logistic_regression"]["accuracy"],
        file_bytes=micro["bytes"],
        arena_bytes=c["arena_bytes"],
    )


def row(name: str, seeds: str, shares: Array) -> str:
    cells = " | ".join(percent(share, 1) for share in shares)
    return f"| {name} | {seeds} | {cells} |"


def main() -> None:
    files = fsdd.published()
    everybody = sorted({name.split("_")[1] for name in files})
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--speakers", nargs="+", default=everybody, choices=everybody)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    arguments = parser.parse_args()
    print(f"| speaker held out | seed | {' | '.join(SHARES)} |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    results = []
    for speaker, seed, one in measured(files, arguments.speakers, arguments.seeds):
        results.append(astuple(one))
        print(row(speaker, str(seed), np.array(results[-1][:4])), flush=True)
    table = np.array(results)
    print(row("mean", "all", table[:, :4].mean(0)))
    files_bytes, arena_bytes = table[:, 4:].max(0)
    print(f"\nat most {files_bytes:,.0f} bytes, and an arena of {arena_bytes:,.0f} in C")


if __name__ == "__main__":
    main()
