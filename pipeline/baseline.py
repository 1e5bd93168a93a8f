"""Stage 3: the baseline that the model must beat: the mean image of each class, nearest by RMSE and by MAE.

    python -m pipeline.baseline

Reads: data/prepared. Writes: evaluation/baseline_predictions.npy, reports/baseline.json, reports/class_means.png.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline import artifacts, metrics, pictures, stage
from pipeline.artifacts import Array


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


def score(predictions: Array, labels: Array, class_names: list[str]) -> dict[str, Any]:
    matrix = metrics.confusion(predictions, labels, len(class_names))
    recalls = {name: values["recall"] for name, values in metrics.per_class(matrix, class_names).items()}
    return {**metrics.accuracy_report(predictions, labels), "per_class": recalls}


def main() -> None:
    class_names = artifacts.load_description().class_names
    means = class_means(*artifacts.load_split("train"), len(class_names))
    summary: dict[str, Any] = {}
    predictions: dict[str, Array] = {}
    for split in ("validation", "test"):
        images, labels = artifacts.load_split(split)
        predictions = nearest(images, means)
        for distance, predicted in predictions.items():
            summary[f"{split}_{distance}"] = score(predicted, labels, class_names)
    best = max(("rmse", "mae"), key=lambda distance: summary[f"validation_{distance}"]["accuracy"])
    summary = {"best": best, "test_accuracy": summary[f"test_{best}"]["accuracy"], **summary}
    artifacts.save_array(artifacts.BASELINE_PREDICTIONS, predictions[best].astype(np.int64))
    artifacts.save_json(artifacts.report("baseline"), summary)
    pictures.images(artifacts.REPORTS / "class_means.png", means, class_names, title="Mean image of each class")
    print(f"nearest class mean by {best}: test accuracy {summary['test_accuracy']:.4f}")


if __name__ == "__main__":
    stage.run(main)
