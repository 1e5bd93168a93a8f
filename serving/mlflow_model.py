"""A bundle as an MLflow pyfunc model, for `mlflow models serve`."""

from __future__ import annotations

from typing import Any

import numpy as np

from serving.classifier import Classifier


class Predictor:
    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier

    def predict(self, images: Any) -> Any:
        """Raw pixels (N, H, W, C), 0 to 255, or ids (N, L) -> probabilities (N, K)."""
        return self.classifier.predict(np.asarray(images).astype(self.classifier.card.input.type))


def _load_pyfunc(path: str) -> Predictor:
    """MLflow calls this with the folder of the bundle."""
    return Predictor(Classifier.load(path))
