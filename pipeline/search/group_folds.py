"""How right is this recipe in a group that training has not seen, such as another camera?

    edgeproof folds --by group               each group is held out in turn
    edgeproof folds --by group --folds 5     a fifth of the groups at a time

Groups are those of `preprocess.group`. Examples outside the test set take part. Copies of an
example stay with it, so a group that shares copies with another one is held out together with it.
Examples without a group are trained on, and with --folds validated too, but counted in no group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline import targets
from pipeline.config.parts import one_class_each
from pipeline.files import raw
from pipeline.files.artifacts import Array
from pipeline.files.reports.evaluate import GroupScore
from pipeline.process.errors import UserError
from pipeline.process.words import percent
from pipeline.reporting import bars, by_folds, by_group
from pipeline.reporting.tables import interval, listed
from pipeline.search import cached_training, folds
from pipeline.search.analysis import Analysis, AnalysisOptions, AnalysisReport
from pipeline.search.announcement import announce
from pipeline.search.cached_training import CachedTraining

KEPT = (
    "The kept epoch is the best one for the group that is held out (train.keep), which flatters "
    "the figures a little; with train.keep=last nothing is chosen by it."
)


@dataclass(frozen=True)
class Examples:
    """The examples outside the test set: their rows of the raw training part, and their facts.

    Arrays (N,). Examples with the same number in `together` are never in two splits.
    """

    rows: Array
    names: Array
    together: Array
    strata: Array

    @property
    def units(self) -> Array:
        """The numbers in `together` that hold a group."""
        return np.unique(self.together[self.names != ""])

    def held_out(self, unit: int) -> str:
        """The groups of a unit: one, or several that share copies."""
        return " + ".join(sorted(set(self.names[self.together == unit]) - {""}))


def cross_validate(count: int | None, options: AnalysisOptions) -> None:
    """Trains a model for each part of the groups, tested on that part. Raises UserError."""
    analysis = Analysis("folds", options, by="group", folds=count)
    data = examples(analysis)
    todo = trainings(analysis, data, count)
    announce(todo, options.engine)
    analysis.results(todo)
    scores = score(data, todo, [right(training) for training in todo])
    panels = [bars.of_groups(scores, ("mean", mean(scores)))]
    analysis.publish(
        report(data, todo, scores), lambda figure: bars.draw(figure, panels), bars.size(panels)
    )


def examples(analysis: Analysis) -> Examples:
    """Raises UserError without groups."""
    settings = analysis.params
    group = settings.preprocess.group
    rows = np.sort(np.concatenate(cached_training.split_rows(settings)))
    names, together = raw.group_names("train", group), raw.groups(group)
    if names is None or together is None:
        raise UserError(
            "--by group needs groups, and preprocess.group is null; say which examples form one, "
            "such as -S 'preprocess.group=(camera\\d+)'"
        )
    strata = cached_training.strata()[rows]
    return Examples(rows, np.array(names)[rows], together[rows], strata)


def trainings(analysis: Analysis, data: Examples, count: int | None) -> list[CachedTraining]:
    """A training for each group, or for each of `count` folds of groups. Raises UserError."""
    units = data.units
    if len(units) < 2:
        raise UserError(
            f"outside the test set there is {len(units)} group of preprocess.group; expected at "
            "least 2 that share no copies"
        )
    if count is not None and not 2 <= count <= len(units):
        raise UserError(
            f"--folds is {count}; expected 2 to {len(units)}, the number of groups outside the "
            "test set"
        )
    if count is None or count == len(units):
        parts = {f"without {data.held_out(unit)}": data.together == unit for unit in units}
    else:
        pairs = folds.split(data.strata, data.together, count, analysis.params.preprocess.seed)
        everything = np.arange(len(data.rows))
        parts = {
            f"fold {number} of {count}": np.isin(everything, validation)
            for number, (_, validation) in enumerate(pairs, 1)
        }
    return [
        CachedTraining(
            name,
            {"held_out": name},
            analysis.params.train,
            data.rows[~held_out],
            data.rows[held_out],
            predicts=True,
        )
        for name, held_out in parts.items()
    ]


def score(
    data: Examples, trainings: Sequence[CachedTraining], right: Sequence[Array]
) -> dict[str, GroupScore]:
    """How right each group is, held out; the worst first. `right` is that of each training."""
    rows = np.concatenate([training.validation_rows for training in trainings])
    return by_group.scores(
        np.concatenate(right), data.names[np.searchsorted(data.rows, rows)].tolist()
    )


def right(training: CachedTraining) -> Array:
    """Which of the held-out examples (P,) are answered right."""
    target = targets.recognition(raw.description().target)
    answers = target.answers(training.probabilities())
    return target.right(answers, raw.rows(training.predicted_rows)[1])


def mean(scores: dict[str, GroupScore]) -> float:
    """The mean accuracy of the groups, each of which counts the same."""
    return float(np.mean([score.accuracy for score in scores.values()]))


def _fold_means(
    data: Examples, trainings: Sequence[CachedTraining], scores: dict[str, GroupScore]
) -> list[float]:
    """The mean accuracy of the groups that each training holds out."""
    names = [
        set(data.names[np.searchsorted(data.rows, training.validation_rows)]) - {""}
        for training in trainings
    ]
    return [float(np.mean([scores[name].accuracy for name in part])) for part in names if part]


def report(
    data: Examples, trainings: Sequence[CachedTraining], scores: dict[str, GroupScore]
) -> AnalysisReport:
    average = mean(scores)
    half = by_folds.half_width(_fold_means(data, trainings, scores))
    bounds = max(average - half, 0.0), min(average + half, 1.0)
    rows = [
        (name, score.accuracy, score.interval, score.right, score.images)
        for name, score in scores.items()
    ]
    right = sum(score.right for score in scores.values())
    images = sum(score.images for score in scores.values())
    return AnalysisReport(
        f"In a group that training has not seen, {percent(average)} of the examples are right "
        f"on average (95 % interval {interval(bounds)}), over {len(scores):,} groups. "
        f"{by_group.sentence(scores)}",
        ["group", "accuracy", "95 % interval", "right"],
        [
            [name, percent(accuracy), interval(ends), f"{hits:,} of {total:,}"]
            for name, accuracy, ends, hits, total in [
                *rows,
                ("mean", average, bounds, right, images),
            ]
        ],
        {"mean_group_accuracy": average, "interval_low": bounds[0], "interval_high": bounds[1]},
        [
            "The interval of a group is that of a proportion (Clopper and Pearson). In the mean "
            "each group counts the same; its interval comes from the means of the folds, and "
            "allows for the training examples that they share (Nadeau and Bengio, 2003).",
            *([KEPT] if trainings[0].settings.keep != "last" else []),
            *_remarks(data, trainings),
        ],
    )


def _remarks(data: Examples, trainings: Sequence[CachedTraining]) -> list[str]:
    """What may explain a bad group, or is missing from the table."""
    class_names = raw.description().class_names
    strata = dict(zip(data.rows.tolist(), data.strata.tolist(), strict=True))
    untaught = set()
    for training in trainings:
        parts = training.validation_rows, training.rows
        validated, trained = ({strata[row] for row in part.tolist()} for part in parts)
        untaught |= validated - trained
    remarks = []
    if untaught and one_class_each(raw.description().target):
        names = listed([class_names[number] for number in sorted(untaught)])
        remarks.append(
            f"While some groups are held out, no example of {names} is left to train on, so their "
            "examples of it are all wrong."
        )
    if nameless := int((data.names == "").sum()):
        remarks.append(f"{nameless:,} examples have no group, and are in no row of the table.")
    return remarks
