"""The rules of the learning curves themselves."""

from __future__ import annotations

import numpy as np

from pipeline.diagnosis.diagnosis import FEWEST_EPOCHS, Curves, Diagnosis, lowest
from pipeline.files.artifacts import Array
from pipeline.training.learning_curves import MEASURES

UNMOVED = 0.03  # share of its first value below which a training loss has not fallen at all
RISE = 0.08  # relative rise of a loss over its lowest
DOUBLED = 1.0  # the same rise, where training is as good as it must be: a small loss is noisy
ERRATIC = 0.02  # noise of the logarithm of a training loss, from one epoch to the next
BLOWN_UP = 0.2  # share of all that the training loss fell which it rose again
SIGNIFICANT = 4.0  # the rise of a validation loss in standard errors of the curve's own noise
FALLING = 0.05  # share of all that a loss fell which fell in the last quarter
ANNEALED = 0.2  # the last learning rate over the highest, below which a schedule has run out
MEDIAN_ERROR = (
    1.2533  # standard error of a median over that of a mean, sqrt(pi / 2), for normal noise
)
UNLIKELY = 0.01  # p-value of a tiny validation's accuracy, above which its rising loss may be that of one odd image
CERTAIN = 1e-4  # the same, above which its gap may be
GAP = 0.1  # training accuracy less validation accuracy


def no_number(curves: Curves) -> Diagnosis | None:
    """A loss or an accuracy that is infinite or no number; every rule below needs numbers."""
    broken = {
        name: np.flatnonzero(~np.isfinite(curves[name]))
        for name in MEASURES
        if name in curves.columns
    }
    name = min(broken, key=lambda name: broken[name][0] if len(broken[name]) else curves.epochs)
    if not len(broken[name]):
        return None
    epoch = curves.epoch(broken[name][0])
    return Diagnosis(
        "diverged",
        epoch,
        {"epochs_without_a_number": len(broken[name])},
        f"the {name.replace('train_', 'training ').replace('_', ' ')} is no number at epoch {epoch}: the learning rate is too high; divide "
        "it by ten, or clip the gradients",
    )


def nothing_learned(curves: Curves) -> Diagnosis | None:
    """The training loss stays where it began, though the layers looked sound and there was something to learn."""
    loss = curves["train_loss"]
    moved = 1 - loss.min() / loss[0] >= UNMOVED or loss[-1] / loss[0] - 1 >= RISE
    if (
        curves.epochs < FEWEST_EPOCHS
        or moved
        or curves.accuracy >= curves.target
        or curves.trained_before
    ):
        return None
    return Diagnosis(
        "vanishing_gradients",
        curves.epoch(0),
        {"first_train_loss": float(loss[0]), "lowest_train_loss": float(loss.min())},
        f"the training loss does not leave its first value ({loss[0]:.3g}): the gradient is lost on its way to the lower layers; use ReLU "
        "with He's initialization, fewer or wider layers, or batch normalization; or the learning rate is far too low",
    )


def diverged(curves: Curves) -> Diagnosis | None:
    """The training loss rises again, far more than it does about its rest, or jumps to where nothing is learned."""
    loss = curves["train_loss"]
    if curves.epochs < FEWEST_EPOCHS:
        return None
    best = int(np.argmin(loss))
    rebound = float((loss[-1] - loss[best]) / (loss[0] - loss[best])) if best else 1.0
    rise = float(loss[-1] / loss[best] - 1)
    risen = rebound >= BLOWN_UP and rise >= (DOUBLED if curves.accuracy >= curves.target else RISE)
    erratic = noise(np.log(loss)) > ERRATIC and bool((np.diff(loss) > 0).any())
    fallen, early = loss[0] - loss[-1], loss[max(1, curves.epochs // 4)]
    jumped = loss[0] > (1 + DOUBLED) * loss[-1] and early - loss[-1] < FALLING * fallen
    if not risen and not (curves.accuracies[0].max() < curves.target / 2 and (erratic or jumped)):
        return None
    return Diagnosis(
        "diverged",
        curves.epoch(best),
        {"rebound_of_train_loss": rebound, "rise_of_train_loss": rise},
        f"the training loss does not settle ({loss[best]:.3g} at best, {loss[-1]:.3g} at the end): the learning rate is too high; "
        "divide it by ten, or clip the gradients",
    )


def too_few_epochs(curves: Curves) -> Diagnosis | None:
    """Curves of one point or two, from which no fault can be seen, and not that there is none either."""
    if curves.epochs >= FEWEST_EPOCHS:
        return None
    return Diagnosis(
        "too_few_epochs",
        curves.epoch(0),
        {"epochs": curves.epochs},
        f"{FEWEST_EPOCHS - 1} epochs or fewer are too few to judge by: whether training went well cannot be seen yet; train longer",
    )


def overfit(curves: Curves) -> Diagnosis | None:
    """Validation loss significantly above its lowest while training loss went on falling."""
    loss, best = curves["validation_loss"], lowest(curves)
    after = loss[best + 1 :]
    if len(after) < FEWEST_EPOCHS:
        return None
    last, around = after[-max(FEWEST_EPOCHS, len(after) // 3) :], loss[max(best - 1, 0) : best + 2]
    lowest_level = np.median(
        around
    )  # of three epochs, since the lowest of many is low by luck as well
    rise = float(np.median(last) / lowest_level - 1)
    error = MEDIAN_ERROR * noise(loss) * np.sqrt(1 / len(last) + 1 / len(around))
    errors = rise * lowest_level / (error + 1e-12)
    falls = curves["train_loss"][-1] < curves["train_loss"][best]
    if rise < RISE or errors < SIGNIFICANT or not falls:
        return None
    if curves.validation_is_tiny and curves.chance_of_gap > UNLIKELY:
        return None
    return Diagnosis(
        "overfit",
        curves.epoch(best),
        {"rise_of_validation_loss": rise, "standard_errors": float(errors)},
        f"from epoch {curves.epoch(best)} on the validation loss rises (by {rise:.0%}) while the training loss goes on falling: "
        "the model learns its examples by heart; take more data or augmentation, dropout or L2, less capacity, or stop at that epoch",
    )


def stopped_early(curves: Curves) -> Diagnosis | None:
    """Both losses still falling at the last epoch, though the learning rate has not run out or the target is not reached."""
    falls = {name: still_falling(curves[name]) for name in ("train_loss", "validation_loss")}
    rate = curves.columns.get("learning_rate", np.ones(curves.epochs))
    annealed = bool(rate[-1] < ANNEALED * rate.max())
    if min(falls.values()) < FALLING or (annealed and curves.accuracy >= curves.target):
        return None
    return Diagnosis(
        "stopped_early",
        curves.epoch(-1),
        falls,
        f"both losses are still falling at the last epoch ({falls['validation_loss']:.0%} of all that the validation loss fell came in "
        "the last quarter): train longer, or with a higher learning rate",
    )


def too_little_capacity(curves: Curves) -> Diagnosis | None:
    """Training itself stays below the target, and validation is no better for training longer."""
    accuracy = curves.accuracy
    if accuracy >= curves.target:
        return None
    what = "training accuracy itself" if curves.knows_train_accuracy else "accuracy"
    resting = still_falling(curves["train_loss"]) < FALLING
    reached = "comes to rest at" if resting else "has come no further than"
    return Diagnosis(
        "too_little_capacity",
        curves.epoch(-1),
        {"accuracy": accuracy, "target": curves.target},
        f"the {what} {reached} {accuracy:.1%}, below the target of {curves.target:.1%}: first give the model more units "
        f"or layers, or better inputs{'; more data will not help' if resting else ''}",
    )


def far_apart(curves: Curves) -> Diagnosis | None:
    """A wide gap without an upturn; that the two parts differ is the likely reason only where nobody has looked at the data."""
    if len(curves.accuracies) < 2:
        return None
    train, validation = (accuracy[-FEWEST_EPOCHS:] for accuracy in curves.accuracies)
    gap = float(np.median(train - validation))
    if gap < GAP or (curves.validation_is_tiny and curves.chance_of_gap > CERTAIN):
        return None
    found = f"validation stays {gap:.1%} behind training without turning up: "
    if curves.evidence is None:
        reason = "it has features that training does not show; look at both, and collect more data"
        return Diagnosis("unrepresentative_training", curves.epoch(0), {"gap": gap}, found + reason)
    reason = "the model learns its examples by heart; take more data or augmentation, dropout or L2, or less capacity"
    return Diagnosis("overfit", curves.epoch(0), {"gap": gap}, found + reason)


def good_fit(curves: Curves) -> Diagnosis:
    best = lowest(curves)
    gap = float(curves["validation_loss"][best] - curves["train_loss"][best])
    accuracy = {
        name: float(values[best])
        for name, values in curves.columns.items()
        if name == "validation_accuracy"
    }
    return Diagnosis(
        "good_fit",
        curves.epoch(best),
        {"gap_of_loss": gap, **accuracy},
        f"nothing is wrong: both losses fell and came to rest, the validation loss at {curves['validation_loss'][best]:.3g}",
    )


def noise(values: Array) -> float:
    """The standard deviation of a curve about its own trend, from the median absolute second difference, which a smooth
    trend and a single jump leave alone. Second differences of independent noise have six times its variance."""
    if len(values) < FEWEST_EPOCHS:
        return 0.0
    return float(1.4826 * np.median(np.abs(np.diff(values, 2))) / np.sqrt(6))


def still_falling(loss: Array) -> float:
    """The share of all that a loss fell which fell in the last quarter of its epochs; 0 where it has hardly fallen at all."""
    quarter = max(1, len(loss) // 4)
    whole = loss[0] - loss[-1]
    return float((loss[-1 - quarter] - loss[-1]) / whole) if whole > UNMOVED * loss[0] else 0.0
