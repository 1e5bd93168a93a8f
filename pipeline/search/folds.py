"""How good is this recipe, and how much of that is luck of the split? Stratified k-fold validation.

    edgeproof folds --folds 5
    edgeproof folds --folds 10 -S train.architecture=mlp --workers 2

Every example outside the test set is held out once: the model that answers it was not trained on
it, and its kept epoch was not chosen by it. The rest is split into training and validation set as
in `preprocess`. The folds are children of one MLflow run.

Writes reports/folds.{md,png,json}. `edgeproof run` does the same if evaluate.folds names the last
one and it is of other data or of another recipe.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from pipeline import targets
from pipeline.config.params import NONE, Params
from pipeline.config.parts import one_class_each
from pipeline.files import raw, splits
from pipeline.files.artifacts import Array
from pipeline.files.corrections import TRAINING
from pipeline.files.reports import folds as folds_report
from pipeline.files.reports.evaluate import FoldScore
from pipeline.files.reports.folds import FOLDS, FoldsReport, recipe
from pipeline.files.selection import together_in_splits
from pipeline.process.errors import UserError
from pipeline.process.words import counted
from pipeline.reporting import by_folds, drawing, pictures
from pipeline.reporting.errors import ABSOLUTE_ERROR
from pipeline.reporting.measure import Judged
from pipeline.reporting.metrics import ACCURACY
from pipeline.search import cached_training, judging
from pipeline.search.analysis import Analysis, AnalysisOptions, AnalysisReport
from pipeline.search.announcement import announce
from pipeline.search.cached_training import CachedTraining, TrainingResult
from serving.gate import SIGNIFICANT

# How the interval of a fold is computed, by the name of what is judged
INTERVALS = {
    ACCURACY: "is that of a proportion (Clopper and Pearson)",
    ABSOLUTE_ERROR: "is Student's",
}
OF_RECALLS = "joins those of the recalls of its classes (Zou, Huang and Zhang, 2009)"


def refresh(settings: Params) -> None:
    """Runs folds of the recipe in params.yaml, unless their report is there. Raises UserError."""
    with suppress(FileNotFoundError, UserError):  # none, or a damaged one
        if FoldsReport.load().recipe == recipe(settings, raw.description()):
            return
    print(f"folds: they come first, as {FoldsReport.PATH} (evaluate.folds) judges the target")
    cross_validate(None, AnalysisOptions())


def cross_validate(folds: int | None, options: AnalysisOptions) -> None:
    """In as many folds as the data allow, if the user asks for no number. Raises UserError."""
    analysis = Analysis("folds", options, folds=folds)
    todo = trainings(analysis, folds or number(analysis.params))
    announce(todo, options.engine)
    results = analysis.results(todo)
    parts = [training.judged(analysis.params, analysis.metric) for training in todo]
    score = by_folds.score(parts)
    key = recipe(analysis.params, raw.description())
    FoldsReport(recipe=key, score=score).save()
    page = report(parts, results, score)
    if analysis.params.problem.unit is not None:
        page = against(page, parts, baselines(todo, analysis.params))
    analysis.publish(page, lambda figure: draw(figure, parts))


def number(settings: Params) -> int:
    """How many folds the groups outside the test set allow. Raises UserError for none."""
    _, strata, groups = _examples(settings)
    if groups is None:
        return FOLDS
    one_each = one_class_each(raw.description().target)
    pairs = np.unique(np.stack([strata if one_each else np.zeros_like(strata), groups]), axis=1)
    of_class = np.unique(pairs[0], return_counts=True)[1].min()
    count = len(np.unique(groups))
    folds = folds_report.number(count, int(of_class))
    if not folds and count < FOLDS:
        raise UserError(
            f"{counted(count, 'group')} outside the test set, and {of_class} with the rarest "
            f"class, are too few for folds; add some, or set evaluate.folds to {NONE}"
        )
    return folds or FOLDS


def _examples(settings: Params) -> tuple[Array, Array, Array | None]:
    """The rows outside the test set (N,), their strata (N,) and their groups (N,), if any."""
    rows = np.sort(np.concatenate(cached_training.split_rows(settings)))
    groups = raw.groups(settings.preprocess.group)
    return rows, cached_training.strata()[rows], None if groups is None else groups[rows]


def trainings(analysis: Analysis, folds: int) -> list[CachedTraining]:
    """One training per fold, which is held out; the rest is split again. Raises UserError."""
    settings = analysis.params.preprocess
    each = validating(analysis, folds)
    strata = cached_training.strata()
    groups = together_in_splits(settings.group)
    result = []
    for training in each:
        rows = training.rows
        count = splits.validation_count(settings.validation, len(rows))
        train, validation = splits.split_off(
            strata[rows], count, settings.order, settings.seed, groups.of(rows)
        )
        result.append(
            replace(
                training,
                rows=rows[train],
                validation_rows=rows[validation],
                held_out=training.validation_rows,
            )
        )
    return result


def validating(analysis: Analysis, folds: int) -> list[CachedTraining]:
    """One training per fold, by which its epoch is chosen. Raises UserError."""
    settings = analysis.params
    rows, strata, groups = _examples(settings)
    description = raw.description()
    labels = raw.edits(TRAINING).labels(np.asarray(raw.load("train")[1]))[rows]
    most, what = targets.scoring(description.target).most_folds(labels, description)
    if not 2 <= folds <= most:
        raise UserError(f"--folds is {folds}; expected 2 to {most}, {what}")
    pairs = split(strata, groups, folds, settings.preprocess.seed)
    return [
        CachedTraining(
            f"fold {number} of {folds}",
            {"fold": number},
            settings.train,
            rows[train],
            rows[validation],
            predicts=True,
        )
        for number, (train, validation) in enumerate(pairs, 1)
    ]


def split(strata: Array, groups: Array | None, folds: int, seed: int) -> list[tuple[Array, Array]]:
    """Row numbers of training and validation for each fold; no group (N,) is in both."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    _, numbers, sizes = np.unique(strata, return_inverse=True, return_counts=True)
    # Too few for each fold to have one join the most frequent ones
    strata = np.where(sizes[numbers] < folds, sizes.argmax(), numbers)
    if groups is None or len(np.unique(groups)) == len(groups):
        return list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(strata, strata))
    if folds > len(np.unique(groups)):
        raise UserError(
            f"--folds is {folds}; expected at most {len(np.unique(groups))}, the number of groups"
        )
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    return list(splitter.split(strata, strata, groups))


def report(
    parts: Sequence[Judged], results: Sequence[TrainingResult], score: FoldScore
) -> AnalysisReport:
    """`parts` are the answers to the examples of each fold."""
    values, measure = [part.value for part in parts], parts[0].measure
    low, high = by_folds.interval(values, measure)
    mean, deviation = float(np.mean(values)), float(np.std(values, ddof=1))
    mean_row = [
        "mean",
        measure.text(mean),
        measure.texts((low, high)),
        "",
        f"{np.mean([result.seconds for result in results]):.1f}",
    ]
    how = INTERVALS.get(parts[0].name, OF_RECALLS)
    return AnalysisReport(
        f"Over {len(results)} folds the {measure.of_several} is {measure.text(mean)} (95 %"
        f" interval {measure.texts((low, high))}). Its standard deviation between folds is"
        f" {measure.deviation(deviation)}, so a smaller difference on one split proves nothing."
        f" {by_folds.sentence(score)}",
        ["fold", measure.words, "95 % interval", "kept epoch", "seconds"],
        [*map(fold_row, range(1, len(parts) + 1), parts, results), mean_row],
        {
            f"mean_{parts[0].name}": mean,
            "standard_deviation": deviation,
            "interval_low": low,
            "interval_high": high,
        },
        [
            f"The interval of a fold {how}. The interval of the mean allows for the training"
            " examples that folds share (Nadeau and Bengio, 2003); that of all examples is the"
            " wider one of the two kinds."
        ],
    )


def baselines(trainings: Sequence[CachedTraining], settings: Params) -> list[Judged]:
    """The baseline's answers to the held-out examples of each fold.

    It is fitted to the training examples of the fold, and chosen on its validation examples, as in
    the pipeline.
    """
    description, result = raw.description(), list[Judged]()
    for training in trainings:
        with TemporaryDirectory() as folder:
            predict = targets.target(description.target).baseline(
                *raw.rows(training.rows), description, pictures, Path(folder) / "baseline.png"
            )
        parts = raw.rows(training.validation_rows), raw.rows(training.predicted_rows)
        validated, held_out = (
            {
                name: judging.judged(answers[:, None], labels, settings)
                for name, answers in predict(inputs).items()
            }
            for inputs, labels in parts
        )
        result.append(held_out[min(validated, key=lambda name: validated[name].value)])
    return result


def against(
    page: AnalysisReport, parts: Sequence[Judged], others: Sequence[Judged]
) -> AnalysisReport:
    """The report with the comparison with the baseline, on the same held-out examples."""
    error, baseline = (part[0].joined(part[1:]).value for part in (parts, others))
    p_value, measure = by_folds.p_value(parts, others), parts[0].measure
    verdict = "not significantly different"
    if p_value < SIGNIFICANT:
        verdict = "significantly more" if baseline > error else "significantly less"
    return replace(
        page,
        sentence=f"{page.sentence} That of the baseline on the same examples is"
        f" {measure.text(baseline)}, {verdict} (p = {p_value:.2g}).",
        figures={**page.figures, "baseline_error": baseline, "baseline_p_value": p_value},
        notes=[
            *page.notes,
            "The baseline of a fold is fitted to its training examples, and chosen on its"
            " validation examples. The p-value is the larger one of two: that of Student's paired"
            " t-test of the errors, and that of their means over the folds, with the same allowance"
            " for shared training examples.",
        ],
    )


def fold_row(number: int, part: Judged, result: TrainingResult) -> list[str]:
    return [
        str(number),
        part.measure.text(part.value),
        part.measure.texts(part.interval),
        str(result.kept),
        f"{result.seconds:.1f}",
    ]


def draw(figure: Any, parts: Sequence[Judged]) -> None:
    """Each fold and the mean, with their intervals."""
    axis, measure = figure.add_subplot(), parts[0].measure
    numbers = np.arange(1, len(parts) + 1)
    values = np.array([part.value for part in parts])
    mean, scale = values.mean(), measure.scale
    low, high = by_folds.interval(values.tolist(), measure)
    label = "95 % interval of the mean"
    axis.axhspan(scale * low, scale * high, color="tab:orange", alpha=0.2, label=label)
    axis.axhline(scale * mean, color="tab:orange", label=f"mean {measure.text(mean)}")
    ends = np.array([part.interval for part in parts]).T
    lengths = scale * np.abs(ends - values)
    label = "fold, 95 % interval"
    axis.errorbar(numbers, scale * values, lengths, fmt="o", capsize=3, label=label, clip_on=False)
    axis.set(xlabel="fold", ylabel=measure.axis, xticks=numbers)
    axis.grid(alpha=0.3)
    drawing.limit(axis, 0, scale * measure.highest)
    axis.legend()
