"""Runs a proven classifier on a device: numpy and one runtime, nothing else.

from serving import Classifier

classifier = Classifier.load("mnist-digits-1.0.0.tar.gz")  # or the folder it was unpacked to
probabilities = classifier.predict(images)  # raw pixels (N, H, W, C) uint8 -> (N, K) float32
"""

from serving.bundle import Bundle
from serving.classifier import Classifier
from serving.errors import BundleError, InputError, RuntimeRefusalError, ServingError
from serving.model_card import ModelCard

__all__ = [
    "Bundle",
    "BundleError",
    "Classifier",
    "InputError",
    "ModelCard",
    "RuntimeRefusalError",
    "ServingError",
]
