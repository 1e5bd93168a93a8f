"""Stage 9: export the model for devices without Python, one folder for each of `embed.targets`.

    python -m pipeline.embed

Reads: exported/, reports/export.json, reports/verify.json, evaluation/golden.npz,
data/prepared/test.
Writes: embedded/<target>/, reports/embed.json.
A target that does not support the model is skipped, and the report says why. If params.yaml names
that target, `package` then stops the pipeline.
"""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pipeline.config import params
from pipeline.config.params import Params
from pipeline.embedded._verified import VerifiedFile
from pipeline.files import artifacts
from pipeline.files.reports.embed import EmbedReport, Measured, TargetReport, Time
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


def wanted(settings: Params, exported: ExportReport) -> dict[str, Any]:
    """The modules of the targets to write.

    With `embed.targets: all`, there are none if export.formats lacks `embed.format`.
    """
    if settings.embed.targets == "all" and settings.embed.format not in exported.formats:
        return {}
    return {
        target: importlib.import_module(f"pipeline.embedded.{target}")
        for target in settings.embed.names
    }


def embed(settings: Params, modules: Mapping[str, Any]) -> list[TargetReport]:
    """One row of the report for each target.

    Targets are written concurrently, and timed afterwards one by one on an otherwise idle machine.
    """
    name = settings.embed.format
    model = load(name, settings)

    def run(target: str) -> Measured | str:
        result = write(target, modules[target], model)
        print(f"{target}: {outcome(target, result, settings.embed.board)}", flush=True)
        return result

    with ThreadPoolExecutor() as pool:
        results = list(pool.map(run, modules))
    rows = []
    for (target, module), result in zip(modules.items(), results, strict=True):
        if isinstance(result, str):
            rows.append(TargetReport(target=target, format=name, refused=result))
            continue
        timed = hasattr(module, "time")
        folder = artifacts.EMBEDDED / target
        time: Time = module.time(folder, model) if timed else Time()
        measured = result.changed(**time.model_dump(exclude_unset=True))
        rows.append(TargetReport(target=target, format=name, measured=measured))
    return rows


def make_environment() -> None:
    """Makes the environment of the code generator and the compiler. Raises UserError."""
    try:
        environments.python(environments.EMBEDDED)
    except OSError as error:
        raise UserError(
            f"{error}; run `make env` where packages can be reached, or set embed.targets to []"
        ) from None


def outcome(target: str, result: Measured | str, board: str | None) -> str:
    """What became of a target, for the terminal."""
    if isinstance(result, str):
        return f"skipped, as {result}"
    return f"embedded; {board} takes it" if board and target == "microcontroller" else "embedded"


def main() -> None:
    settings = params.load()
    exported = ExportReport.load()
    artifacts.empty(artifacts.EMBEDDED)
    modules = wanted(settings, exported)
    if modules:
        make_environment()
        print(
            f"{', '.join(modules)}: generating the code, compiling it, and running it "
            "on the test set; about two minutes for a small network, more for a large one",
            flush=True,
        )
    report = EmbedReport(model_sha256=exported.model_sha256, targets=embed(settings, modules))
    report.save()
    if not any(artifacts.EMBEDDED.iterdir()):  # which would make DVC warn
        lines = [f"{row.target}: skipped, as {row.refused}" for row in report.targets]
        none = "embed.targets is []."
        if settings.embed.names and not lines:
            none = (
                f"{', '.join(settings.embed.names)}: left out, as export.formats lacks "
                f"{settings.embed.format}; add it there, or set embed.targets to []."
            )
            print(none)
        reasons = "\n".join(lines) or none
        text = f"# Without Python\n\nNo target was exported.\n\n{reasons}\n"
        (artifacts.EMBEDDED / "README.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    stage.run(main)
