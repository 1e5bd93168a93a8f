"""Stage 9: export the model for devices without Python, one folder for each of `embed.targets`.

    python -m pipeline.embed

Reads: exported/, reports/export.json, evaluation/golden.npz, data/prepared/test.
Writes: embedded/<target>/, reports/embed.json.
A target that does not support the model is skipped, and the report says why. If params.yaml names
that target, `package` then stops the pipeline.
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
from pipeline.files.reports.embed import EmbedReport, Measured, TargetReport
from pipeline.files.reports.export import ExportReport
from pipeline.process import stage
from pipeline.process.errors import UserError
from pipeline.runtimes import environments


def load(format_name: str, settings: Params) -> VerifiedFile | str:
    """The exported file of a format, or the reason why it cannot be used."""
    try:
        return VerifiedFile.load(format_name, settings)
    except UserError as error:
        return str(error)


def write(target: str, module: Any, model: VerifiedFile | str) -> Measured | str:
    """Writes the folder of a target; returns its measurements, or why the target refused."""
    if isinstance(model, str):
        return model
    folder = artifacts.EMBEDDED / target
    folder.mkdir()
    try:
        measurements: Measured = module.write(folder, model)
    except UserError as error:
        shutil.rmtree(folder)
        return str(error)
    return measurements


def embed(settings: Params) -> list[TargetReport]:
    """One row of the report for each target.

    Targets are written concurrently, and timed afterwards one by one on an otherwise idle machine.
    Those made from the same format share its loaded file.
    """
    modules = {
        target: importlib.import_module(f"pipeline.embedded.{target}")
        for target in settings.embed.names
    }
    formats = sorted({module.FORMAT for module in modules.values()})
    models = {format_name: load(format_name, settings) for format_name in formats}

    def run(target: str) -> Measured | str:
        module = modules[target]
        return write(target, module, models[module.FORMAT])

    with ThreadPoolExecutor() as pool:
        results = list(pool.map(run, modules))
    rows = []
    for (target, module), result in zip(modules.items(), results, strict=True):
        if isinstance(result, str):
            rows.append(TargetReport(target=target, format=module.FORMAT, refused=result))
            continue
        timed = hasattr(module, "time")
        folder = artifacts.EMBEDDED / target
        times = module.time(folder, models[module.FORMAT]) if timed else {}
        measured = {**result, **times}
        rows.append(TargetReport(target=target, format=module.FORMAT, measured=measured))
    return rows


def make_environment() -> None:
    """Makes the environment of the code generator and the compiler. Raises UserError."""
    try:
        environments.python(environments.EMBEDDED)
    except OSError as error:
        raise UserError(
            f"{error}; run `make env` where packages can be reached, or set embed.targets to []"
        ) from None


def main() -> None:
    settings = params.load()
    exported = ExportReport.load()
    artifacts.empty(artifacts.EMBEDDED)
    if settings.embed.names:
        make_environment()
    report = EmbedReport(model_sha256=exported.model_sha256, targets=embed(settings))
    report.save()
    for row in report.targets:
        fits = settings.embed.board and row.target == "microcontroller" and not row.refused
        taken = f"embedded; {settings.embed.board} takes it" if fits else "embedded"
        print(f"{row.target}: {row.refused or taken}")


if __name__ == "__main__":
    stage.run(main)
