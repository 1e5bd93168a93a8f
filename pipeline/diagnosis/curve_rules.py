"""Rules that read the learning curves alone."""

from __future__ import annotations

import numpy as np

from pipeline.diagnosis.diagnosis import FEWEST_EPOCHS, Curves, Diagnosis, MostError, lowest
from pipeline.files.artifacts import Array
from pipeline.process.words import percent
from pipeline.training.learning_curves import (
    LEARNING_RATE,
    MEASURES,
    NUMBER_MEASURES,
    TRAIN_LOSS,
    VALIDATION_ACCURACY,
    VALIDATION_ERROR,
    VALIDATION_LOSS,
)

UNMOVED = 0.03  # a training loss that fell by a smaller share of its first value has not moved
RISE = 0.08  # relative rise of a loss above its lowest value
DOUBLED = 1.0  # the same where training has reached the target: a small loss is noisy
ERRATIC = 0.02  # noise of the logarithm of a training loss, from one epoch to the next
BLOWN_UP = 0.2  # rise of the training loss from its lowest value, as a share of its fall before
SIGNIFICANT = 4.0  # rise of a validation loss in standard errors of the curve's own noise
FALLING = 0.05  # share of the whole fall of a loss that came in the last quarter
ANNEALED = 0.2  # last learning rate over the highest, below which a schedule has run out
MEDIAN_ERROR = 1.2533  # sqrt(pi / 2): standard error of a median over that of a mean, normal noise
# p-values of the accuracy on a tiny validation set: above the first, its rising loss may come from
# one odd image; above the second, its gap may
UNLIKELY = 0.01
CERTAIN = 1e-4
GAP = 0.1  # training accuracy minus validation accuracy
MEMORIZES = "the model memorizes its examples; use more data or augmentation, dropout or L2"


def not_finite(curves: Curves) -> Diagnosis | None:
    """A loss or accuracy that is NaN or infinite; all rules below need finite values."""
    broken = {
        name: np.flatnonzero(~np.isfinite(curves.columns[name]))
        for name in dict.fromkeys([*MEASURES, *NUMBER_MEASURES])
        if name in curves.columns
    }
    # the measure that breaks first; without a broken epoch it counts as one after the last
    name = min(broken, key=lambda name: broken[name][0] if len(broken[name]) else curves.epochs)
    if not len(broken[name]):
        return None
    epoch = curves.epoch(broken[name][0])
    measure = name.replace("train_", "training ").replace("_", " ")
    return Diagnosis(
        "diverged",
        epoch,
        {"epochs_without_a_number": len(broken[name])},
        f"the {measure} is NaN or infinite at epoch {epoch}: the learning rate is too high; "
        "divide it by ten, or clip the gradients",
    )


def nothing_learned(curves: Curves) -> Diagnosis | None:
    """The training loss stays at its first value, though layers and data looked sound."""
    loss = curves.train_loss
    has_moved = 1 - loss.min() / loss[0] >= UNMOVED or loss[-1] / loss[0] - 1 >= RISE
    is_good = curves.reaches_target or curves.trained_before
    if curves.epochs < FEWEST_EPOCHS or has_moved or is_good:
        return None
    return Diagnosis(
        "vanishing_gradients",
        curves.epoch(0),
        {"first_train_loss": float(loss[0]), "lowest_train_loss": float(loss.min())},
        f"the training loss stays at its first value ({loss[0]:.3g}): the gradient vanishes before "
        "it reaches the first layers; use ReLU with He's initialization, fewer or wider layers, or "
        "batch normalization; or the learning rate is far too low",
    )


def diverged(curves: Curves) -> Diagnosis | None:
    """The training loss rises far more than its noise, or jumps to a level without learning."""
    loss = curves.train_loss
    if curves.epochs < FEWEST_EPOCHS:
        return None
    best = int(np.argmin(loss))
    rebound = float((loss[-1] - loss[best]) / (loss[0] - loss[best])) if best else 1.0
    rise = float(loss[-1] / loss[best] - 1)
    risen = rebound >= BLOWN_UP and rise >= (DOUBLED if curves.reaches_target else RISE)
    # a steep first fall is noise too, so some epoch must also end far above the one before it
    erratic = min(noise(np.log(loss)), np.diff(np.log(loss)).max()) > ERRATIC
    fallen, early = loss[0] - loss[-1], loss[max(1, curves.epochs // 4)]
    jumped = loss[0] > (1 + DOUBLED) * loss[-1] and early - loss[-1] < FALLING * fallen
    if not risen and not (curves.is_far_off and (erratic or jumped)):
        return None
    return Diagnosis(
        "diverged",
        curves.epoch(best),
        {"rebound_of_train_loss": rebound, "rise_of_train_loss": rise},
        f"the training loss does not settle ({loss[best]:.3g} at best, {loss[-1]:.3g} at the end): "
        "the learning rate is too high; divide it by ten, or clip the gradients",
    )


def too_few_epochs(curves: Curves) -> Diagnosis | None:
    """Curves of one or two points, which show neither a fault nor its absence."""
    if curves.epochs >= FEWEST_EPOCHS:
        return None
    return Diagnosis(
        "too_few_epochs",
        curves.epoch(0),
        {"epochs": curves.epochs},
        f"{FEWEST_EPOCHS - 1} epochs or fewer are too few to judge a training by; train longer",
    )


def overfit(curves: Curves) -> Diagnosis | None:
    """The validation loss rises significantly while the training loss keeps falling."""
    loss, best = curves.validation_loss, lowest(curves)
    after = loss[best + 1 :]
    if len(after) < FEWEST_EPOCHS:
        return None
    last = after[-max(FEWEST_EPOCHS, len(after) // 3) :]
    # the median of three epochs, since the lowest of many values is also low by chance
    around = loss[max(best - 1, 0) : best + 2]
    lowest_level = np.median(around)
    rise = float(np.median(last) / lowest_level - 1)
    error = MEDIAN_ERROR * noise(loss) * np.sqrt(1 / len(last) + 1 / len(around))
    errors = rise * lowest_level / (error + 1e-12)
    falls = curves.train_loss[-1] < curves.train_loss[best]
    if rise < RISE or errors < SIGNIFICANT or not falls:
        return None
    if curves.validation_is_tiny and curves.chance_of_gap > UNLIKELY:
        return None
    return Diagnosis(
        "overfit",
        curves.epoch(best),
        {"rise_of_validation_loss": rise, "standard_errors": float(errors)},
        f"from epoch {curves.epoch(best)} on the validation loss rises (by {percent(rise, 0)}) "
        f"while the training loss keeps falling: {MEMORIZES}, less capacity, or stop at that epoch",
    )


def stopped_early(curves: Curves) -> Diagnosis | None:
    """Both losses are still falling at the end, and the schedule could go on or should have.

    After the learning rate has run out, this is a fault only if the target is not reached: longer
    training would still gain something, but nobody needs it.
    """
    falls = falls_at_the_end(curves)
    annealed, reached = has_annealed(curves), curves.reaches_target
    if min(falls.values()) < FALLING or (annealed and reached):
        return None
    below = f", and the {score_and_target(curves, reached=False)}" if annealed else ""
    return Diagnosis(
        "stopped_early",
        curves.epoch(-1),
        falls,
        "both losses are still falling at the last epoch "
        f"({percent(falls[VALIDATION_LOSS], 0)} of the fall of the validation loss came in the "
        f"last quarter){below}: train longer, or with a higher learning rate",
    )


def too_little_capacity(curves: Curves) -> Diagnosis | None:
    """Even the training accuracy stays below the target, and longer training does not help.

    For a number, even the error on the training set stays above it.
    """
    if curves.reaches_target:
        return None
    measure = "training accuracy itself" if curves.knows_train_accuracy else "accuracy"
    name, side = "accuracy", "below"
    if isinstance(curves.target, MostError):
        measure, name, side = "error on the training set itself", "error", "above"
    value = curves.target.value if isinstance(curves.target, MostError) else curves.target
    score, target = curves.score_and_target
    is_resting = still_falling(curves.train_loss) < FALLING
    reached = "levels off at" if is_resting else "has only reached"
    hint = "; more data will not help" if is_resting else ""
    return Diagnosis(
        "too_little_capacity",
        curves.epoch(-1),
        {name: curves.score, "target": value},
        f"the {measure} {reached} {score}, {side} the target of {target}: first "
        f"give the model more units or layers, or better inputs{hint}",
    )


def far_apart(curves: Curves) -> Diagnosis | None:
    """A wide gap between training and validation, without a rise of the validation loss.

    A number has no such rule: how far apart errors may be depends on their unit. Different
    distributions are the likely reason only if the data have not been checked for that.
    """
    if len(curves.accuracies) < 2:
        return None
    train, validation = curves.accuracies
    gaps = train - validation
    gap = float(np.median(gaps[-FEWEST_EPOCHS:]))
    if gap < GAP or (curves.validation_is_tiny and curves.chance_of_gap > CERTAIN):
        return None
    if curves.evidence is None:
        verdict = "unrepresentative_training"
        reason = "it has features that the training set lacks; look at both, and collect more data"
    else:
        verdict, reason = "overfit", f"{MEMORIZES}, or less capacity"
    symptom = f"validation stays {100 * gap:.1f} points behind training, and its loss does not rise"
    together = np.flatnonzero(gaps[:-1] < gap / 2)
    since = curves.epoch(together[-1] + 1 if len(together) else 0)
    return Diagnosis(verdict, since, {"gap": gap}, f"{symptom}: {reason}")


def good_fit(curves: Curves) -> Diagnosis:
    best = lowest(curves)
    gap = float(curves.validation_loss[best] - curves.train_loss[best])
    accuracy = {
        name: float(values[best])
        for name, values in curves.columns.items()
        if name in (VALIDATION_ACCURACY, VALIDATION_ERROR)
    }
    loss = f"{curves.validation_loss[best]:.3g}"
    end = f"fell and came to rest, the validation loss at {loss}"
    if min(falls_at_the_end(curves).values()) >= FALLING:  # and the learning rate has run out
        end = (
            f"fell until the learning rate ran out, the validation loss to {loss}; the "
            f"{score_and_target(curves, reached=True)}{', so that is enough' * bool(curves.target)}"
        )
    return Diagnosis(
        "good_fit",
        curves.epoch(best),
        {"gap_of_loss": gap, **accuracy},
        f"nothing is wrong: both losses {end}",
    )


def falls_at_the_end(curves: Curves) -> dict[str, float]:
    return {name: still_falling(curves.columns[name]) for name in (TRAIN_LOSS, VALIDATION_LOSS)}


def has_annealed(curves: Curves) -> bool:
    """Whether a schedule has run out of learning rate."""
    rate = curves.columns.get(LEARNING_RATE, np.ones(curves.epochs))
    return bool(rate[-1] < ANNEALED * rate.max())


def score_and_target(curves: Curves, *, reached: bool) -> str:
    is_error = isinstance(curves.target, MostError)
    name, side = ("mean absolute error", "above") if is_error else ("accuracy", "below")
    score, target = curves.score_and_target
    if not is_error and not curves.target:
        return f"{name} is {score}, and problem.target is of another metric"
    return f"{name} of {score} is {'not ' if reached else ''}{side} the target of {target}"


def noise(values: Array) -> float:
    """The standard deviation of a curve about its own trend.

    It comes from the median absolute second difference, which neither a smooth trend nor a single
    jump affects. Second differences of independent noise have six times its variance.
    """
    if len(values) < FEWEST_EPOCHS:
        return 0.0
    return float(1.4826 * np.median(np.abs(np.diff(values, 2))) / np.sqrt(6))


def still_falling(loss: Array) -> float:
    """The share of the whole fall of a loss that came in the last quarter of its epochs.

    0 if the loss has hardly fallen at all.
    """
    quarter = max(1, len(loss) // 4)
    whole = loss[0] - loss[-1]
    return float((loss[-1 - quarter] - loss[-1]) / whole) if whole > UNMOVED * loss[0] else 0.0
