"""Ids (N, L) int32 from 1, zero-padded: the words of a text, or a user and an item."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape as html_escape
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.files import artifacts
from pipeline.files.artifacts import Array, Description
from pipeline.files.reports.preprocess import CHANCE, Evidence
from pipeline.inputs import Drawing, Predict, Sheet, _integers, _sheet, _split_checks

NOUN = "ids"
ARRAYS = "int32 of shape (N, L) for ids"
CHANNELS: tuple[int, ...] = ()
BASELINES = {"naive_bayes": "naive Bayes"}
VOCABULARY = True
AUGMENTATION = False
IMAGES = False
AXES = False
CONVOLUTIONS = ""
EMBEDDED = False
PICTURED = False  # without the vocabulary they mean nothing
SHOWN = 10
CLASSES = 10
BEFORE_CONFIDENCE = " "
VALUES = "ids"
PREPARED = "How data become the input"
COMPANIONS = "vocabulary"
EXAMPLES = ""
EXAMPLE = ""

SPELLED = 60  # words of a text in the picture of mistakes

TEXT = {
    "method": "words",
    "box": None,
    "description": "`serving.text.Vocabulary` turns a text into ids of its distinct known words",
}
IDS = {
    "method": "ids",
    "box": None,
    "description": "ids as numbered in `vocabulary.txt`, from 1; zero-padded",
}


def value_range(train: Array, description: Description) -> tuple[float, float]:
    return 0, description.highest


def report(ids: Array, description: Description) -> dict[str, Any]:
    """Ids per input (N, L), how many different ones occur, and how many inputs have none."""
    counts = np.concatenate(
        [np.count_nonzero(ids[start:stop], axis=1) for start, stop in artifacts.chunks_of(ids)]
    )
    is_used = np.zeros(description.highest + 1, bool)
    for start, stop in artifacts.chunks_of(ids):
        is_used[ids[start:stop]] = True
    return {
        "ids_mean": float(counts.mean()),
        "ids_maximum": int(counts.max()),
        "ids_seen": int(is_used[1:].sum()),
        "empty": int((counts == 0).sum()),
    }


def evidence(train: Array, validation: Array) -> Evidence:
    """Only exact copies count."""
    copied = _split_checks.copied_exactly(train, validation)
    return Evidence(len(train), len(validation), *copied, CHANCE, 1.0)


def baseline(
    train: Array, labels: Array, description: Description, pictures: Drawing, path: Path
) -> Predict:
    """Naive Bayes; the picture shows the most indicative ids of each class."""
    priors, likelihoods = log_likelihoods(
        train, labels, len(description.class_names), description.highest
    )
    scores = likelihoods[:, 1:] - likelihoods[:, 1:].mean(0)
    shown = _sheet.spread(len(scores), CLASSES)
    names = [description.class_names[label] for label in shown]
    title = _sheet.title("Most indicative ids of each class", len(shown), len(scores))
    pictures.indicative_ids(path, scores[shown], description.vocabulary, names, title)
    return lambda ids: {"naive_bayes": likeliest(ids, priors, likelihoods)}


def log_likelihoods(
    ids: Array, labels: Array, num_classes: int, highest: int
) -> tuple[Array, Array]:
    """Naive Bayes on ids (N, L): log P(class) (K,) and log P(id | class) (K, highest + 1).

    McCallum and Nigam, 1998, multinomial model with add-one smoothing. The column of id 0, the
    padding, is 0.
    """
    counts = np.ones((num_classes, highest + 1))
    for label in range(num_classes):
        counts[label] += np.bincount(ids[labels == label].ravel(), minlength=highest + 1)
    counts[:, 0] = 0
    likelihoods = np.zeros_like(counts)
    likelihoods[:, 1:] = np.log(counts[:, 1:] / counts.sum(1, keepdims=True))
    return np.log(np.bincount(labels, minlength=num_classes) / len(labels)), likelihoods


def likeliest(ids: Array, priors: Array, likelihoods: Array) -> Array:
    """For each row of ids (N, L) the most likely class (N,)."""
    predictions = []
    for start, stop in artifacts.chunks_of(ids):
        posteriors = priors + likelihoods[:, ids[start:stop]].sum(2).T
        predictions.append(posteriors.argmax(1))
    return np.concatenate(predictions)


def regressors(ids: Array, description: Description) -> Any:
    """How often each id occurs: sparse (N, highest)."""
    from scipy.sparse import csr_matrix

    rows, columns = np.nonzero(ids)
    numbers = ids[rows, columns] - 1
    return csr_matrix(
        (np.ones(len(numbers)), (rows, numbers)), shape=(len(ids), description.highest)
    )


def draw(pictures: Drawing, sheet: Sheet, ids: Array, vocabulary: Sequence[str] = ()) -> None:
    """A sheet of texts."""
    texts = [spell(row, vocabulary) for row in ids]
    pictures.texts(sheet.path, texts, sheet.titles, title=sheet.title)


def html(ids: Array, vocabulary: Sequence[str] = ()) -> str:
    return f"<p>{html_escape(spell(ids, vocabulary))}</p>"


def spell(ids: Array, vocabulary: Sequence[str]) -> str:
    """The words of the first ids of a row (L,)."""
    return " ".join(vocabulary[number - 1] for number in ids[:SPELLED] if number)


def calibration(ids: Array) -> Array:
    return ids


def synthetic(examples: Array, limits: tuple[float, float]) -> Array:
    return _integers.synthetic(examples, int(limits[1]))


def invented(ids: Array, limits: tuple[float, float]) -> Array:
    return _integers.invented(ids, 1, int(limits[1]))  # id 0 is padding


def preprocessing(description: Description) -> dict[str, Any]:
    return TEXT if description.examples else IDS
