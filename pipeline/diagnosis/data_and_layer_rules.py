"""Rules that read more than the curves: the data, and the layers before the first step."""

from __future__ import annotations

from dataclasses import replace

from pipeline.diagnosis.diagnosis import Curves, Diagnosis, is_wide
from pipeline.process.words import percent
from pipeline.reporting.tables import listed

# layers that were not measured count as sound
SOUND = {"dead_units": 0.0, "saturated_units": 0.0, "gradient_ratio": 1.0}
# before the first step:
DEAD = 0.8  # share of a rectified layer's units that are zero for every image
SATURATED = 0.3  # share of bounded outputs at an end of their range
VANISHED = 1e-3  # gradient in the first layer over that in the last
COPIED = 0.05  # share of validation images with a copy in the training set
TOLD_APART = 0.6  # area under the ROC curve of a classifier of training against validation images
CERTAIN = 1e-4  # p-value of the two tests on the data
SMALL = "validation_images"  # a diagnosis has this number if it notes that validation is small

NEGLECTED = "neglected_classes"  # and this one if rare classes are recognized badly


def before_the_first_step(curves: Curves) -> Diagnosis | None:
    """Layers that block training: dead or saturated units, or vanishing gradients.

    The outputs of a trained model may be at the ends of their range, since it is confident.
    """
    share, ends, ratio = (curves.layers.get(name, sound) for name, sound in SOUND.items())
    if share >= DEAD:
        return Diagnosis(
            "dead_units",
            curves.epoch(0),
            {"dead_units": share},
            f"{percent(share, 0)} of the rectified units of a layer are zero for every input "
            "before training begins, so no gradient passes through them: check the initial "
            "weights and biases, or use an activation that does not die (leaky ReLU, ELU, SELU)",
        )
    if ends >= SATURATED and not curves.trained_before:
        return Diagnosis(
            "saturated_units",
            curves.epoch(0),
            {"saturated_units": ends},
            f"{percent(ends, 0)} of a layer's outputs are at the ends of their range before "
            "training begins, where the gradient is close to zero: the initial weights are too "
            "large; use Glorot's, He's or LeCun's initialization",
        )
    if ratio < VANISHED:
        return Diagnosis(
            "vanishing_gradients",
            curves.epoch(0),
            {"gradient_ratio": ratio},
            f"the gradient in the first layer is {ratio:.1g} of that in the last, so the first "
            "layers hardly learn: use ReLU or SELU with a matching initialization, batch "
            "normalization, or fewer layers",
        )
    return None


def with_note(diagnosis: Diagnosis, curves: Curves) -> Diagnosis:
    """Adds a note if validation is so small that its accuracy has a wide interval."""
    if curves.evidence is None or curves.interval is None or not is_wide(*curves.interval):
        return diagnosis
    images = curves.evidence.validation_images
    low, high = curves.interval
    note = (
        f"note that validation is small: the accuracy of its {images} examples may lie anywhere "
        f"from {percent(low, 1)} to {percent(high, 1)}; use more of the data for validation, or "
        "cross-validation"
    )
    return replace(
        diagnosis,
        numbers={**diagnosis.numbers, SMALL: images, "interval_low": low, "interval_high": high},
        sentence=f"{diagnosis.sentence}; {note}",
    )


def with_ignored(diagnosis: Diagnosis, ignored: list[str]) -> Diagnosis:
    """The diagnosis of a model that never gives the answers `ignored` in validation.

    Curves do not show that: a model that always predicts a large class can have a high accuracy.
    """
    if not ignored:
        return diagnosis
    numbers = {**diagnosis.numbers, "ignored_classes": len(ignored)}
    sentence = f"the model never predicts {listed(ignored)} in validation"
    if diagnosis.verdict != "good_fit":
        return replace(
            diagnosis, numbers=numbers, sentence=f"{diagnosis.sentence}; note that {sentence}"
        )
    return Diagnosis(
        "ignored_classes",
        diagnosis.epoch,
        numbers,
        f"both losses fell and came to rest, but {sentence}: add training examples of "
        f"{'it' if len(ignored) == 1 else 'them'}, train longer, or use a larger model",
    )


def with_neglected(diagnosis: Diagnosis, neglected: list[str]) -> Diagnosis:
    """The diagnosis of a model that answers few examples of these rare classes in validation."""
    if not neglected:
        return diagnosis
    note = (
        f"note that few validation examples of {listed(neglected)} are recognized, which "
        f"{'is' if len(neglected) == 1 else 'are'} rare in training: if "
        "train.class_weights is null, set it to balanced, so that each class counts the same"
    )
    return replace(
        diagnosis,
        numbers={**diagnosis.numbers, NEGLECTED: len(neglected)},
        sentence=f"{diagnosis.sentence}; {note}",
    )


def leakage(curves: Curves) -> Diagnosis | None:
    evidence = curves.evidence
    if evidence is None or evidence.copied < COPIED or evidence.copied_p_value > CERTAIN:
        return None
    return Diagnosis(
        "leakage",
        curves.epoch(0),
        {"copied": evidence.copied, "p_value": evidence.copied_p_value},
        f"{percent(evidence.copied, 0)} of the validation examples have an exact or near copy in "
        "the training set, so validation flatters the model: remove the duplicates, or split by "
        "origin",
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
        "a classifier can tell validation examples from training examples (area under its ROC "
        f"curve {evidence.told_apart:.2f}, 0.5 is chance): validation has features that the "
        "training set lacks; split at random, or collect training data like those of the "
        "application",
    )
