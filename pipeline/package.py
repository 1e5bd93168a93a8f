"""Stage 10: pack the bundle for devices: exported files, model card, golden vectors, serving wheel.

    python -m pipeline.package    makes no bundle if a gate fails
    edgeproof draft               makes one anyway, in draft/, marked as not proven

Reads: exported/, embedded/, the reports, evaluation/, data/prepared/test, serving/.
Writes: dist/<name>-<version>.tar.gz, the same bytes for the same input. If a file is `worse`,
that is a gate that fails; a draft contains it.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from pipeline import targets
from pipeline.bundle import (
    acceptance,
    card,
    contents,
    drift_reference,
    embedded_sections,
    gates,
)
from pipeline.bundle.acceptance import AcceptanceSet
from pipeline.config import params
from pipeline.config.params import Params
from pipeline.files import artifacts, split_files
from pipeline.files.reports.bundle import BundleReports
from pipeline.files.reports.package import PackageReport
from pipeline.files.reports.verify import VerificationReport
from pipeline.process import stage
from pipeline.process.errors import UserError
from pipeline.process.words import counted
from pipeline.reporting import page
from pipeline.tracking import runs
from serving import bundle
from serving.model_card import ModelCard
from serving.reference import Reference, Spread

LISTED = 12  # classes that the draft of a statement lists at most


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
    lines = [f"note: its acceptance set has {shortfall}"] if shortfall else []
    if lists_others(content):
        lines.append(
            "note: problem.statement lists other classes than the data have now: correct the texts "
            "under problem, for the card prints them, and run again"
        )
    return lines


def lists_others(content: ModelCard) -> bool:
    """Whether a class was added, removed or renamed since `edgeproof start` drafted the texts."""
    draft = re.fullmatch(r"Which of (\d+) (?:classes|labels) [^:]*: (.*)\?", content.statement)
    if draft is None:
        return False
    names = content.class_names[:LISTED]
    return int(draft[1]) != len(content.class_names) or any(name not in draft[2] for name in names)


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
        size = contents.pack(content, data, acceptance_set, target)
        line = f"{target}: NOT PROVEN, {size:,} bytes; serving loads it with --draft"
        print("\n".join([line, *failures, *notes(content)]))
        return
    target = artifacts.DIST / f"{root}{bundle.SUFFIX}"
    size = contents.pack(content, data, acceptance_set, target)
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
        runtimes=sorted(contents.runtimes(content)),
    )


if __name__ == "__main__":
    stage.run(main)
