"""Is more data worth it? The validation error against the number of training examples, and a forecast that is checked.

    edgeproof data-size
    edgeproof data-size --sizes 6 --parts 4 -S preprocess.subset=10000

The sizes double up to all of p-training; each is trained on several parts of it, disjoint as far as they go and balanced
like the whole. Errors of networks fall with the data as a power law, until they near what no data can mend (Hestness et
al., 2017, Deep Learning Scaling is Predictable, Empirically; Viering and Loog, 2021, The Shape of Learning Curves). Whether
they do here is tested: the largest size is predicted from the smaller ones, before all are used to look ahead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.files import splits
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError
from pipeline.search import cached_training
from pipeline.search.analysis import Answer, Options, Question
from pipeline.search.cached_training import Result, Training
from pipeline.search.power_law import Measured

FEWEST = 5  # examples of each class at the smallest size
LONGER = 4  # times the epochs that a smaller size may take, to come to as many steps as the largest
FEWEST_SIZES = 4  # two numbers are fitted, and the largest size is left out for the check


def trainings(asked: Question, sizes: int, parts: int) -> list[Training]:
    """Largest size last. Raises UserError."""
    rows, validation = cached_training.rows_of(asked.chosen)
    labels = cached_training.labels()
    smallest, allowed = len(rows) >> (sizes - 1), len(rows) // (FEWEST * len(np.unique(labels)))
    if sizes < FEWEST_SIZES or parts < 2:
        raise UserError(
            f"--sizes {sizes} --parts {parts} cannot be checked; allowed are {FEWEST_SIZES} sizes or more, and 2 parts or more"
        )
    if not allowed or sizes > allowed.bit_length():
        raise UserError(
            f"--sizes {sizes} leaves {smallest} examples at the smallest; with {len(rows):,} at most {allowed.bit_length()} are allowed"
        )
    found = []
    for size in (len(rows) >> halvings for halvings in reversed(range(sizes))):
        epochs = min(
            round(asked.chosen.train.epochs * len(rows) / size), LONGER * asked.chosen.train.epochs
        )
        disjoint = split(rows, labels, size, parts, asked.chosen.preprocess.seed)
        for number in range(parts):
            chosen = asked.chosen.train.model_copy(
                update={"epochs": epochs, "seed": asked.chosen.train.seed + number}
            )
            part = disjoint[number % len(disjoint)]
            values = {"examples": size, "part": number % len(disjoint) + 1, "seed": chosen.seed}
            name = f"{size:,} examples, part {values['part']}, seed {chosen.seed}"
            found.append(Training(name, values, chosen, part, validation))
    return found


def split(rows: Array, labels: Array, size: int, parts: int, seed: int) -> list[Array]:
    """Disjoint parts of so many rows, each balanced as the whole is; fewer parts where there are not enough rows."""
    found: list[Array] = []
    while len(found) < parts and len(rows) > size:
        kept, part = splits.split_off(labels[rows], size, "stratified", seed + len(found))
        found.append(rows[part])
        rows = rows[kept]
    return [*found, rows] if len(found) < parts and len(rows) == size else found


def measured(found: Sequence[tuple[Training, Result]]) -> Measured:
    """With half an example more on either side, since no logarithm is taken of an error of 0 (Jeffreys's prior)."""
    errors = [(result.wrong + 0.5) / (result.validation_examples + 1) for _, result in found]
    return Measured(np.array([len(training.rows) for training, _ in found]), np.array(errors))


def answer(found: Measured, target: float) -> Answer:
    table = []
    for size in np.unique(found.examples):
        errors = found.errors[found.examples == size]
        law, low, high = (
            float(value[0]) for value in found.law.predict(np.array([size]), len(errors))
        )
        table.append(
            [
                f"{size:,}",
                str(len(errors)),
                f"{found.mean(size):.2%}",
                f"{errors.min():.2%} to {errors.max():.2%}",
            ]
        )
        table[-1] += [f"{law:.2%}", f"{low:.2%} to {high:.2%}"]
    law, low, high = (float(value[0]) for value in found.law.predict(np.array([2 * found.largest])))
    table.append([f"{2 * found.largest:,}", "0", "", "", f"{law:.2%}", f"{low:.2%} to {high:.2%}"])
    least, most = found.law.exponent_interval()
    return Answer(
        f"{sentence(found)} {checked(found)}",
        ["examples", "trainings", "error", "lowest to highest", "power law", "95 % interval"],
        table,
        {
            "exponent": found.law.exponent,
            "error_at_twice": law,
            "error_now": found.mean(found.largest),
            "forecast_holds": float(found.holds),
        },
        [
            f"The error falls as examples ^ -{found.law.exponent:.2f} (95 % interval of the exponent {least:.2f} to {most:.2f})."
            f"{reach(found, target)}",
            f"The parts of a size are disjoint where there are enough examples, and differ in the seed. A smaller size is trained for as "
            f"many steps as the largest, in at most {LONGER} times the epochs. All are judged on the same validation examples.",
        ],
    )


def sentence(found: Measured) -> str:
    now = found.mean(found.largest)
    law, low, high = (float(value[0]) for value in found.law.predict(np.array([2 * found.largest])))
    least, most = found.law.exponent_interval()
    if least <= 0:
        return (
            f"No effect of more data could be shown: with {found.largest:,} examples the validation error is {now:.2%}, and the "
            f"exponent by which it falls may be anything from {least:.2f} to {most:.2f}."
        )
    return (
        f"Twice the data ({2 * found.largest:,} examples) would bring the validation error from {now:.2%} to {law:.2%} "
        f"(95 % interval {low:.2%} to {high:.2%}), if it goes on as it did."
    )


def checked(found: Measured) -> str:
    _, low, high = found.foretold()
    claim = f"The smaller sizes foretold {low:.2%} to {high:.2%} for the largest, and {found.mean(found.largest):.2%} was measured"
    if found.holds:
        return f"{claim}: the forecast holds."
    worse = found.mean(found.largest) > high
    return f"{claim}: the forecast does not hold, and twice the data may bring {'less' if worse else 'more'} than that."


def reach(found: Measured, target: float) -> str:
    """How many examples the target would take, where the law has shown that it holds."""
    law = found.law
    if (
        not found.holds
        or law.exponent_interval()[0] <= 0
        or found.mean(found.largest) <= 1 - target
    ):
        return ""
    needed = float(np.exp((np.log(1 - target) - law.coefficients[1]) / law.coefficients[0]))
    return f" By it the target of {target:.2%} takes {needed:.1e} examples; the further ahead, the less certain."


def draw(figure: Any, found: Measured) -> None:
    """Both axes logarithmic, on which a power law is a straight line."""
    axis = figure.add_subplot()
    sizes = np.geomspace(found.examples.min(), 2 * found.largest, 100)
    middle, low, high = found.law.predict(sizes)
    axis.plot(
        sizes,
        100 * middle,
        color="tab:blue",
        label=f"power law, exponent -{found.law.exponent:.2f}",
    )
    axis.fill_between(
        sizes, 100 * low, 100 * high, color="tab:blue", alpha=0.15, label="its 95 % interval"
    )
    axis.plot(
        found.examples, 100 * found.errors, "o", color="black", markersize=4, label="trainings"
    )
    foretold, low_end, high_end = found.foretold()
    ends = [[100 * (foretold - low_end)], [100 * (high_end - foretold)]]
    label = f"foretold by the smaller sizes: {'holds' if found.holds else 'does not hold'}"
    axis.errorbar(
        [found.largest * 1.04],
        [100 * foretold],
        ends,
        color="tab:orange",
        capsize=4,
        fmt="_",
        label=label,
    )
    axis.plot(
        [2 * found.largest],
        [100 * middle[-1]],
        "*",
        color="tab:blue",
        markersize=12,
        label="twice the data",
    )
    axis.set(xscale="log", yscale="log", xlabel="training examples", ylabel="validation error, %")
    ticks = [*np.unique(found.examples), 2 * found.largest]
    axis.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axis.minorticks_off()
    low_tick, high_tick = (
        100 * edge
        for edge in (min(found.errors.min(), low.min()), max(found.errors.max(), high.max()))
    )
    errors = np.geomspace(low_tick, high_tick, 6)
    axis.set_yticks(errors, [f"{error:.2g}" for error in errors])
    axis.grid(alpha=0.3)
    axis.legend()


def measure(sizes: int, parts: int, options: Options) -> None:
    """Raises UserError."""
    asked = Question("data_size", options, sizes=sizes, parts=parts)
    asks = trainings(asked, sizes, parts)
    found = measured(list(zip(asks, asked.results(asks), strict=True)))
    asked.answer(answer(found, asked.chosen.problem.target), lambda figure: draw(figure, found))
