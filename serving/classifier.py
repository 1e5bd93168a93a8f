"""Classifier.load(bundle).predict(images) -> probabilities."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np

from serving import runtimes
from serving.errors import BundleError
from serving.model_card import ModelCard, ModelFile, verified


class Classifier:
    """A proven model on the runtime that is installed here. Threads may share it."""

    def __init__(self, card: ModelCard, file: ModelFile, runtime: str, model: runtimes.Model) -> None:
        self.card, self.file, self.runtime = card, file, runtime
        self._model = model
        self._lock = threading.Lock()

    @classmethod
    def load(cls, bundle: str | Path, format: str | None = None, runtime: str | None = None) -> Classifier:
        """The bundle's first file that passed on a runtime installed here; `format` and `runtime` narrow the choice.

        Raises BundleError where there is none, or where the file is not the one that was proven.
        """
        folder = Path(bundle)
        card = ModelCard.load(folder)
        for file in card.files:
            for proof in file.proofs:
                if format in (None, file.format) and runtime in (None, proof.runtime) and runtimes.version(proof.runtime):
                    return cls(card, file, proof.runtime, runtimes.open_model(proof.runtime, verified(folder, file)))
        pairs = ", ".join(f"{file.format} on {proof.runtime}" for file in card.files for proof in file.proofs)
        raise BundleError(f"nothing in {folder} fits what was asked and is installed here; it holds {pairs or 'no file'}")

    def predict(self, images: Any) -> Any:
        """Raw pixels (N, H, W, C) uint8 -> probabilities (N, K) float32. Raises ValueError for any other input."""
        images = np.asarray(images)
        if images.dtype != np.uint8 or images.shape[1:] != self.card.input_shape:
            allowed = ", ".join(map(str, self.card.input_shape))
            raise ValueError(f"images are {images.dtype} of shape {images.shape}; allowed is uint8 of shape (N, {allowed})")
        result = np.empty((len(images), len(self.card.class_names)), np.float32)
        with self._lock:
            for index in range(len(images)):
                result[index] = self._model.probabilities(images[index : index + 1])
        return result
