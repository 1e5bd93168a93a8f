"""What to change after the verdict on a training, each with its reason, the most promising first.

    edgeproof advise        on the pipeline's last training, as commands to paste

Reads: params.yaml, reports/diagnose.json, reports/preprocess.json, data/raw.
"""

from __future__ import annotations

from pipeline.config import params
from pipeline.config.params import Params
from pipeline.config.parts import declared
from pipeline.diagnosis import few_examples
from pipeline.files import raw
from pipeline.files.reports.diagnose import DiagnosisReport
from pipeline.files.reports.preprocess import PreprocessReport
from pipeline.planning.networks import LARGE
from pipeline.process import dvc_command, git
from pipeline.process.errors import UserError
from pipeline.reporting.metrics import ACCURACY
from pipeline.search.analysis import check_trains
from pipeline.search.change import Change, Situation
from pipeline.search.remedies import REMEDIES


def advise(situation: Situation) -> list[Change]:
    """The remedies for the verdict, then those that improve a sound training further."""
    remedies = dict.fromkeys([*REMEDIES[situation.verdict], *REMEDIES["good_fit"]])
    return [change for remedy in remedies if (change := remedy(situation)) is not None]


def last_situation(settings: Params) -> Situation:
    """The situation after the pipeline's last training."""
    _, labels = raw.load("train")
    return Situation.after(settings, DiagnosisReport.load(), available=len(labels))


def notes(situation: Situation, data: PreprocessReport) -> list[str]:
    """What comes before a change of the network, or goes with it."""
    settings, result = situation.params, []
    train, validation = (data.splits[name].per_class for name in ("train", "validation"))
    if few := few_examples.sentence(train, validation):
        result.append(f"more examples first: {few}")
    if "PHOTOS" in declared("datasets", settings.dataset.name) and not situation.is_backbone:
        result.append(
            f"if your photos are few and have {LARGE} pixels or more, a published network, trained "
            "on a million photos, usually does better: `edgeproof start ... --force` proposes one "
            "if its weights can be fetched (it replaces params.yaml)"
        )
    if situation.neglects_classes and settings.problem.metric == ACCURACY:
        result.append(
            "rare classes hardly count in the accuracy: set problem.metric to balanced_accuracy, "
            "so that target, gate and search look at every class alike"
        )
    if settings.evaluate.folds != params.NONE:
        result.append(
            "here folds judge the target, and an experiment trains none, so it ends with its "
            "figures and without a bundle: write the change that helps into params.yaml, and run "
            "`edgeproof run`"
        )
    return result


def check_up_to_date() -> None:
    """Raises UserError if the verdict belongs to other params, data or code."""
    if dvc_command.is_outdated("--with-deps", "diagnose"):
        raise UserError(
            "the last verdict belongs to other params, data or code (see `dvc status --with-deps"
            " diagnose`), or there is none; run `edgeproof run`"
        )


def print_advice() -> None:
    """Prints each change with its reason and its command. Raises UserError."""
    check_up_to_date()
    settings = params.load()
    check_trains(settings)
    situation = last_situation(settings)
    print(f"verdict: {situation.verdict}")
    for note in notes(situation, PreprocessReport.load()):
        print(note)
    if missing := git.missing_identity():
        print(f"`dvc exp run` makes commits: set {git.cure(missing)} first")
    for change in advise(situation):
        print(f"\n{change.name}: {change.reason}\n  {change.command()}")
