"""From the verdict on a training to what to change, each change with its reason, most promising first.

    python -m pipeline.selection.advise        of the line's last training, as commands to paste

Reads: params.yaml, reports/diagnose.json, reports/preprocess.json.
"""

from __future__ import annotations

from pipeline import artifacts, params, stage
from pipeline.params import Params
from pipeline.selection.cures import CURES, Change, Situation


def advise(now: Situation) -> list[Change]:
    """What to change, most promising first: the cures of the verdict, then what helps a sound training further."""
    cures = [*CURES[now.verdict], *(cure for cure in CURES["good_fit"] if cure not in CURES[now.verdict])]
    return [change for cure in cures if (change := cure(now)) is not None]


def situation(chosen: Params) -> Situation:
    """That of the line's last training."""
    diagnosis = artifacts.load_json(artifacts.report("diagnose"))
    _, labels = artifacts.load_split("train", artifacts.RAW)
    images, _ = artifacts.load_split("train")
    return Situation(chosen, diagnosis["verdict"], len(labels), images.ndim == 4)


def main() -> None:
    now = situation(params.load())
    print(f"verdict: {now.verdict}")
    for change in advise(now):
        print(f"\n{change.name}: {change.reason}\n  {change.command()}")


if __name__ == "__main__":
    stage.run(main)
