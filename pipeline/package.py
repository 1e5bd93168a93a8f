"""Stage 10: pack the bundle for devices: exported files, model card, golden vectors, serving wheel.

    python -m pipeline.package    makes no bundle if a gate fails
    edgeproof draft               makes one anyway, in draft/, marked as not proven

Reads: exported/, embedded/, the reports, evaluation/, data/prepared/test, serving/.
Writes: dist/<name>-<version>.tar.gz, the same bytes for the same input. If a file is `worse`,
that is a gate that fails; a draft contains it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import uv

from pipeline import inputs, targets
from pipeline.bundle import (
    acceptance,
    archive,
    card,
    card_markdown,
    drift_reference,
    embedded_sections,
    gates,
    golden,
    golden_photos,
    golden_sounds,
    vocabulary,
)
from pipeline.bundle.acceptance import AcceptanceSet
from pipeline.config import params
from pipeline.config.params import Params
from pipeline.files import artifacts, atomic, split_files
from pipeline.files.reports.bundle import BundleReports
from pipeline.files.reports.package import PackageReport
from pipeline.files.reports.verify import VerificationReport
from pipeline.process import stage
from pipeline.process.errors import UserError
from pipeline.process.words import counted
from pipeline.reporting import page
from pipeline.tracking import runs
from serving import bundle, classifier
from serving.model_card import ModelCard
from serving.reference import Reference, Spread

SERVING = Path("serving")
# What a device needs beside the model, by the name that its kind of input says.
COMPANIONS = {
    "golden_photos": golden_photos.write,
    "golden_sounds": golden_sounds.write,
    "vocabulary": vocabulary.write,
}
# A lock for every Python that devices have; the project's own lock is for one Python only.
DEVICES = Path("pipeline/bundle/requirements")
WHEELS = "wheels"
ARMV7 = (
    "# beside python3-numpy and python3-pil of Debian 12, "
    "as the package index has neither for armv7\n"
)
WHEEL_TIME = 315532800  # 1980-01-01, the earliest time that a zip entry can have


def requirements(group: str, *left_out: str) -> str:
    """The packages of a dependency group with their hashes, for each Python of the devices."""
    command = [uv.find_uv_bin(), "export", "--frozen", "--quiet", "--no-header"]
    command += ["--project", str(DEVICES), "--only-group", group]
    for name in ("serving", *left_out):
        command += ["--no-emit-package", name]
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(
            f"the requirements of {group} could not be read from {DEVICES}/uv.lock: "
            f"{' '.join(done.stderr.split())}"
        )
    return done.stdout


def build_wheel(folder: Path) -> Path:
    """Builds the wheel of `serving`.

    hatchling gives every entry the time SOURCE_DATE_EPOCH, so equal sources give equal bytes.
    """
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    command += ["--directory", str(folder.absolute())]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(WHEEL_TIME)}
    done = subprocess.run(
        command, cwd=SERVING, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise UserError(
            f"the wheel of {SERVING} could not be built: {' '.join(done.stderr.split())[-300:]}"
        )
    return next(folder.glob("*.whl"))


def fill_requirements(folder: Path, wheel: Path, runtime_names: set[str]) -> None:
    """Writes pip's requirements of each runtime that proved a file, and of the optional parts."""
    own = f"./{WHEELS}/{wheel.name} --hash=sha256:{artifacts.sha256(wheel)}\n"
    contents = {runtime: requirements(runtime) + own for runtime in runtime_names}
    if "tflite_runtime" in runtime_names:
        contents["tflite_runtime_armv7"] = (
            ARMV7 + requirements("tflite_runtime", "numpy", "pillow") + own
        )
    for part in ("http", "grpc", "certificates"):
        contents[part] = requirements(part, "numpy", "pillow")
    folder.mkdir()
    for name, content in contents.items():
        (folder / f"{name}.txt").write_text(content, encoding="utf-8")


def fill(
    folder: Path,
    content: ModelCard,
    data: artifacts.Description,
    acceptance_set: AcceptanceSet | str,
) -> None:
    """Writes the contents of the bundle into `folder`."""
    for file in content.files:
        shutil.copy(artifacts.EXPORTED / file.file, folder / file.file)
    if content.embedded:
        shutil.copytree(artifacts.EMBEDDED, folder / artifacts.EMBEDDED)
    shutil.copy(artifacts.GOLDEN, folder / classifier.GOLDEN)
    if isinstance(acceptance_set, AcceptanceSet):
        acceptance.write(folder, acceptance_set, content)
    fill_examples(folder, content, data)
    fill_requirements(folder / "requirements", build_wheel(folder / WHEELS), runtimes(content))
    (folder / "pictures").mkdir()
    for name in card_markdown.PICTURES:
        if name != card_markdown.OF_TEST_IMAGES or not data.not_passed_on:
            shutil.copy(artifacts.REPORTS / f"{name}.png", folder / "pictures")
    card_markdown.write(folder, content)


def fill_examples(folder: Path, content: ModelCard, data: artifacts.Description) -> None:
    """Writes what the kind of input needs beside the model.

    Raises UserError if a format has no golden vectors.
    """
    with np.load(artifacts.GOLDEN, allow_pickle=False) as vectors:
        missing = [file.format for file in content.files if file.format not in vectors.files]
        if missing:
            raise UserError(
                f"{artifacts.GOLDEN} has no golden vectors of {', '.join(missing)}; "
                "run `dvc repro --force --downstream verify`"
            )
        labels = vectors["labels"]
        recorded = golden.recorded(labels)
        images = vectors["images"][recorded if recorded.any() else ~recorded]
    if write := COMPANIONS.get(inputs.kind(data.kind).COMPANIONS):
        write(folder, content, data, images)


def runtimes(content: ModelCard) -> set[str]:
    """The runtimes on which a file of the bundle was verified."""
    return {proof.runtime for file in content.files for proof in file.proofs}


def pack(
    content: ModelCard,
    data: artifacts.Description,
    acceptance_set: AcceptanceSet | str,
    target: Path,
) -> int:
    """Writes the bundle `target`; returns its size in bytes."""
    with tempfile.TemporaryDirectory() as folder, atomic.replacing(target) as temporary:
        fill(Path(folder), content, data, acceptance_set)
        archive.write(Path(folder), temporary, f"{content.name}-{content.version}")
        archive.check(temporary)
    return target.stat().st_size


def earlier() -> str:
    """Says that a bundle in dist/, which DVC leaves there, is not of this run."""
    names = sorted(str(path) for path in artifacts.DIST.glob(f"*{bundle.SUFFIX}"))
    return f"{', '.join(names)} is still that of an earlier run. " if names else ""


def remove_others(target: Path) -> None:
    """Leaves only this bundle in its folder, once it is there whole."""
    for path in target.parent.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path != target:
            path.unlink()


def notes(content: ModelCard) -> list[str]:
    """Remarks on the bundle for its maker."""
    shortfall = acceptance.shortfall(content)
    return [f"note: its acceptance set has {shortfall}"] if shortfall else []


def write_page(settings: Params, reports: BundleReports) -> None:
    """Writes reports/index.html, before a gate can fail, so that it explains the failure too."""
    problem = settings.problem
    facts = {row.target: embedded_sections.facts(row.figures) for row in reports.embed.targets}
    target = artifacts.DIST / f"{problem.name}-{problem.version}{bundle.SUFFIX}"
    page.write(settings, reports, gates.by_gate(settings, reports), facts, str(target))


def describe(
    settings: Params, reports: BundleReports, data: artifacts.Description, *, draft: bool
) -> tuple[ModelCard, AcceptanceSet | str]:
    """The model card, and the acceptance set or why there is none. Raises UserError."""
    images, labels = split_files.load_split("test")
    probabilities = artifacts.load_array(artifacts.TEST_PROBABILITIES)
    acceptance_set = acceptance.choose(settings, data, images, labels, probabilities)
    reference: Reference | Spread
    if data.unit is None:
        recognition = targets.recognition(data.target)
        reference = drift_reference.summarize(
            recognition, images, probabilities, labels, reports.evaluate.holds_from
        )
    else:
        numbers = targets.target(data.target).answers(probabilities)
        reference = drift_reference.spread(images, numbers)
    content = card.build(settings, reports, data, reference, draft=draft)
    content = acceptance.add_to_card(content, acceptance_set)
    if not content.files:
        raise UserError(
            f"no exported file ran, so nothing can be packed; see {VerificationReport.PATH}"
        )
    return content, acceptance_set


def package(*, draft: bool) -> None:
    """Packs the bundle; a draft even if a gate fails. Raises UserError if none can be packed."""
    settings = params.load()
    reports = BundleReports.load()
    write_page(settings, reports)
    failures = gates.failures(settings, reports)
    if failures and not draft:
        runs.sync()
        raise UserError(
            f"no bundle: {'; '.join(failures)}. {earlier()}`edgeproof draft` packs one anyway, "
            "marked as not proven"
        )
    data = artifacts.load_description()
    content, acceptance_set = describe(settings, reports, data, draft=draft)
    root = f"{content.name}-{content.version}"
    if draft:
        target = artifacts.empty(artifacts.DRAFT) / f"{root}-NOT-PROVEN{bundle.SUFFIX}"
        size = pack(content, data, acceptance_set, target)
        line = f"{target}: NOT PROVEN, {size:,} bytes; serving loads it with --draft"
        print("\n".join([line, *failures, *notes(content)]))
        return
    target = artifacts.DIST / f"{root}{bundle.SUFFIX}"
    size = pack(content, data, acceptance_set, target)
    remove_others(target)
    report(content, target).save()
    line = f"{target}: {counted(len(content.files), 'file')}, {size:,} bytes"
    print("\n".join([line, *notes(content)]))
    runs.sync()


def main() -> None:
    package(draft=False)


def report(content: ModelCard, target: Path) -> PackageReport:
    return PackageReport(
        model_sha256=content.provenance["model_sha256"],
        file=target.name,
        bytes=target.stat().st_size,
        sha256=artifacts.sha256(target),
        formats=[file.format for file in content.files],
        runtimes=sorted(runtimes(content)),
    )


if __name__ == "__main__":
    stage.run(main)
