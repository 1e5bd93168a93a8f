"""Stage 9: the model without Python: as C, and for whatever else `embed.targets` names, one folder for each.

    python -m pipeline.embed

Reads: exported/, reports/export.json, evaluation/golden.npz, data/prepared/test. Writes: embedded/<target>/, reports/embed.json.
A target that cannot take the model is left out with a sentence; where the targets are named, `package` then stops the line.
"""

from __future__ import annotations

import importlib
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pipeline.config import params
from pipeline.config.params import Params
from pipeline.embedded._verified import VerifiedFile
from pipeline.files import artifacts
from pipeline.process import stage
from pipeline.process.errors import UserError
from pipeline.runtimes import environments


def load(made_from: str, chosen: Params) -> VerifiedFile | str:
    """The exported file of a format, or why there is none that ran."""
    try:
        return VerifiedFile.load(made_from, chosen)
    except UserError as error:
        return str(error)


def write(target: str, module: Any, model: VerifiedFile | str) -> dict[str, Any] | str:
    """Writes the folder of a target; what was measured of it, or why it was refused."""
    if isinstance(model, str):
        return model
    folder = artifacts.EMBEDDED / target
    folder.mkdir()
    try:
        measured: dict[str, Any] = module.write(folder, model)
    except UserError as error:
        shutil.rmtree(folder)
        return str(error)
    return measured


def embed(chosen: Params) -> list[dict[str, Any]]:
    """One row of the report for each target. They are made side by side; those of one format share what its runtime gave."""
    modules = {
        target: importlib.import_module(f"pipeline.embedded.{target}")
        for target in chosen.embed.names
    }
    models = {
        made_from: load(made_from, chosen)
        for made_from in sorted({module.FORMAT for module in modules.values()})
    }
    with ThreadPoolExecutor() as pool:
        results = list(
            pool.map(
                lambda target: write(target, modules[target], models[modules[target].FORMAT]),
                modules,
            )
        )
    rows = []
    for (target, module), result in zip(
        modules.items(), results, strict=True
    ):  # one by one, with the machine at rest
        row = {"target": target, "format": module.FORMAT}
        if isinstance(result, str):
            rows.append({**row, "refused": result})
        else:
            times = (
                module.time(artifacts.EMBEDDED / target, models[module.FORMAT])
                if hasattr(module, "time")
                else {}
            )
            rows.append({**row, "measured": {**result, **times}})
    return rows


def environment() -> None:
    """Makes the environment of the generator and the compiler. Raises UserError with the reason why not."""
    try:
        environments.python(environments.EMBEDDED)
    except OSError as error:
        raise UserError(
            f"{error}; make it with `make env` where packages can be reached, or set embed.targets to []"
        ) from None


def main() -> None:
    chosen = params.load()
    exported = artifacts.load_json(artifacts.report("export"))
    artifacts.empty(artifacts.EMBEDDED)
    if chosen.embed.names:
        environment()
    rows = embed(chosen)
    artifacts.save_json(
        artifacts.report("embed"), {"model_sha256": exported["model_sha256"], "targets": rows}
    )
    for row in rows:
        print(f"{row['target']}: {row.get('refused') or 'embedded'}")


if __name__ == "__main__":
    stage.run(main)
