"""The stages from download to embed, for somebody's recordings that nobody else's are mixed with.

The benchmarks of sensors and of sounds hold out a person each: the person's recordings are the test
set of a project of its own, with a recipe, and only what is measured of the devices.
"""

from __future__ import annotations

import importlib
import io
import json
import logging
import tempfile
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from benchmarks import project

TO_EVALUATE = ("download", "preprocess", "baseline", "train", "evaluate")
STAGES = (*TO_EVALUATE, "export", "verify", "embed")
# Only what is measured here; the rest of params.yaml is as it came.
MEASURED: dict[str, Any] = {
    "problem": {"target": 0.5, "statement": "Which one?", "use": "Benchmark.", "limits": []},
    "export": {"formats": ["tflite_int8"], "max_accuracy_drop": 0.05},  # no file is refused
    "verify": {
        "runtimes": ["litert", "tflite_micro"],
        "processors": ["native"],
        "micro_images": 100_000,
        "latency_runs": 50,
    },
    "embed": {"targets": ["c"], "images": 100_000, "programs": []},
}


@contextmanager
def workspace(recipe: dict[str, Any]) -> Iterator[Path]:
    """A fresh project with the recipe, as the current folder; all runs are in one process.

    So TensorFlow is imported once.
    """
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of several models
    with tempfile.TemporaryDirectory() as name, chdir(name):
        folder = Path(name)
        project.fresh(folder)
        for changes in (recipe, MEASURED):
            change(folder, changes)
        yield folder


def change(folder: Path, changes: dict[str, Any]) -> None:
    yaml, path = YAML(typ="safe"), folder / "params.yaml"
    values = yaml.load(path)
    for section, settings in changes.items():
        values[section] |= settings
    yaml.dump(values, path)


def run(stages: tuple[str, ...] = STAGES) -> None:
    """Runs the stages in the current folder."""
    for stage in stages:
        with redirect_stdout(io.StringIO()):
            importlib.import_module(f"pipeline.{stage}").main()


def report(name: str) -> Any:
    return json.loads(Path(f"reports/{name}.json").read_text(encoding="utf-8"))


def on_micro() -> Any:
    """What `verify` reports of the int8 file on TensorFlow Lite Micro."""
    (pair,) = (pair for pair in report("verify")["pairs"] if pair["runtime"] == "tflite_micro")
    return pair


def in_c() -> Any:
    """What `embed` measured of the C."""
    (c,) = report("embed")["targets"]
    if refused := c.get("refused"):
        raise SystemExit(f"there is no C of the model: {refused}")
    return c["measured"]
