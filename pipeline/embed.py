"""Stage 8: the model without Python: as C, and for whatever else `embed.targets` names, one folder for each.

    python -m pipeline.embed

Reads: exported/, reports/export.json, evaluation/golden.npz, data/prepared/test. Writes: embedded/<target>/, reports/embed.json.
Where the targets are `all`, one that cannot take the model is left out with a sentence; where they are named, it stops the line.
"""

from __future__ import annotations

import importlib
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pipeline import artifacts, environments, params, stage
from pipeline.embedded._model import Proven
from pipeline.params import Params
from pipeline.stage import UserError

Targets = dict[str, Any]  # modules of pipeline/embedded by name


def embed(made_from: str, targets: Targets, chosen: Params) -> tuple[Proven | None, dict[str, Any]]:
    """Writes the folders of the `targets`, which are all made from one format; the file, and of each target what was measured
    or, as a string, why it was refused."""
    try:
        model = Proven.load(made_from, chosen)
    except UserError as error:
        return None, dict.fromkeys(targets, str(error))
    results: dict[str, Any] = {}
    for target, module in targets.items():
        folder = artifacts.EMBEDDED / target
        folder.mkdir()
        try:
            results[target] = module.write(folder, model)
        except UserError as error:
            shutil.rmtree(folder)
            results[target] = str(error)
    return model, results


def embed_all(chosen: Params) -> list[dict[str, Any]]:
    """One row of the report for each target. Those of one format share what its runtime gave; the formats go side by side."""
    targets: Targets = {name: importlib.import_module(f"pipeline.embedded.{name}") for name in chosen.embed.names}
    groups: dict[str, Targets] = {}
    for target, module in targets.items():
        groups.setdefault(module.FORMAT, {})[target] = module
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        done = list(pool.map(lambda group: embed(group[0], group[1], chosen), groups.items()))
    rows = []
    for target, module in targets.items():  # one by one, with the machine at rest
        model, result = next((model, results[target]) for model, results in done if target in results)
        row = {"target": target, "format": module.FORMAT}
        if isinstance(result, str):
            rows.append({**row, "refused": result})
        else:
            times = module.time(artifacts.EMBEDDED / target, model) if hasattr(module, "time") else {}
            rows.append({**row, "measured": {**result, **times}})
    return rows


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
    rows = embed_all(chosen)
    artifacts.save_json(artifacts.report("embed"), {"model_sha256": exported["model_sha256"], "targets": rows})
    for row in rows:
        print(f"{row['target']}: {row.get('refused') or 'embedded'}")
    refused = [f"{row['target']}: {row['refused']}" for row in rows if "refused" in row]
    if refused and chosen.embed.targets != "all":
        raise UserError(f"embed.targets names {refused[0]}; `all` would leave it out")


if __name__ == "__main__":
    stage.run(main)
