"""Stage 0: check every value of params.yaml, and that the files it names exist.

    python -m pipeline.check

Reads: params.yaml. Writes nothing. It runs first because DVC reports only that a file is missing;
this stage says which value is wrong and what was expected.
"""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.config import params
from pipeline.process import stage
from pipeline.process.errors import UserError


def main() -> None:
    settings = params.load()
    for key, path, cure in (
        ("dataset.path", settings.dataset.path, "name your npz file or folder of images"),
        (
            "train.start_from",
            settings.train.start_from,
            f"name a trained model, a .keras file, or {params.NONE} for fresh weights",
        ),
    ):
        if not Path(path).exists():
            raise UserError(f"{key} {path} does not exist; {cure}")
    check_names(Path(settings.dataset.path))


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
