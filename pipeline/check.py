"""Stage 0: check every value of params.yaml, and that the files it names exist.

    python -m pipeline.check

Reads: params.yaml. Writes nothing. It runs first because DVC reports only that a file is missing;
this stage says which value is wrong and what was expected.
"""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.config import params
from pipeline.config.params import Params
from pipeline.config.parts import choices, declared
from pipeline.process import stage
from pipeline.process.errors import UserError

# Of params.yaml as it comes; it stands in the model card beside problem.use and problem.limits.
MNIST_STATEMENT = "Which digit does a scanned image of one handwritten digit show?"


def main() -> None:
    settings = params.load()
    for key, path, cure in (
        ("dataset.path", settings.dataset.path, "name your npz file or folder of images"),
        (
            "preprocess.corrections",
            settings.preprocess.corrections,
            f"name a CSV of corrected labels, or {params.NONE} for none",
        ),
        (
            "train.start_from",
            settings.train.start_from,
            f"name a trained model, a .keras file, or {params.NONE} for fresh weights",
        ),
    ):
        if not Path(path).exists():
            raise UserError(f"{key} {path} does not exist; {cure}")
    check_names(Path(settings.dataset.path))
    check_targets(settings)
    if settings.dataset.name != "mnist" and settings.problem.statement == MNIST_STATEMENT:
        print(
            "warning: problem.statement, use and limits describe the digits of MNIST, but "
            f"dataset.name is {settings.dataset.name}; the model card will repeat them, so "
            "describe your own task"
        )


def check_targets(settings: Params) -> None:
    """Says which exports without Python miss the file they are generated from. Raises UserError."""
    for format_name in choices("formats"):
        names = [
            name
            for name in settings.embed.names
            if declared("embedded", name)["FORMAT"] == format_name
        ]
        if not names or format_name in settings.export.formats:
            continue
        fault = f"export.formats lacks {format_name}, without which there is no {', '.join(names)}"
        if settings.embed.targets != "all":
            raise UserError(f"{fault}; add it, or change embed.targets")
        print(f"warning: {fault}: these exports without Python will be skipped")


def check_names(root: Path) -> None:
    """DVC cannot track a name that is not UTF-8, and does not say which. Raises UserError."""
    for folder, folders, files in os.walk(root):
        for name in sorted([*folders, *files]):
            path = os.fsencode(Path(folder) / name)
            shown = path.decode("utf-8", "backslashreplace")
            if os.fsencode(shown) != path:
                raise UserError(
                    f"dataset.path holds {shown}, whose name is not UTF-8; rename it, as DVC "
                    "cannot track it"
                )


if __name__ == "__main__":
    stage.run(main)
