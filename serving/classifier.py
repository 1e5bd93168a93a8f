"""Classifier.load(bundle).predict(images) -> probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union

import numpy as np

from serving import gate, golden_vectors, preflight, runtimes, sound
from serving.bundle import Bundle
from serving.errors import BundleError, InputError, RuntimeRefusalError, ServingError, reason
from serving.model_card import ModelCard
from serving.model_file import ModelFile, Proof
from serving.subprocess_runtime import SubprocessModel

GOLDEN = golden_vectors.FILE


class Classifier:
    """A model of a bundle on a runtime of this device. Threads may share it."""

    def __init__(
        self, card: ModelCard, file: ModelFile, runtime: str, model: runtimes.Model
    ) -> None:
        self.card, self.file, self.runtime = card, file, runtime
        self._shape, self._type = card.input_shape, np.dtype(card.input.type)
        self._kind = card.kind
        self._probabilities = model.probabilities

    @classmethod
    def load(
        cls,
        bundle: Union[str, Path, Bundle],
        format: Optional[str] = None,
        runtime: Optional[str] = None,
        isolated: Optional[bool] = None,
    ) -> Classifier:
        """The best file of the bundle for this device, in the order of `candidates`.

        `format` and `runtime` narrow the choice. The result has reproduced the golden vectors.
        `isolated` runs the runtime in a process of its own; by default only tflite_runtime, which
        may crash. Raises BundleError, RuntimeRefusalError.
        """
        opened = bundle if isinstance(bundle, Bundle) else Bundle(bundle)
        reasons: List[str] = []
        for file, proof in candidates(opened.card, format, runtime):
            if runtimes.version(proof.runtime) is None:
                continue
            try:
                classifier = cls.unchecked(opened, file, proof.runtime, isolated)
                classifier.check_golden(opened)
            except RuntimeRefusalError as error:
                reasons.append(str(error))
            else:
                return classifier
        if reasons:
            unique = "; ".join(dict.fromkeys(reasons))
            raise RuntimeRefusalError(f"{opened.path} has no file for this device: {unique}")
        pairs = [f"{file.format} on {proof.runtime}" for file, proof in _pairs(opened.card)]
        raise BundleError(
            f"nothing in {opened.path} matches the request and the runtimes installed here; "
            f"it holds {', '.join(pairs) or 'no file'}"
        )

    @classmethod
    def unchecked(
        cls, bundle: Bundle, file: ModelFile, runtime: str, isolated: Optional[bool] = None
    ) -> Classifier:
        """One file on one runtime, golden vectors not yet checked. Raises RuntimeRefusalError."""
        installed = runtimes.version(runtime)
        if refusals := preflight.refusals(file.requirements, runtime, installed):
            raise RuntimeRefusalError("; ".join(refusals))
        data = bundle.read(file.file)
        model: runtimes.Model
        if runtime in runtimes.UNSTABLE if isolated is None else isolated:
            model = SubprocessModel(runtime, data, bundle.card)
        else:
            model = runtimes.open_model(runtime, data)
        return cls(bundle.card, file, runtime, model)

    def predict(self, images: Any) -> Any:
        """Inputs (N, ...), such as raw pixels (N, H, W, C) uint8 -> probabilities (N, K) float32.

        Raises InputError for any other input.
        """
        images = np.asarray(images)
        if images.dtype != self._type or images.shape[1:] != self._shape or not len(images):
            shape = ", ".join(map(str, self._shape))
            raise InputError(
                f"images are {images.dtype} of shape {images.shape}; "
                f"expected {self._type} of shape (N, {shape}), N at least 1"
            )
        if fault := self._kind.fault(images):
            raise InputError(f"the input {fault}")
        return self._probabilities(images)

    def answers(self, probabilities: Any) -> List[Optional[str]]:
        """The class of each row of probabilities (N, K), as `predict` gives them, by its name.

        None stands for "none of these": no probability reaches the file's `accept_from`. Raises
        InputError for several labels at once, and for a number.
        """
        if self.card.number:
            raise InputError(f"{self.card.name} gives a number; take it from `predict`")
        if self.card.target != "classes":
            raise InputError(f"{self.card.name} gives several labels; take them from `answer`")
        names = [*self.card.class_names, None]  # so that NONE, -1, is the last
        return [names[number] for number in self.file.answers(probabilities)]

    def answer(self, row: Any) -> Dict[str, Any]:
        """A row (K,) that `predict` gave, in words, for people and for JSON.

        `class`, None for none of them, or the `labels` that hold, with the `probabilities` of all;
        of a number what `number` gives.
        """
        if self.card.number:
            return self.number(row)
        answer: Dict[str, Any] = {"probabilities": dict(zip(self.card.class_names, row.tolist()))}
        if self.card.target == "labels":
            held = np.flatnonzero(gate.holds(row, self.card.holds_from))
            return {"labels": [self.card.class_names[number] for number in held], **answer}
        return {"class": self.answers(row[None])[0], **answer}

    def number(self, row: Any) -> Dict[str, Any]:
        """A row (1,) that `predict` gave, as a number with the ends of its interval and the unit.

        The true number is between `low` and `high` for at least the share `coverage` of inputs.
        All three are None if the file has no interval. Raises InputError for classes.
        """
        described, width = self.card.number, self.file.interval
        if described is None:
            raise InputError(f"{self.card.name} gives {self.card.target}, and not a number")
        value = float(row[0])
        facts = {"number": value, "unit": described.unit}
        if width is None:
            return {**facts, "low": None, "high": None, "coverage": None}
        ends = {"low": value - width, "high": value + width}
        return {**facts, **ends, "coverage": described.coverage}

    def golden_difference(self, bundle: Bundle) -> float:
        """The largest difference from the golden probabilities. Raises BundleError."""
        try:
            images, expected = golden_vectors.read(bundle.read(GOLDEN), self.file.format, self.card)
        except ValueError as error:
            raise BundleError(
                f"{bundle.path}: {GOLDEN} is not what package writes ({error}); "
                "make the bundle again"
            ) from None
        return float(np.abs(self._checked_predict(images) - expected).max())

    def check_golden(self, bundle: Bundle) -> float:
        """Like `golden_difference`. Raises RuntimeRefusalError beyond the tolerance.

        For a model of sounds, the golden recordings are checked too: raises BundleError.
        """
        sound.check_recordings(bundle.card, bundle.digests, bundle.read)
        difference = self.golden_difference(bundle)
        tolerance = self.file.golden_tolerance
        if not difference <= tolerance:
            raise RuntimeRefusalError(
                f"{self.runtime} does not reproduce the golden vectors of {self.file.format} "
                f"(off by {difference:.3g}, expected at most {tolerance:g}); "
                "use another format or runtime"
            )
        return difference

    def _checked_predict(self, images: Any) -> Any:
        """`predict` for a file that may not be what its card says. Raises RuntimeRefusalError."""
        try:
            probabilities = self.predict(images)
        except ServingError:
            raise
        except Exception as error:  # the runtimes' exceptions share no base class
            raise RuntimeRefusalError(
                f"{self.runtime} fails on {self.file.format}: {reason(error)}"
            ) from None
        expected = len(images), len(self.card.class_names)
        if probabilities.shape != expected:
            raise RuntimeRefusalError(
                f"{self.file.format} gives probabilities of shape {probabilities.shape}, "
                f"expected {expected} as its card says"
            )
        return probabilities


def candidates(
    card: ModelCard, format: Optional[str] = None, runtime: Optional[str] = None
) -> List[Tuple[ModelFile, Proof]]:
    """Every pair of file and runtime that the maker could run, best first.

    Best is the lowest bound of the loss, then no second process, then fewest bytes.
    """
    pairs = [
        (file, proof)
        for file, proof in _pairs(card)
        if format in (None, file.format) and runtime in (None, proof.runtime)
    ]
    return sorted(
        pairs,
        key=lambda pair: (
            pair[1].bound,
            pair[1].runtime in runtimes.UNSTABLE,
            pair[0].bytes,
        ),
    )


def _pairs(card: ModelCard) -> List[Tuple[ModelFile, Proof]]:
    return [(file, proof) for file in card.files for proof in file.proofs]


class Predictor:
    """A classifier as MLflow's pyfunc model, for `mlflow models serve`."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier

    def predict(self, images: Any) -> Any:
        """Raw pixels (N, H, W, C), 0 to 255, or ids (N, L) -> probabilities (N, K)."""
        return self.classifier.predict(np.asarray(images).astype(self.classifier.card.input.type))


def _load_pyfunc(path: str) -> Predictor:
    """MLflow calls this with the folder of the bundle."""
    return Predictor(Classifier.load(path))
