"""What to do next, on reports/index.html: commands to paste."""

from __future__ import annotations

import json
from dataclasses import dataclass

from pipeline.config.params import Params
from pipeline.files.reports.bundle import BundleReports
from pipeline.files.reports.evaluate import GateName
from pipeline.reporting.page_files import file_verdicts
from pipeline.reporting.page_gates import Gates
from serving.gate import NOT_SHOWN, PROVEN, WORSE


@dataclass(frozen=True)
class NextStep:
    purpose: str
    command: str


def next_steps(
    settings: Params, reports: BundleReports, gates: Gates, bundle: str
) -> list[NextStep]:
    """Commands to paste: the cures of the gates that failed, or what to do with the bundle."""
    improve = [
        NextStep("What to change next, most promising first", "edgeproof advise"),
        NextStep(
            "Let it try such changes by itself, and keep those that help", "edgeproof improve"
        ),
    ]
    compare = NextStep("Compare with other runs in MLflow", "edgeproof ui")
    if not any(gates.values()):
        purpose = "Check that this machine may run the bundle; then do the same on the device"
        check = NextStep(purpose, f"serving check {bundle}")
        return [check, *improve, compare]
    cures = improve if gates[GateName.TARGET] or gates[GateName.BASELINE] else []
    draft = NextStep("Pack a bundle marked NOT PROVEN, to try it anyway", "edgeproof draft")
    return [*cures, *_file_cures(settings, reports), *_target_cure(gates), draft, compare]


def _file_cures(settings: Params, reports: BundleReports) -> list[NextStep]:
    files = file_verdicts(reports)
    failed = [
        file.file for file in files if file.verdict == WORSE or file.file in reports.export.errors
    ]
    rest = [file.file for file in files if file.file not in failed]
    steps = []
    if failed and rest:
        override = f"export.formats=[{','.join(rest)}]"
        steps.append(NextStep(f"Do without {', '.join(failed)}", f"dvc exp run -S '{override}'"))
    if settings.verify.require == PROVEN and any(file.verdict == NOT_SHOWN for file in files):
        override = f"verify.require={json.dumps('not worse')}"
        purpose = "Ship files without a proven loss; more examples in the test set would prove them"
        steps.append(NextStep(purpose, f"dvc exp run -S '{override}'"))
    return steps


def _target_cure(gates: Gates) -> list[NextStep]:
    step = NextStep("Skip the targets that refuse the model", "dvc exp run -S embed.targets=all")
    return [step] if gates[GateName.EMBED] else []
