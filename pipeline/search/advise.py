"""From the verdict on a training to what to change, each change with its reason, most promising first.

    edgeproof advise        of the line's last training, as commands to paste

Reads: params.yaml, reports/diagnose.json, data/raw and data/prepared, if dvc.lock says that they belong together.
"""

from __future__ import annotations

import subprocess
import sys

from pipeline.config import params
from pipeline.config.params import Params
from pipeline.diagnosis.data_and_layer_rules import SMALL
from pipeline.files import artifacts
from pipeline.process.errors import UserError
from pipeline.search.remedies import CURES, Change, Situation


def advise(now: Situation) -> list[Change]:
    """What to change, most promising first: the cures of the verdict, then what helps a sound training further."""
    cures = [
        *CURES[now.verdict],
        *(cure for cure in CURES["good_fit"] if cure not in CURES[now.verdict]),
    ]
    return [change for cure in cures if (change := cure(now)) is not None]


def situation(chosen: Params) -> Situation:
    """That of the line's last training."""
    diagnosis = artifacts.load_json(artifacts.report("diagnose"))
    _, labels = artifacts.load_split("train", artifacts.RAW)
    images, _ = artifacts.load_split("train")
    return Situation(
        chosen, diagnosis["verdict"], len(labels), images.ndim == 4, SMALL in diagnosis["numbers"]
    )


def check_that_it_is_the_last() -> None:
    """Raises UserError where the verdict speaks of other params, data or code than those that lie here."""
    if (
        subprocess.run(
            [sys.executable, "-m", "dvc", "status", "--quiet", "--with-deps", "diagnose"],
            check=False,
        ).returncode
        == 1
    ):
        raise UserError(
            "the last verdict is of other params, data or code (`dvc status --with-deps diagnose` tells which); run `dvc repro`"
        )


def print_advice() -> None:
    """Prints each change with its reason and its command. Raises UserError."""
    check_that_it_is_the_last()
    now = situation(params.load())
    print(f"verdict: {now.verdict}")
    for change in advise(now):
        print(f"\n{change.name}: {change.reason}\n  {change.command()}")
