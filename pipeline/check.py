"""Stage 0: every value of params.yaml, and that the files it names are there.

    python -m pipeline.check

Reads: params.yaml. Writes nothing: it is there for its sentence, which names what is allowed. DVC itself would only miss a file.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.config import params
from pipeline.process import stage
from pipeline.process.errors import UserError


def main() -> None:
    chosen = params.load()
    for key, path, wanted in (
        ("dataset.path", chosen.dataset.path, "name your npz file or folder of images"),
        (
            "train.start_from",
            chosen.train.start_from,
            f"name a trained model, a .keras file, or {params.NONE} for fresh weights",
        ),
    ):
        if not Path(path).exists():
            raise UserError(f"{key} {path} does not exist; {wanted}")


if __name__ == "__main__":
    stage.run(main)
