"""Runs a proven image classifier on a device: numpy and one runtime, nothing else.

from serving import Classifier

classifier = Classifier.load("bundle")
probabilities = classifier.predict(images)      # raw pixels (N, H, W, C) uint8 -> (N, K) float32
"""

from serving.classifier import Classifier
from serving.errors import BundleError
from serving.model_card import ModelCard

__all__ = ["BundleError", "Classifier", "ModelCard"]
