"""Classifier.load(bundle).predict(images) -> probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List, Optional, Tuple, Union

import numpy as np

from serving import golden_vectors, preflight, runtimes
from serving.bundle import Bundle
from serving.errors import BundleError, InputError, RuntimeRefusalError, ServingError, reason
from serving.model_card import ModelCard, ModelFile, Proof
from serving.subprocess_runtime import SubprocessModel

GOLDEN = golden_vectors.FILE


class Classifier:
    """A model of a bundle on the runtime that is installed here. Threads may share it."""

    def __init__(
        self, card: ModelCard, file: ModelFile, runtime: str, model: runtimes.Model
    ) -> None:
        self.card, self.file, self.runtime = card, file, runtime
        self._shape, self._type, self._probabilities = (
            card.input_shape,
            np.dtype(card.input.type),
            model.probabilities,
        )

    @classmethod
    def load(
        cls,
        bundle: Union[str, Path, Bundle],
        format: Optional[str] = None,
        runtime: Optional[str] = None,
        isolated: Optional[bool] = None,
    ) -> Classifier:
        """The best file of the bundle for what is installed here, as `candidates` orders them; `format` and `runtime` narrow the choice.

        It has reproduced the golden vectors before it is returned. `isolated` says whether the runtime has a process
        of its own; None, the default: tflite_runtime alone, which may die. Raises BundleError, RuntimeRefusalError.
        """
        opened = bundle if isinstance(bundle, Bundle) else Bundle(bundle)
        reasons: List[str] = []
        for file, proof in candidates(opened.card, format, runtime):
            installed = runtimes.version(proof.runtime)
            if installed is None:
                continue
            refusals = preflight.refusals(file.requirements, proof.runtime, installed)
            if refusals:
                reasons += refusals
                continue
            try:
                classifier = cls.unchecked(opened, file, proof.runtime, isolated)
                classifier.check_golden(opened)
            except RuntimeRefusalError as error:
                reasons.append(str(error))
            else:
                return classifier
        if reasons:
            raise RuntimeRefusalError(
                f"{opened.path} has no file for this device: {'; '.join(dict.fromkeys(reasons))}"
            )
        pairs = ", ".join(
            f"{file.format} on {proof.runtime}"
            for file in opened.card.files
            for proof in file.proofs
        )
        raise BundleError(
            f"nothing in {opened.path} fits what was asked and is installed here; it holds {pairs or 'no file'}"
        )

    @classmethod
    def unchecked(
        cls, bundle: Bundle, file: ModelFile, runtime: str, isolated: Optional[bool] = None
    ) -> Classifier:
        """One file on one runtime, which has not been asked for the golden vectors. Raises RuntimeRefusalError."""
        data = bundle.read(file.file)
        alone = runtime in runtimes.UNSTABLE if isolated is None else isolated
        model = (
            SubprocessModel(runtime, data, bundle.card)
            if alone
            else runtimes.open_model(runtime, data)
        )
        return cls(bundle.card, file, runtime, model)

    def predict(self, images: Any) -> Any:
        """Raw pixels (N, H, W, C) uint8, or ids (N, L) int32 -> probabilities (N, K) float32. Raises InputError for any other input."""
        images = np.asarray(images)
        if images.dtype != self._type or images.shape[1:] != self._shape or not len(images):
            allowed = f"{self._type} of shape (N, {', '.join(map(str, self._shape))})"
            raise InputError(
                f"images are {images.dtype} of shape {images.shape}; allowed is {allowed}, N at least 1"
            )
        return self._probabilities(images)

    def golden_difference(self, bundle: Bundle, count: Optional[int] = None) -> float:
        """The largest difference of a probability from the first `count` golden vectors, None for all. Raises BundleError."""
        try:
            images, expected = golden_vectors.read(bundle.read(GOLDEN), self.file.format, self.card)
        except ValueError as error:
            raise BundleError(
                f"{bundle.path}: {GOLDEN} is not what package writes ({error}); make the bundle again"
            ) from None
        return float(np.abs(self._answers(images[:count]) - expected[:count]).max())

    def check_golden(self, bundle: Bundle, count: Optional[int] = None) -> float:
        """The same. Raises RuntimeRefusalError beyond the tolerance."""
        difference = self.golden_difference(bundle, count)
        if not difference <= self.file.golden_tolerance:
            raise RuntimeRefusalError(
                f"{self.runtime} does not reproduce the golden vectors of {self.file.format} "
                f"(off by {difference:.3g}, allowed is {self.file.golden_tolerance:g}); use another format or runtime"
            )
        return difference

    def _answers(self, images: Any) -> Any:
        """The probabilities (N, K), also of a file that is not the model that its card describes. Raises RuntimeRefusalError."""
        try:
            answers = self.predict(images)
        except ServingError:
            raise
        except Exception as error:  # the runtimes' exceptions share no base class
            raise RuntimeRefusalError(
                f"{self.runtime} fails on {self.file.format}: {reason(error)}"
            ) from None
        expected = len(images), len(self.card.class_names)
        if answers.shape != expected:
            raise RuntimeRefusalError(
                f"{self.file.format} gives probabilities of shape {answers.shape}, expected {expected} as its card says"
            )
        return answers


def candidates(
    card: ModelCard, format: Optional[str] = None, runtime: Optional[str] = None
) -> List[Tuple[ModelFile, Proof]]:
    """Every pair of file and runtime that ran at its maker's, best first.

    Best is the lowest bound of the accuracy lost, then no second process, then fewest bytes.
    """
    pairs = [(file, proof) for file in card.files for proof in file.proofs]
    fitting = [
        (file, proof)
        for file, proof in pairs
        if format in (None, file.format) and runtime in (None, proof.runtime)
    ]
    return sorted(
        fitting,
        key=lambda pair: (
            pair[1].accuracy_lost_bound,
            pair[1].runtime in runtimes.UNSTABLE,
            pair[0].bytes,
        ),
    )
