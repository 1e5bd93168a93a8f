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

from serving import gate, golden_vectors, metric_gate, runtimes
from serving.bundle import Bundle
from serving.classifier import Classifier
from serving.errors import BundleError
from serving.gate import NOT_SHOWN, PROVEN, VERDICTS, WORSE
from serving.metric import ACCURACY, METRICS
from serving.model_card import ModelCard
from serving.model_file import NONE, ModelFile

FILE = "acceptance.npz"
MICRO = "tflite_micro"
LARGEST_BYTES = 256 << 20  # unpacked; the bundle's own limits apply to the packed file
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
) -> Dict[str, Any]:
    """One file on one runtime: the facts of the gate, the latency, the verdict and its sentence."""
    file, runtime = classifier.file, classifier.runtime
    golden_difference = classifier.golden_difference(bundle)
    probabilities, milliseconds = timed_predictions(classifier, acceptance.images, progress)
    allowed = allowed_loss(bundle.card, runtime)
    metric = bundle.card.metric.name if bundle.card.metric else ACCURACY
    outputs = probabilities, acceptance.probabilities
    facts = metric_gate.compare(
        metric, outputs, acceptance.labels, allowed, holds_from=bundle.card.holds_from
    )
    facts["golden_difference"], facts["golden_tolerance"] = golden_difference, file.golden_tolerance
    facts["maker"] = makers_verdict(file, runtime, allowed)
    facts["state"] = gate.elsewhere(
        facts, golden_difference, file.golden_tolerance, facts["maker"]["verdict"]
    )
    facts.update(rejection(file, probabilities, acceptance.labels))
    if bundle.card.number:
        facts["unit"] = bundle.card.number.unit
    facts["median_milliseconds"] = milliseconds[len(milliseconds) // 2]
    facts["p95_milliseconds"] = milliseconds[int(0.95 * (len(milliseconds) - 1))]
    return {**facts, "sentence": sentence(facts)}


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


def makers_verdict(file: ModelFile, runtime: str, allowed: float) -> Dict[str, Any]:
    """The maker's verdict on the file on `runtime`, or the worst of those that saw all images.

    A bound above the `allowed` loss proves nothing, whatever the card says.
    """
    same = [proof for proof in file.proofs if proof.runtime == runtime]
    proofs = same or [proof for proof in file.proofs if proof.runtime != MICRO] or file.proofs
    worst = max(proofs, key=lambda proof: (VERDICTS.index(proof.verdict), proof.bound))
    consistent = worst.verdict != PROVEN or worst.bound <= allowed
    return {
        "verdict": worst.verdict if consistent else NOT_SHOWN,
        "images": worst.images,
        "accuracy_lost_bound": worst.bound,
    }


def sentence(facts: Dict[str, Any]) -> str:
    """The verdict in words: its evidence, and the cure if there is one."""
    state, golden, tolerance = (
        facts[name] for name in ("state", "golden_difference", "golden_tolerance")
    )
    if not math.isfinite(facts["largest_difference"]) or not math.isfinite(golden):
        return f"worse: some of its outputs are not finite numbers; {ELSEWHERE}"
    if golden > tolerance:
        return (
            "worse: its answers to the golden vectors differ from those on the maker's processor "
            f"by up to {golden:.2g}, more than the {tolerance:g} tolerated; {ELSEWHERE}"
        )
    if "unit" in facts:
        return f"{state}: {_of_numbers(facts)}"
    counts = f"{facts['lost']:,} of {facts['images']:,} images lost, {facts['gained']:,} gained"
    allowed = f"{100 * facts['max_accuracy_drop']:.2g} %{_of_metric(facts)}"
    if state == WORSE:
        return f"worse: {counts}: {_worse(facts, allowed)}; {ELSEWHERE}"
    if state == PROVEN:
        return f"proven: {_proven(facts, counts, allowed)}"
    return f"not shown: {counts}: {_not_shown(facts, allowed)}"


def _of_numbers(facts: Dict[str, Any]) -> str:
    unit, bound, allowed = (
        facts[name] for name in ("unit", "error_added_bound", "max_error_added")
    )
    maker, added = facts["maker"], f"on {facts['images']:,} images it adds"
    if facts["state"] == WORSE:
        if maker["verdict"] == WORSE:
            return f"its maker found it worse than the model that it was made from; {ELSEWHERE}"
        mean = facts["error_added"]
        return (
            f"{added} {mean:.3g} {unit} to the mean absolute error, significantly more than the "
            f"{allowed:.3g} allowed; {ELSEWHERE}"
        )
    shown = f"{added} at most {bound:.3g} {unit} to the mean absolute error"
    if facts["state"] == NOT_SHOWN:
        images = f"{maker['images']:,} of its maker"
        return f"{shown}, and the {images} do not show the {allowed:.3g} allowed either"
    if bound > allowed:
        shown = (
            f"its maker showed on {maker['images']:,} images that it adds at most "
            f"{maker['accuracy_lost_bound']:.3g} {unit}, and those here do not contradict it"
        )
    golden = f"reproduces the golden vectors within {facts['golden_difference']:.1g} {unit}"
    return f"{shown}, where {allowed:.3g} is allowed, and it {golden}"


def _of_metric(facts: Dict[str, Any]) -> str:
    return f" of {METRICS[facts['metric']['name']].words}" if "metric" in facts else ""


def _loss(facts: Dict[str, Any]) -> Tuple[float, float]:
    """What is lost, and its bound."""
    if "metric" in facts:
        return facts["metric"]["lost"], facts["metric"]["lost_bound"]
    return facts["accuracy_lost"], facts["accuracy_lost_bound"]


def _worse(facts: Dict[str, Any], allowed: str) -> str:
    if facts["maker"]["verdict"] == WORSE:
        return "its maker found it worse than the model that it was made from"
    return f"a loss of {100 * _loss(facts)[0]:.2f} %, significantly more than the {allowed} allowed"


def _proven(facts: Dict[str, Any], counts: str, allowed: str) -> str:
    maker, bound = facts["maker"], _loss(facts)[1]
    golden = (
        "it reproduces the golden vectors of the maker's processor "
        f"within {facts['golden_difference']:.1g}"
    )
    if bound <= facts["max_accuracy_drop"]:
        return (
            f"{counts}, so it loses at most {100 * bound:.2f} % where {allowed} is allowed, "
            f"and {golden}"
        )
    return (
        f"its maker showed on {maker['images']:,} images that it loses at most "
        f"{100 * maker['accuracy_lost_bound']:.2f} % where {allowed} is allowed, {golden}, "
        f"and the images here do not contradict it ({counts})"
    )


def _not_shown(facts: Dict[str, Any], allowed: str) -> str:
    needed = facts.get("images_needed")
    if "metric" not in facts:
        needed = gate.images_needed(
            facts["max_accuracy_drop"],
            facts["lost"] / facts["images"],
            facts["gained"] / facts["images"],
        )
    cure = "it can be shown only if less is lost"
    if needed:
        cure = f"{needed:,} images like these would show it"
    return (
        f"neither these images nor the maker's {facts['maker']['images']:,} show that at most "
        f"{allowed} is lost (here {100 * _loss(facts)[1]:.2f} %); {cure}"
    )


def usable(facts: Dict[str, Any]) -> bool:
    """Whether `Classifier.load` would accept it: it runs and reproduces the golden vectors."""
    return "golden_difference" in facts and facts["golden_difference"] <= facts["golden_tolerance"]
