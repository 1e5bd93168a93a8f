"""The acceptance set of a bundle, and the verification gate run with it on the device.

A thousand images prove little: even if none is lost, the bound on the loss is 0.31 %. But a file
counts as proven here if its maker proved it on many images, it reproduces the golden vectors here,
and it does not lose significantly more than allowed here: golden vectors are chosen to show where
kernels differ. Verification judges emulated processors the same way.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, fields
from typing import Any, Callable, Dict, Tuple

import numpy as np

from serving import gate, golden_vectors, metric, runtimes
from serving.bundle import Bundle
from serving.classifier import Classifier
from serving.comparison import Comparison, DeviceProof, MakersVerdict, NumberComparison
from serving.errors import BundleError
from serving.gate import NOT_SHOWN, PROVEN, VERDICTS, WORSE
from serving.metric import ACCURACY, METRICS
from serving.model_card import ModelCard
from serving.model_file import NONE, ModelFile

FILE = "acceptance.npz"
MICRO = "tflite_micro"
LARGEST_BYTES = 256 << 20  # unpacked; the bundle's own limits apply to the packed file
MAKER_FOUND_WORSE = "its maker found it worse than the model that it was made from"
ELSEWHERE = "use another file or runtime on this device"

Progress = Callable[[int, int, float], None]  # images done, images in all, seconds so far


@dataclass(frozen=True)
class Acceptance:
    """Test images (N, H, W, C) or ids (N, L), labels (N,), and Keras's probabilities (N, K).

    If the model answers with a number, labels are float32, and "probabilities" numbers (N, 1).
    """

    images: Any
    labels: Any
    probabilities: Any

    @classmethod
    def load(cls, bundle: Bundle) -> Acceptance:
        """The bundle's acceptance set. Raises BundleError, also if there is none."""
        if FILE not in bundle.digests:
            why = bundle.card.no_acceptance or "it was made without one"
            raise BundleError(
                f"{bundle.path} has no acceptance set ({why}); use `serving check` instead"
            )
        try:
            names = [field.name for field in fields(cls)]
            acceptance = cls(*golden_vectors.arrays(bundle.read(FILE), names, LARGEST_BYTES))
            acceptance._check(bundle.card)
        except ValueError as error:
            raise BundleError(
                f"{bundle.path}: {FILE} is not what package writes ({error}); make the bundle again"
            ) from None
        return acceptance

    def first(self, count: int) -> Acceptance:
        return Acceptance(self.images[:count], self.labels[:count], self.probabilities[:count])

    def _check(self, card: ModelCard) -> None:
        """Raises ValueError for arrays that do not belong to this model."""
        count, classes = (*self.labels.shape, 0)[0], len(card.class_names)
        several = card.target == "labels"
        expected = {
            "images": (np.dtype(card.input.type), (count, *card.input_shape)),
            "labels": (
                np.dtype(np.float32 if card.number else np.int64),
                (count, classes) if several else (count,),
            ),
            "probabilities": (np.dtype(np.float32), (count, classes)),
        }
        for name, (dtype, shape) in expected.items():
            array = getattr(self, name)
            if array.dtype != dtype or array.shape != shape or not count:
                raise ValueError(
                    f"{name} is {array.dtype} of shape {array.shape}, "
                    f"expected {dtype} of shape {shape}"
                )
        highest = 2 if several else classes
        if not card.number and (self.labels.min() < 0 or self.labels.max() >= highest):
            raise ValueError(f"a label is not one of the {classes} classes")
        if not (np.isfinite(self.probabilities).all() and np.isfinite(self.labels).all()):
            raise ValueError("a label or probability is not a finite number")


def prove(
    bundle: Bundle, classifier: Classifier, acceptance: Acceptance, progress: Progress
) -> DeviceProof:
    """Runs the gate with one file on one runtime."""
    card, file = bundle.card, classifier.file
    golden_difference = classifier.golden_difference(bundle)
    probabilities, milliseconds = timed_predictions(classifier, acceptance.images, progress)
    allowed = allowed_loss(card, classifier.runtime)
    name = card.metric.name if card.metric else ACCURACY
    outputs = probabilities, acceptance.probabilities
    comparison = metric.compare(
        name, outputs, acceptance.labels, allowed, holds_from=card.holds_from
    )
    maker = makers_verdict(file, classifier.runtime, allowed)
    tolerance = file.golden_tolerance
    return DeviceProof(
        state=gate.elsewhere(comparison, golden_difference, tolerance, maker.verdict),
        comparison=comparison,
        golden_difference=golden_difference,
        golden_tolerance=tolerance,
        maker=maker,
        unit=card.number.unit if card.number else None,
        median_milliseconds=milliseconds[len(milliseconds) // 2],
        p95_milliseconds=milliseconds[int(0.95 * (len(milliseconds) - 1))],
        **rejection(file, probabilities, acceptance.labels),
    )


def rejection(file: ModelFile, probabilities: Any, labels: Any) -> Dict[str, Any]:
    """How many images the file answers, and how many of these answers are wrong.

    Empty if it rejects none. The verdict is on all images, as the trained model answers them all.
    For numbers with an interval: how many true ones are in it.
    """
    if file.interval is not None:
        inside = np.abs(probabilities[:, 0].astype(np.float64) - labels) <= file.interval
        return {"interval": file.interval, "inside": int(inside.sum())}
    if file.accept_from is None:
        return {}
    answers = file.answers(probabilities)
    answered, wrong = answers != NONE, answers != labels
    return {"answered": int(answered.sum()), "answered_wrong": int((answered & wrong).sum())}


def timed_predictions(classifier: Classifier, images: Any, progress: Progress) -> Tuple[Any, Any]:
    """Probabilities (N, K) of images, predicted one by one, and the sorted milliseconds of each."""
    for index in range(runtimes.WARM_UP):
        classifier.predict(images[index % len(images)][None])
    rows, milliseconds = [], []
    started = time.perf_counter()
    for index in range(len(images)):
        before = time.perf_counter()
        rows.append(np.array(classifier.predict(images[index : index + 1])))
        after = time.perf_counter()
        milliseconds.append(1000 * (after - before))
        progress(index + 1, len(images), after - started)
    return np.concatenate(rows), sorted(milliseconds)


def allowed_loss(card: ModelCard, runtime: str) -> float:
    """The loss that the maker allowed. Raises BundleError.

    It is larger for tflite_micro, which is verified on fewer images.
    """
    if card.number:
        return card.number.max_error_added
    section, name = "export", "max_accuracy_drop"
    if runtime == MICRO:
        section, name = "verify", "micro_max_accuracy_drop"
    try:
        allowed = float(card.provenance["params"][section][name])
    except (KeyError, TypeError, ValueError):
        allowed = 0.0
    if not 0 < allowed < 1:
        raise BundleError(
            f"the card of {card.name} lacks {section}.{name}, the allowed loss; "
            "make the bundle again"
        )
    return allowed


def makers_verdict(file: ModelFile, runtime: str, allowed: float) -> MakersVerdict:
    """The maker's verdict on the file on `runtime`, or the worst of those that saw all images.

    A bound above the `allowed` loss proves nothing, whatever the card says.
    """
    same = [proof for proof in file.proofs if proof.runtime == runtime]
    proofs = same or [proof for proof in file.proofs if proof.runtime != MICRO] or file.proofs
    worst = max(proofs, key=lambda proof: (VERDICTS.index(proof.verdict), proof.bound))
    consistent = worst.verdict != PROVEN or worst.bound <= allowed
    verdict = worst.verdict if consistent else NOT_SHOWN
    return MakersVerdict(verdict, worst.images, worst.bound)


def figures(proof: DeviceProof) -> Dict[str, Any]:
    """For JSON."""
    own = gate.given(proof)
    del own["comparison"]
    return {**gate.figures(proof.comparison), **own, "sentence": sentence(proof)}


def sentence(proof: DeviceProof) -> str:
    """The verdict in words: its evidence, and the cure if there is one."""
    comparison, golden = proof.comparison, proof.golden_difference
    if not math.isfinite(comparison.largest_difference) or not math.isfinite(golden):
        return f"worse: some of its outputs are not finite numbers; {ELSEWHERE}"
    if not proof.usable:
        return (
            "worse: its answers to the golden vectors differ from those on the maker's processor "
            f"by up to {golden:.2g}, more than the {proof.golden_tolerance:g} tolerated; "
            f"{ELSEWHERE}"
        )
    if isinstance(comparison, NumberComparison):
        return f"{proof.state}: {_of_numbers(proof, comparison)}"
    counts, allowed = comparison.counts, f"{100 * comparison.allowed:.2g} %"
    if comparison.metric:
        allowed += f" of {METRICS[comparison.metric.name].words}"
    if proof.state == WORSE:
        return f"worse: {counts}: {_worse(proof.maker, comparison, allowed)}; {ELSEWHERE}"
    if proof.state == PROVEN:
        return f"proven: {_proven(proof, counts, allowed)}"
    return f"not shown: {counts}: {_not_shown(proof.maker, comparison, allowed)}"


def _of_numbers(proof: DeviceProof, comparison: NumberComparison) -> str:
    unit, allowed, maker = proof.unit, comparison.allowed, proof.maker
    added = f"on {comparison.images:,} examples it adds"
    if proof.state == WORSE:
        if maker.verdict == WORSE:
            return f"{MAKER_FOUND_WORSE}; {ELSEWHERE}"
        return (
            f"{added} {comparison.error_added:.3g} {unit} to the mean absolute error, "
            f"significantly more than the {allowed:.3g} allowed; {ELSEWHERE}"
        )
    shown = f"{added} at most {comparison.bound:.3g} {unit} to the mean absolute error"
    if proof.state == NOT_SHOWN:
        images = f"{maker.images:,} of its maker"
        return f"{shown}, and the {images} do not show the {allowed:.3g} allowed either"
    if comparison.bound > allowed:
        shown = (
            f"its maker showed on {maker.images:,} examples that it adds at most "
            f"{maker.bound:.3g} {unit}, and those here do not contradict it"
        )
    golden = f"reproduces the golden vectors within {proof.golden_difference:.1g} {unit}"
    return f"{shown}, where {allowed:.3g} is allowed, and it {golden}"


def _worse(maker: MakersVerdict, comparison: Comparison, allowed: str) -> str:
    if maker.verdict == WORSE:
        return MAKER_FOUND_WORSE
    return f"a loss of {100 * comparison.loss:.2f} %, significantly more than the {allowed} allowed"


def _proven(proof: DeviceProof, counts: str, allowed: str) -> str:
    maker, bound = proof.maker, proof.comparison.bound
    golden = (
        "it reproduces the golden vectors of the maker's processor "
        f"within {proof.golden_difference:.1g}"
    )
    if bound <= proof.comparison.allowed:
        return (
            f"{counts}, so it loses at most {100 * bound:.2f} % where {allowed} is allowed, "
            f"and {golden}"
        )
    return (
        f"its maker showed on {maker.images:,} examples that it loses at most "
        f"{100 * maker.bound:.2f} % where {allowed} is allowed, {golden}, "
        f"and the examples here do not contradict it ({counts})"
    )


def _not_shown(maker: MakersVerdict, comparison: Comparison, allowed: str) -> str:
    needed = comparison.images_needed
    if comparison.metric is None:
        rates = comparison.lost / comparison.images, comparison.gained / comparison.images
        needed = gate.images_needed(comparison.allowed, *rates)
    cure = "it can be shown only if less is lost"
    if needed:
        cure = f"{needed:,} examples like these would show it"
    return (
        f"neither these examples nor the maker's {maker.images:,} show that at most "
        f"{allowed} is lost (here {100 * comparison.bound:.2f} %); {cure}"
    )
