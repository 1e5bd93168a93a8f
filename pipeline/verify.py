"""Stage 8: compare every exported file with the Keras model, on every runtime and processor.

    python -m pipeline.verify

Reads: exported/, evaluation/{test_probabilities.npy,validation.npz},
data/prepared/{test,validation}. Writes: evaluation/golden.npz, reports/verify.json,
reports/reliability.png.
Every pair of file and runtime gets a verdict here; `package` decides which verdicts stop the
pipeline.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.bundle.golden import Golden
from pipeline.config import params
from pipeline.config.params import Params
from pipeline.files import artifacts, atomic, digests, timing_cache
from pipeline.files.reports.export import ExportReport
from pipeline.files.reports.verify import VerificationReport
from pipeline.process import stage
from pipeline.reporting import calibration, numbers, pictures
from pipeline.verification import intervals, rejection, schedule
from pipeline.verification.device_metrics import device_metrics
from pipeline.verification.material import Material, gather
from pipeline.verification.pair import Pair, emulated_pairs, native_pairs, outputs_by_format
from pipeline.verification.verdicts import summary


def exported_files() -> dict[str, Path]:
    """The files that export wrote, each verified by its checksum. Raises UserError."""
    return {name: entry.verified() for name, entry in ExportReport.load().files.items()}


def draw_reliability(material: Material, pairs: Sequence[Pair], settings: Params) -> None:
    """A picture of the confidences of Keras and of each file, on the first runtime that ran it.

    For numbers, it shows the errors, and the share of them that intervals must hold.
    """
    tests, labels = material.tests, material.labels[: material.tests]
    outputs = {"Keras": material.reference, **outputs_by_format(pairs)}
    path = artifacts.REPORTS / "reliability.png"
    if material.unit is not None:
        errors = {name: np.abs(rows[:tests, 0] - labels) for name, rows in outputs.items()}
        numbers.errors(path, errors, material.unit, settings.problem.coverage)
        return
    pictures.reliability(
        path, {name: calibration.bins(rows[:tests], labels) for name, rows in outputs.items()}
    )


def save(
    vectors: Golden, material: Material, pairs: Sequence[Pair], not_rejecting: dict[str, str]
) -> None:
    """Writes the golden vectors and the report, and prints the verdicts."""
    arrays = {"images": vectors.images, "labels": vectors.labels, **vectors.probabilities}
    with atomic.replacing(artifacts.GOLDEN) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    report = VerificationReport(
        model_sha256=artifacts.sha256(artifacts.MODEL),
        judged_on=material.judged_on,
        pairs=[pair.verdict for pair in pairs],
        not_rejecting=not_rejecting,
        **({} if material.span is None else {"span": material.span}),
    )
    report.save()
    artifacts.save_json(artifacts.metrics("verify"), device_metrics(report.here))
    print("\n".join(summary(report)))


def workload(pairs: Sequence[Pair], material: Material, settings: Params) -> str:
    """The key of the time that these pairs take, which a new training hardly changes."""
    sizes = [f"{pair.known.name} {pair.known.bytes}" for pair in pairs]
    facts = [*sizes, str(len(material.labels)), settings.verify.model_dump_json()]
    return f"verification-{digests.of_facts(facts)}"


def main() -> None:
    settings = params.load()
    files = exported_files()
    natives, groups = native_pairs(files, settings), emulated_pairs(files, settings)
    pairs = [*natives, *(pair for group in groups for pair in group)]
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        material = gather(settings, folder)
        key = workload(pairs, material, settings)
        schedule.announce(len(pairs), key)
        vectors = schedule.run(natives, groups, material, settings, folder)
        judge_answers = rejection.judge if material.unit is None else intervals.judge
        not_rejecting = judge_answers(natives, material, settings.problem)
    draw_reliability(material, natives, settings)
    save(vectors, material, pairs, not_rejecting)
    timing_cache.remember(key, round(time.perf_counter() - started, 1))


if __name__ == "__main__":
    stage.run(main)
