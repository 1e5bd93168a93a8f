"""Exercises by a smartwatch, each person held out in turn: the int8 file against two baselines.

    python -m benchmarks.motion motion.npz

The stages from download to embed run for each person, in a folder of their own, with the recipe of
docs/series.md: the person is the test set, one of the others validates and the rest train. It
prints, of the windows of that person, how many the int8 file gets right on TensorFlow Lite Micro
and as C, and how many the random forest and the majority class do; then paired tests over people,
by Student and by Wilcoxon.

motion.npz holds recordings as docs/series.md describes them, with an array `subject`.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks import held_out
from pipeline.files.artifacts import Array
from pipeline.process.words import percent

RECIPE: dict[str, Any] = {
    "dataset": {
        "name": "series_folder",
        "path": "recordings",
        "rate": 50,
        "seconds": 4.0,
        "step": 1.0,
    },
    "preprocess": {"validation": 0.15, "group": "subject"},
    "train": {
        "architecture": "series_cnn",
        "epochs": 10,
        "batch_size": 64,
        "learning_rate": 0.005,
        "augmentation": [{"class_name": "RandomTurn", "config": {"degrees": 12}}],
        "keep": "last",  # one person who validates says little of others
    },
}


@dataclass(frozen=True)
class PersonScores:
    """Of one person: how many windows, the shares that are right, and the sizes in bytes."""

    windows: int
    float_model: float
    micro: float
    c: float
    random_forest: float
    majority: float
    file_bytes: int
    arena_bytes: int

    @property
    def baseline(self) -> float:
        return max(self.random_forest, self.majority)


def write(source: Path, folder: Path, people: Sequence[int]) -> None:
    """Writes the recordings of all others to folder/train/ and those of the people to test/."""
    with np.load(source, allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    owners, lengths = arrays["subject"], arrays["length"]
    is_held_out = np.isin(owners, people)
    for part, in_part in (("train", ~is_held_out), ("test", is_held_out)):
        rows = np.repeat(in_part, lengths)
        path = folder / part / source.name
        path.parent.mkdir(parents=True)
        parts = {key: own(array, in_part, rows) for key, array in arrays.items()}
        np.savez(path, **parts)  # type: ignore[arg-type]


def own(array: Array, recordings: Array, rows: Array) -> Array:
    for selected in (recordings, rows):
        if array.shape[:1] == selected.shape:
            return array[selected]
    return array


def all_measured(source: Path, people: list[int]) -> Iterator[PersonScores]:
    with held_out.workspace(RECIPE) as folder:
        for person in people:
            shutil.rmtree(folder / "recordings", ignore_errors=True)
            write(source, folder / "recordings", [person])
            held_out.run()
            yield result()


def result() -> PersonScores:
    """Of the current folder."""
    baseline, micro, c = held_out.report("baseline"), held_out.on_micro(), held_out.in_c()
    return PersonScores(
        windows=micro["test_images"],
        float_model=held_out.report("evaluate")["test_accuracy"],
        micro=micro["accuracy"],
        c=c["accuracy"],
        random_forest=baseline["test_random_forest"]["accuracy"],
        majority=baseline["test_majority"]["accuracy"],
        file_bytes=micro["bytes"],
        arena_bytes=c["arena_bytes"],
    )


def summary(results: list[PersonScores]) -> list[str]:
    """Means, and the paired difference from the better baseline of each person."""
    micro, baseline = (
        np.array([getattr(result, name) for result in results]) for name in ("micro", "baseline")
    )
    gains = micro - baseline
    half = stats.t.ppf(0.975, len(gains) - 1) * gains.std(ddof=1) / math.sqrt(len(gains))
    student, wilcoxon = stats.ttest_1samp(gains, 0).pvalue, stats.wilcoxon(gains).pvalue
    return [
        f"mean {spread(micro)}, better baseline {spread(baseline)}",
        f"the int8 file is right more often by {100 * gains.mean():.1f} points (95 % interval "
        f"{100 * (gains.mean() - half):.1f} to {100 * (gains.mean() + half):.1f}), p = "
        f"{student:.3f} by Student's t-test and {wilcoxon:.3f} by Wilcoxon's, over "
        f"{len(gains)} people",
        f"at most {max(result.file_bytes for result in results):,} bytes, and an arena of "
        f"{max(result.arena_bytes for result in results):,} in C",
    ]


def spread(shares: Array) -> str:
    return f"{percent(shares.mean(), 1)} (standard deviation {percent(shares.std(ddof=1), 1)})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recordings", type=Path)
    parser.add_argument("--people", type=int, nargs="+", help="only these (default: all)")
    arguments = parser.parse_args()
    source = arguments.recordings.resolve()
    with np.load(source, allow_pickle=False) as file:
        people = arguments.people or np.unique(file["subject"]).tolist()
    print(f"{len(people)} people, about a minute each; processor cores: {os.cpu_count()}")
    print("| person | windows | float | int8 on Micro | as C | random forest | majority |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    results = []
    for person, result in zip(people, all_measured(source, people), strict=True):
        results.append(result)
        shares = (result.float_model, result.micro, result.c, result.random_forest, result.majority)
        cells = " | ".join(percent(share, 1) for share in shares)
        print(f"| {person} | {result.windows} | {cells} |", flush=True)
    print("\n".join(["", *summary(results)]))


if __name__ == "__main__":
    main()
