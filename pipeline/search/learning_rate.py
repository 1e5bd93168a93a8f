"""Which learning rate? The range test: one training whose rate rises from batch to batch (Smith, 2017, Cyclical Learning
Rates for Training Neural Networks, section 3.3).

    edgeproof learning-rate
    edgeproof learning-rate --lowest 1e-6 --highest 1 --steps 300

The loss first stands still, then falls, then rises again. Where it is lowest the steps are about to become too long: a tenth
of that rate is a good constant one (the rule of fastai's `lr_find`), and it is the most that a schedule should come down from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.config.params import KerasObject
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError
from pipeline.search import cached_training
from pipeline.search.analysis import Answer, Options, Question
from pipeline.search.cached_training import Result, Training

SMOOTHING = 0.05  # share of the test over which the loss is averaged: the standard deviation of a Gaussian window


def training(asked: Question, lowest: float, highest: float, steps: int) -> Training:
    """The rate is lowest * (highest / lowest) ** (batch / steps). Raises UserError."""
    if not 0 < lowest < highest:
        raise UserError(
            f"--lowest {lowest:g} --highest {highest:g} is an empty range; the lowest must lie above 0 and below the highest"
        )
    if steps < 50:
        raise UserError(
            f"--steps is {steps}; allowed is 50 or more, so that the noise of single batches averages out"
        )
    rows, validation = cached_training.rows_of(asked.chosen)
    size = len(rows) if asked.chosen.train.batch_size == "full" else asked.chosen.train.batch_size
    rises = {"decay_steps": steps, "decay_rate": highest / lowest}
    chosen = asked.chosen.train.model_copy(
        update={
            "learning_rate": lowest,
            "schedule": KerasObject(class_name="ExponentialDecay", config=rises),
            "warmup": 0.0,
            "epochs": math.ceil(steps / math.ceil(len(rows) / size)),
            "patience": None,
            "thaw": [],
            "steps_per_execution": 1,
        }
    )
    return Training(
        f"rate from {lowest:g} to {highest:g}",
        {"lowest": lowest, "highest": highest},
        chosen,
        rows,
        validation,
        every_batch=True,
    )


@dataclass(frozen=True)
class Test:
    """The rate of each batch, its loss, and the losses smoothed; what follows from them."""

    rates: Array
    losses: Array
    smooth: Array

    @property
    def steepest(self) -> float:
        """The rate where the loss falls most steeply over the logarithm of the rate, before its lowest."""
        slopes = np.gradient(self.smooth)[: max(int(self.smooth.argmin()), 2)]
        return float(self.rates[int(slopes.argmin())])

    @property
    def lowest(self) -> float:
        return float(self.rates[int(self.smooth.argmin())])


def measured(result: Result, lowest: float, highest: float, steps: int) -> Test:
    """Raises UserError where the loss is no number from the first batches on."""
    losses = np.array(result.batch_losses[:steps])
    losses = (
        losses[: int(np.argmin(np.isfinite(losses)))] if not np.isfinite(losses).all() else losses
    )
    if len(losses) < 10:
        raise UserError(
            f"the loss is no number after {len(losses)} batches; begin below --lowest {lowest:g}"
        )
    rates = lowest * (highest / lowest) ** (np.arange(len(losses)) / steps)
    return Test(rates, losses, smoothed(losses, SMOOTHING * steps))


def smoothed(losses: Array, width: float) -> Array:
    """A mean with Gaussian weights of this standard deviation, in batches, which at the ends has what there is."""
    distances = np.arange(len(losses))[:, None] - np.arange(len(losses))
    weights = np.exp(-0.5 * (distances / width) ** 2)
    result: Array = weights @ losses / weights.sum(1)
    return result


def answer(asked: Question, found: Test) -> Answer:
    rise = found.smooth[-1] > found.smooth.min() + 0.1 * (found.smooth.max() - found.smooth.min())
    points = {
        "steepest fall": found.steepest,
        "a tenth of the lowest": found.lowest / 10,
        "lowest loss": found.lowest,
    }
    table = [
        [name, f"{rate:.3g}", f"{np.interp(rate, found.rates, found.smooth):.4f}"]
        for name, rate in points.items()
    ]
    rate = float(f"{found.lowest / 10:.2g}")
    above = (
        ""
        if rise
        else " The loss does not rise again up to the highest rate: go on above it with --highest."
    )
    return Answer(
        f"The loss is lowest at a learning rate of {found.lowest:.2g}: try a tenth of it, {rate:g}, as a constant rate, and no more "
        f"than {found.lowest:.2g} as the highest of a schedule.{above} "
        f"`{asked.command({'train.learning_rate': rate, 'train.schedule': 'constant', 'train.warmup': 0.0})}` tries the constant one.",
        ["where", "learning rate", "smoothed training loss"],
        table,
        {"learning_rate": rate, "lowest_loss_learning_rate": found.lowest},
        [
            f"{len(found.rates)} batches, the rate rising by the same factor from one to the next; the loss of each before its step."
        ],
    )


def draw(figure: Any, found: Test) -> None:
    axis = figure.add_subplot()
    axis.plot(found.rates, found.losses, color="grey", alpha=0.5, linewidth=0.8, label="each batch")
    axis.plot(found.rates, found.smooth, color="tab:blue", label="smoothed")
    axis.axvline(
        found.lowest / 10,
        color="tab:green",
        linestyle="--",
        label=f"a tenth of it: {found.lowest / 10:.2g}",
    )
    axis.axvline(
        found.lowest, color="tab:red", linestyle=":", label=f"lowest loss: {found.lowest:.2g}"
    )
    axis.set(xscale="log", xlabel="learning rate", ylabel="training loss")
    axis.set_ylim(0, 1.2 * max(found.smooth[0], float(np.quantile(found.losses, 0.5))))
    axis.grid(alpha=0.3)
    axis.legend()


def measure(lowest: float, highest: float, steps: int, options: Options) -> None:
    """Raises UserError."""
    asked = Question("learning_rate", options, lowest=lowest, highest=highest, steps=steps)
    (result,) = asked.results([training(asked, lowest, highest, steps)])
    found = measured(result, lowest, highest, steps)
    asked.answer(answer(asked, found), lambda figure: draw(figure, found))
