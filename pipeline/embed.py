"""Stage 8: the model without Python: as C, and for whatever else `embed.targets` names, one folder for each.

    python -m pipeline.embed

Reads: exported/, reports/export.json, evaluation/golden.npz, data/prepared/test. Writes: embedded/<target>/, reports/embed.json.
Where the targets are `all`, one that cannot take the model is left out with a sentence; where they are named, it stops the line.
"""

from __future__ import annotations

import importlib
import shutil
from typing import Any

from pipeline import artifacts, environments, params, stage
from pipeline.embedded._model import Proven
from pipeline.params import Params
from pipeline.stage import UserError


def embed(target: str, chosen: Params) -> dict[str, Any]:
    """Writes the folder of `target`; its row of the report: what was measured, or the sentence on why it was refused."""
    module: Any = importlib.import_module(f"pipeline.embedded.{target}")
    folder = artifacts.EMBEDDED / target
    folder.mkdir()
    row = {"target": target, "format": module.FORMAT}
    try:
        return {**row, "measured": module.write(folder, Proven.load(module.FORMAT, chosen))}
    except UserError as error:
        shutil.rmtree(folder)
        return {**row, "refused": str(error)}


def environment() -> None:
    """Makes the environment of the generator and the compiler. Raises UserError with the reason why not."""
    try:
        environments.python(environments.EMBEDDED)
    except OSError as error:
        raise UserError(f"{error}; make it with `make env` where packages can be reached, or set embed.targets to []") from None


def main() -> None:
    chosen = params.load()
    exported = artifacts.load_json(artifacts.report("export"))
    artifacts.empty(artifacts.EMBEDDED)
    if chosen.embed.names:
        environment()
    rows = [embed(target, chosen) for target in chosen.embed.names]
    artifacts.save_json(artifacts.report("embed"), {"model_sha256": exported["model_sha256"], "targets": rows})
    for row in rows:
        print(f"{row['target']}: {row.get('refused') or 'embedded'}")
    refused = [f"{row['target']}: {row['refused']}" for row in rows if "refused" in row]
    if refused and chosen.embed.targets != "all":
        raise UserError(f"embed.targets names {refused[0]}; `all` would leave it out")


if __name__ == "__main__":
    stage.run(main)
