"""The rules of what can be told beside the curves: of the data, and of the layers before the first step."""

from __future__ import annotations

from dataclasses import replace

from pipeline.diagnosis.diagnosis import Curves, Diagnosis, is_wide

SOUND = {
    "dead_units": 0.0,
    "saturated_units": 0.0,
    "gradient_ratio": 1.0,
}  # of layers that nobody looked at
DEAD = 0.8  # share of a rectified layer's units that are zero for every image before the first step
SATURATED = 0.3  # share of bounded outputs at an end of their range before the first step
VANISHED = 1e-3  # gradient in the first layer over that in the last before the first step
COPIED = 0.05  # share of validation images with a copy in p-training
TOLD_APART = 0.6  # area under the ROC curve of telling validation from p-training
SMALL = "validation_images"  # among the numbers of a diagnosis where a note says that these are few
CERTAIN = 1e-4  # p-value of the two tests on the data


def before_the_first_step(curves: Curves) -> Diagnosis | None:
    """Layers through which training cannot get: dead or saturated units, or gradients that vanish on the way down.

    A trained model's outputs may stand at the ends of their range: it is sure of its answers.
    """
    share, ends, ratio = (curves.layers.get(name, sound) for name, sound in SOUND.items())
    if share >= DEAD:
        return Diagnosis(
            "dead_units",
            curves.epoch(0),
            {"dead_units": share},
            f"{share:.0%} of the rectified units of a layer are zero for every image before training begins, so no gradient passes "
            "through them: look at the initial weights and biases, or use an activation that does not die (leaky ReLU, ELU, SELU)",
        )
    if ends >= SATURATED and not curves.trained_before:
        return Diagnosis(
            "saturated_units",
            curves.epoch(0),
            {"saturated_units": ends},
            f"{ends:.0%} of a layer's outputs stand at the ends of their range before training begins, where the gradient is next to "
            "nothing: the initial weights are too large; use Glorot's, He's or LeCun's initialization",
        )
    if ratio < VANISHED:
        return Diagnosis(
            "vanishing_gradients",
            curves.epoch(0),
            {"gradient_ratio": ratio},
            f"the first layer gets {ratio:.1g} of the gradient that the last one gets, so the lower layers hardly learn: use ReLU or "
            "SELU with the initialization that fits, batch normalization, or fewer layers",
        )
    return None


def noted(found: Diagnosis, curves: Curves) -> Diagnosis:
    """A verdict with a note on validation, where that is so small that its accuracy has a wide interval."""
    if curves.evidence is None or curves.interval is None or not is_wide(*curves.interval):
        return found
    numbers, sentence = width(curves.evidence.validation_images, *curves.interval)
    return replace(
        found,
        numbers={**found.numbers, **numbers},
        sentence=f"{found.sentence}; note that validation is small: {sentence}",
    )


def width(images: int, low: float, high: float) -> tuple[dict[str, float], str]:
    """How far the accuracy of so few validation images may be off by chance alone, in numbers and in words."""
    return (
        {SMALL: images, "interval_low": low, "interval_high": high},
        f"the accuracy of its {images} examples may lie anywhere from {low:.1%} to {high:.1%}; "
        "take more of the data for validation, or use cross-validation",
    )


def leakage(curves: Curves) -> Diagnosis | None:
    evidence = curves.evidence
    if evidence is None or evidence.copied < COPIED or evidence.copied_p_value > CERTAIN:
        return None
    return Diagnosis(
        "leakage",
        curves.epoch(0),
        {"copied": evidence.copied, "p_value": evidence.copied_p_value},
        f"{evidence.copied:.0%} of the validation examples have a copy, exact or nearly, in p-training, so validation flatters the "
        "model: remove the duplicates, or split by their origin",
    )


def shifted(curves: Curves) -> Diagnosis | None:
    evidence = curves.evidence
    if (
        evidence is None
        or evidence.told_apart < TOLD_APART
        or evidence.told_apart_p_value > CERTAIN
    ):
        return None
    return Diagnosis(
        "unrepresentative_training",
        curves.epoch(0),
        {"told_apart": evidence.told_apart, "p_value": evidence.told_apart_p_value},
        f"a classifier can tell validation images from those of p-training (area under its ROC curve {evidence.told_apart:.2f}, 0.5 "
        "is chance): validation has features that training never shows; split at random, or collect data like those of the application",
    )
