"""Stage 3: the baseline that the model must beat.

For images it is the nearest class mean, by RMSE or by MAE, whichever is better on the validation
set. For ids it is naive Bayes.

    python -m pipeline.baseline

Reads: data/prepared. Writes: evaluation/baseline_predictions.npy, reports/baseline.json,
reports/class_means.png.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pipeline.files import artifacts
from pipeline.files.artifacts import Array, Description
from pipeline.files.reports.baseline import BaselineReport, Score
from pipeline.process import stage
from pipeline.reporting import pictures, statistics

PICTURE = artifacts.REPORTS / "class_means.png"

Predict = Callable[[Array], dict[str, Array]]  # inputs -> the predictions (N,) of each baseline


def class_means(images: Array, labels: Array, num_classes: int) -> Array:
    """The mean image of each class: (K, H, W, C) float64, 0 to 255."""
    sums = np.zeros((num_classes, images[0].size))
    for start, stop in artifacts.chunks(len(images)):
        membership = np.eye(num_classes, dtype=np.float32)[labels[start:stop]]
        sums += membership.T @ images[start:stop].reshape(stop - start, -1).astype(np.float32)
    counts = np.bincount(labels, minlength=num_classes)
    return (sums / counts[:, None]).reshape(num_classes, *images.shape[1:])


def nearest(images: Array, means: Array) -> dict[str, Array]:
    """For each image (N, H, W, C) the class (N,) whose mean is nearest, by RMSE and by MAE."""
    flat = means.reshape(len(means), -1).astype(np.float32)
    predictions: dict[str, list[Array]] = {"rmse": [], "mae": []}
    for start, stop in artifacts.chunks(len(images), 256):
        pixels = np.asarray(images[start:stop]).reshape(stop - start, -1).astype(np.float32)
        distances = np.empty((2, len(flat), len(pixels)), np.float32)
        for label, mean in enumerate(flat):
            difference = pixels - mean
            distances[0, label] = np.einsum("ij,ij->i", difference, difference)
            distances[1, label] = np.abs(difference, out=difference).sum(1)
        for name, distance in zip(predictions, distances, strict=True):
            predictions[name].append(distance.argmin(0))
    return {name: np.concatenate(parts) for name, parts in predictions.items()}


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
    for start, stop in artifacts.chunks(len(ids)):
        posteriors = priors + likelihoods[:, ids[start:stop]].sum(2).T
        predictions.append(posteriors.argmax(1))
    return np.concatenate(predictions)


def score(predictions: Array, labels: Array, class_names: list[str]) -> Score:
    matrix = statistics.confusion(predictions, labels, len(class_names))
    scores = statistics.per_class(matrix, class_names)
    recalls = {name: values["recall"] for name, values in scores.items()}
    accuracy, interval = statistics.accuracy(predictions, labels)
    return Score(accuracy=accuracy, interval=interval, per_class=recalls)


def nearest_mean(description: Description) -> Predict:
    """Fits the nearest class mean and draws the mean images."""
    means = class_means(*artifacts.load_split("train"), len(description.class_names))
    pictures.images(
        PICTURE,
        means,
        pictures.shown_names(description.class_names),
        title="Mean image of each class",
    )
    return lambda images: nearest(images, means)


def naive_bayes(description: Description) -> Predict:
    """Fits naive Bayes and draws the most indicative ids of each class."""
    ids, labels = artifacts.load_split("train")
    priors, likelihoods = log_likelihoods(
        ids, labels, len(description.class_names), description.highest
    )
    scores = likelihoods[:, 1:] - likelihoods[:, 1:].mean(0)
    pictures.indicative_ids(PICTURE, scores, description.vocabulary, description.class_names)
    return lambda ids: {"naive_bayes": likeliest(ids, priors, likelihoods)}


def main() -> None:
    description = artifacts.load_description()
    class_names = description.class_names
    predict = naive_bayes(description) if description.holds_ids else nearest_mean(description)
    scores: dict[str, dict[str, Score]] = {}
    predictions: dict[str, Array] = {}
    for split in ("validation", "test"):
        images, labels = artifacts.load_split(split)
        predictions = predict(images)
        scores[split] = {
            name: score(predicted, labels, class_names) for name, predicted in predictions.items()
        }
    report = BaselineReport.of(scores)
    artifacts.save_array(artifacts.BASELINE_PREDICTIONS, predictions[report.best].astype(np.int64))
    report.save()
    print(f"baseline {report.best}: test accuracy {report.test_accuracy:.4f}")


if __name__ == "__main__":
    stage.run(main)
