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
import importlib
import io
import json
import logging
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML
from scipy import stats

from benchmarks import project
from pipeline.files.artifacts import Array
from pipeline.process.words import percent

STAGES = ("download", "preprocess", "baseline", "train", "evaluate", "export", "verify", "embed")
RECIPE: dict[str, Any] = {
    "dataset": {"rate": 50, "seconds": 4.0, "step": 1.0},
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
# Only what is measured here; the rest of params.yaml is as it came.
MEASURED: dict[str, Any] = {
    "problem": {"target": 0.5, "statement": "Which exercise?", "use": "Benchmark.", "limits": []},
    "export": {"formats": ["tflite_int8"], "max_accuracy_drop": 0.05},  # no file is refused
    "verify": {
        "runtimes": ["litert", "tflite_micro"],
        "processors": ["native"],
        "micro_images": 100_000,
        "latency_runs": 50,
    },
    "embed": {"targets": ["c"], "images": 100_000, "programs": []},
}


@dataclass(frozen=True)
class Result:
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


def held_out(source: Path, folder: Path, people: Sequence[int]) -> None:
    """Writes the recordings of all others to folder/train/ and those of the people to test/."""
    with np.load(source, allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    owners, lengths = arrays["subject"], arrays["length"]
    is_held_out = np.isin(owners, people)
    for part, taken in (("train", ~is_held_out), ("test", is_held_out)):
        rows = np.repeat(taken, lengths)
        path = folder / part / source.name
        path.parent.mkdir(parents=True)
        parts = {key: own(array, taken, rows) for key, array in arrays.items()}
        np.savez(path, **parts)  # type: ignore[arg-type]


def own(array: Array, recordings: Array, rows: Array) -> Array:
    for chosen in (recordings, rows):
        if array.shape[:1] == chosen.shape:
            return array[chosen]
    return array


def configure(folder: Path) -> None:
    yaml, path = YAML(typ="safe"), folder / "params.yaml"
    values = yaml.load(path)
    for changes in (RECIPE, MEASURED):
        for section, settings in changes.items():
            values[section] |= settings
    values["dataset"] |= {"name": "series_folder", "path": "recordings"}
    yaml.dump(values, path)


def measured(source: Path, folder: Path, person: int) -> Result:
    """Runs the stages in `folder`, the current one."""
    shutil.rmtree(folder / "recordings", ignore_errors=True)
    held_out(source, folder / "recordings", [person])
    for stage in STAGES:
        with redirect_stdout(io.StringIO()):
            importlib.import_module(f"pipeline.{stage}").main()
    return result(folder / "reports")


def all_measured(source: Path, people: list[int]) -> Iterator[Result]:
    """All in one process, so that TensorFlow is imported once."""
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of several models
    with tempfile.TemporaryDirectory() as name, chdir(name):
        folder = Path(name)
        project.fresh(folder)
        configure(folder)
        for person in people:
            yield measured(source, folder, person)


def result(reports: Path) -> Result:
    def report(name: str) -> Any:
        return json.loads((reports / f"{name}.json").read_text(encoding="utf-8"))

    baseline, pairs = report("baseline"), report("verify")["pairs"]
    (micro,) = (pair for pair in pairs if pair["runtime"] == "tflite_micro")
    (c,) = report("embed")["targets"]
    if refused := c.get("refused"):
        raise SystemExit(f"there is no C of the model: {refused}")
    return Result(
        windows=micro["test_images"],
        float_model=report("evaluate")["test_accuracy"],
        micro=micro["accuracy"],
        c=c["measured"]["accuracy"],
        random_forest=baseline["test_random_forest"]["accuracy"],
        majority=baseline["test_majority"]["accuracy"],
        file_bytes=micro["bytes"],
        arena_bytes=c["measured"]["arena_bytes"],
    )


def summary(results: list[Result]) -> list[str]:
    """Means, and the paired difference from the better baseline of each person."""
    micro, baseline = (
        np.array([getattr(one, name) for one in results]) for name in ("micro", "baseline")
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
        f"at most {max(one.file_bytes for one in results):,} bytes, and an arena of "
        f"{max(one.arena_bytes for one in results):,} in C",
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
    for person, one in zip(people, all_measured(source, people), strict=True):
        results.append(one)
        shares = (one.float_model, one.micro, one.c, one.random_forest, one.majority)
        cells = " | ".join(percent(share, 1) for share in shares)
        print(f"| {person} | {one.windows} | {cells} |", flush=True)
    print("\n".join(["", *summary(results)]))


if __name__ == "__main__":
    main()
