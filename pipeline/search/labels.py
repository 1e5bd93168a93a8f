"""Which labels are wrong? Suspects by confident learning, to look at and decide on.

    edgeproof labels
    edgeproof labels --folds 10 -S train.architecture=mlp --workers 2

Every example outside the test set gets probabilities from a model that was not trained on it: the
folds are those of `edgeproof folds`. An example is suspect if another class is the most
probable. cleanlab estimates from the probabilities and labels how often each class is mistaken for
which other, and so which suspects are probably wrong (Northcutt, Jiang and Chuang, 2021, "Confident
Learning", JAIR 70:1373-1411). They come first.

Writes reports/labels.{md,png,csv,html}. The page is for deciding: it saves corrections.csv, which
preprocess.corrections names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config import params
from pipeline.config.parts import one_class_each
from pipeline.files import artifacts, corrections, pictures, raw
from pipeline.files.artifacts import Array
from pipeline.files.corrections import COLUMNS, TRAINING, Cells
from pipeline.process.errors import UserError
from pipeline.process.words import percent
from pipeline.reporting.pictures import plain, shown_names
from pipeline.search import folds as cross_validation
from pipeline.search import labels_page
from pipeline.search.analysis import Analysis, AnalysisOptions, AnalysisReport
from pipeline.search.announcement import announce
from pipeline.search.cached_training import CachedTraining, TrainingResult

PAGE = artifacts.REPORTS / "labels.html"
TABLE = artifacts.REPORTS / "labels.csv"
# Of what is taken for wrong, 95 % was wrong at an accuracy of 96 %, and 10 % at one of 63 %: see
# docs/benchmarks.md.
RELIABLE = 0.9
CAUTION = (
    " Models that err so often doubt many labels that are right: improve the model, or look at the"
    " first suspects only."
)
MOST_PAIRS = 15  # of classes in the table and the picture


@dataclass(frozen=True)
class Suspect:
    """An example by its row in the raw training part, and what speaks against its label.

    `likelihood` is the probability of the suggested class, `confidence` that of the given one.
    `is_wrong` says that confident learning takes the label for wrong.
    """

    row: int
    given: int
    suggested: int
    likelihood: float
    confidence: float
    is_wrong: bool


def find(folds: int, pictures_shown: int, options: AnalysisOptions) -> None:
    """Writes the page of labels that are probably wrong. Raises UserError."""
    description = raw.description()
    if not one_class_each(description.target):
        raise UserError(
            "`edgeproof labels` is for data with one class for each example; the target of these "
            f"is {description.target}"
        )
    if pictures_shown < 1:
        raise UserError(f"--most is {pictures_shown}; expected an integer of at least 1")
    analysis = Analysis("labels", options, folds=folds)
    tasks = cross_validation.validating(analysis, folds)
    announce(tasks, options.engine)
    results = analysis.results(tasks)
    rows, labels, probabilities = out_of_fold(tasks)
    edits = raw.edits(TRAINING)
    suspects = [
        suspect
        for suspect in ranked(rows, labels, probabilities)
        if suspect.row not in edits.decided
    ]
    names = description.class_names
    earlier = earlier_decisions(analysis.params.preprocess.corrections)
    lines = cells(suspects, names)
    artifacts.save_csv(
        TABLE, COLUMNS, [[line[name] for name in COLUMNS] for line in [*earlier, *lines]]
    )
    labels_page.write(PAGE, analysis.title, suspects[:pictures_shown], lines, earlier)
    analysis.publish(
        report(suspects, len(rows), names, results),
        lambda figure: draw(figure, suspects, names),
    )
    print(f"Decide here: {PAGE}; all suspects: {TABLE}")


def out_of_fold(tasks: Sequence[CachedTraining]) -> tuple[Array, Array, Array]:
    """Rows (N,) of the raw training part, their labels (N,) and probabilities (N, K)."""
    rows = np.concatenate([task.validation_rows for task in tasks])
    probabilities = np.concatenate([task.probabilities() for task in tasks])
    return rows, np.asarray(raw.rows(rows)[1]).astype(np.int64), two_columns(probabilities)


def two_columns(probabilities: Array) -> Array:
    """A single sigmoid (N, 1) is the probability of the second of two classes."""
    if probabilities.shape[1] > 1:
        return probabilities
    return np.concatenate([1 - probabilities, probabilities], axis=1)


def ranked(rows: Array, labels: Array, probabilities: Array) -> list[Suspect]:
    """The suspects: those that confident learning takes for wrong, then the others.

    Both are ranked by self-confidence, the probability of the label. On CIFAR-10 with 3 % of wrong
    labels, 60 of the first hundred were wrong so, and 36 by the margin to the likeliest class.
    """
    from cleanlab.filter import find_label_issues  # takes seconds

    wrong = find_label_issues(labels, probabilities, n_jobs=1)
    suggested = probabilities.argmax(1)
    own = probabilities[np.arange(len(labels)), labels]
    places = np.lexsort((rows, own, ~wrong))
    return [
        Suspect(
            int(rows[place]),
            int(labels[place]),
            int(suggested[place]),
            float(probabilities[place, suggested[place]]),
            float(own[place]),
            bool(wrong[place]),
        )
        for place in places
        if suggested[place] != labels[place]
    ]


def cells(suspects: Sequence[Suspect], names: Sequence[str]) -> list[Cells]:
    """The lines of the CSV: not yet decided, with the suggested class as the new label."""
    photos = pictures.on_disk(raw.load("train")[0])
    keys = [] if photos is None else corrections.keys(photos)
    original = raw.load("train")[1]
    result = []
    for suspect in suspects:
        file, box = keys[suspect.row] if keys else ("", "")
        result.append(
            {
                "row": str(suspect.row),
                "file": file,
                "box": box,
                "set": TRAINING,
                "given": names[int(original[suspect.row])],
                "suggested": names[suspect.suggested],
                "probability": f"{suspect.likelihood:.4f}",
                "decision": "",
                "label": names[suspect.suggested],
            }
        )
    return result


def earlier_decisions(name: str) -> list[Cells]:
    """The decided lines of preprocess.corrections, which the new file repeats."""
    if name == params.NONE:
        return []
    lines = [line for _, line in corrections.read(Path(name))]
    return [{column: line.get(column, "") for column in COLUMNS} for line in lines]


def report(
    suspects: Sequence[Suspect],
    examples: int,
    names: Sequence[str],
    results: Sequence[TrainingResult],
) -> AnalysisReport:
    wrong = sum(suspect.is_wrong for suspect in suspects)
    accuracy = float(np.mean([result.accuracy for result in results]))
    pairs = frequent_pairs(suspects)
    return AnalysisReport(
        f"Of {examples:,} labels outside the test set, confident learning takes {wrong:,} for wrong"
        f" ({percent(wrong / examples)}), and {len(suspects) - wrong:,} more are suspect, by"
        f" {len(results)} models that did not train on them (mean validation accuracy"
        f" {percent(accuracy)}).{'' if accuracy >= RELIABLE else CAUTION}",
        ["label", "suggested", "suspects"],
        [[names[given], names[suggested], f"{count:,}"] for (given, suggested), count in pairs],
        {"probably_wrong": wrong, "suspects": len(suspects), "mean_validation_accuracy": accuracy},
        [
            f"The likeliest to be wrong come first in {PAGE.name}. Not all are: look at each,"
            " decide, save corrections.csv, and name that file in preprocess.corrections of"
            " params.yaml. Stop where most labels are right."
        ],
    )


def frequent_pairs(suspects: Sequence[Suspect]) -> list[tuple[tuple[int, int], int]]:
    counts = Counter((suspect.given, suspect.suggested) for suspect in suspects)
    return counts.most_common(MOST_PAIRS)


def draw(figure: Any, suspects: Sequence[Suspect], names: Sequence[str]) -> None:
    """The most frequent pairs of a label and the class that is suggested."""
    shown = shown_names(names)
    pairs = frequent_pairs(suspects)[::-1]
    texts = [plain(f"{shown[label]} → {shown[suggested]}") for (label, suggested), _ in pairs]
    axis = figure.add_subplot()
    axis.barh(range(len(pairs)), [count for _, count in pairs])
    axis.set_yticks(range(len(pairs)), texts)
    axis.set(xlabel="suspects", title="label → suggested class" if pairs else "no suspects")
