"""Which learning rate? The range test: one training whose rate rises from batch to batch.

    edgeproof learning-rate
    edgeproof learning-rate --lowest 1e-6 --highest 1 --steps 300

The loss is flat at first, then falls, then rises again (Smith, 2017, Cyclical Learning Rates for
Training Neural Networks, section 3.3). At the rate of its lowest point the steps begin to be too
long: a tenth of that rate is a good constant rate (the rule of fastai's `lr_find`), and that rate
is the highest a schedule should start from.
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
from pipeline.search.analysis import Analysis, AnalysisOptions, AnalysisReport
from pipeline.search.cached_training import CachedTraining, TrainingResult

SMOOTHING = 0.05  # standard deviation of the Gaussian window, as a share of all steps
FEWEST_STEPS = 50
FEWEST_LOSSES = 10


def measure(lowest: float, highest: float, steps: int, options: AnalysisOptions) -> None:
    """Raises UserError."""
    analysis = Analysis("learning_rate", options, lowest=lowest, highest=highest, steps=steps)
    (result,) = analysis.results([training(analysis, lowest, highest, steps)])
    test = range_test(result, lowest, highest, steps)
    analysis.publish(report(analysis, test), lambda figure: draw(figure, test))


def training(analysis: Analysis, lowest: float, highest: float, steps: int) -> CachedTraining:
    """The rate is lowest * (highest / lowest) ** (batch / steps). Raises UserError."""
    if not 0 < lowest < highest:
        raise UserError(
            f"--lowest is {lowest:g} and --highest is {highest:g}; expected 0 < lowest < highest"
        )
    if steps < FEWEST_STEPS:
        raise UserError(
            f"--steps is {steps}; expected at least {FEWEST_STEPS}, to average out the noise of"
            " single batches"
        )
    settings = analysis.params.train
    rows, validation = cached_training.split_rows(analysis.params)
    size = len(rows) if settings.batch_size == "full" else settings.batch_size
    rise = {"decay_steps": steps, "decay_rate": highest / lowest}
    update = {
        "learning_rate": lowest,
        "schedule": KerasObject(class_name="ExponentialDecay", config=rise),
        "warmup": 0.0,
        "epochs": math.ceil(steps / math.ceil(len(rows) / size)),
        "patience": None,
        "thaw": [],
        "steps_per_execution": 1,
    }
    return CachedTraining(
        f"rate from {lowest:g} to {highest:g}",
        {"lowest": lowest, "highest": highest},
        settings.model_copy(update=update),
        rows,
        validation,
        every_batch=True,
    )


@dataclass(frozen=True)
class RangeTest:
    """The learning rate, loss and smoothed loss of each batch (N,)."""

    rates: Array
    losses: Array
    smooth: Array

    @property
    def steepest(self) -> float:
        """The rate where the loss falls most per factor of the rate, before its lowest point."""
        slopes = np.gradient(self.smooth)[: max(int(self.smooth.argmin()), 2)]
        return float(self.rates[int(slopes.argmin())])

    @property
    def lowest(self) -> float:
        """The rate where the loss is lowest."""
        return float(self.rates[int(self.smooth.argmin())])


def range_test(result: TrainingResult, lowest: float, highest: float, steps: int) -> RangeTest:
    """Raises UserError if the loss is NaN or infinite from the first batches on."""
    losses = np.array(result.batch_losses[:steps])
    finite = np.isfinite(losses)
    if not finite.all():
        losses = losses[: int(np.argmin(finite))]
    if len(losses) < FEWEST_LOSSES:
        raise UserError(
            f"the loss is NaN or infinite after {len(losses)} batches; use a smaller --lowest"
            f" than {lowest:g}"
        )
    rates = lowest * (highest / lowest) ** (np.arange(len(losses)) / steps)
    return RangeTest(rates, losses, smoothed(losses, SMOOTHING * steps))


def smoothed(losses: Array, width: float) -> Array:
    """The mean with Gaussian weights; `width` is their standard deviation in batches."""
    distances = np.arange(len(losses))[:, None] - np.arange(len(losses))
    weights = np.exp(-0.5 * (distances / width) ** 2)
    # Dividing by the weights within the test keeps the ends unbiased.
    result: Array = weights @ losses / weights.sum(1)
    return result


def report(analysis: Analysis, test: RangeTest) -> AnalysisReport:
    points = {
        "steepest fall": test.steepest,
        "a tenth of the lowest": test.lowest / 10,
        "lowest loss": test.lowest,
    }
    table = [
        [name, f"{rate:.3g}", f"{np.interp(rate, test.rates, test.smooth):.4f}"]
        for name, rate in points.items()
    ]
    bottom, top = test.smooth.min(), test.smooth.max()
    if test.smooth[-1] > bottom + 0.1 * (top - bottom):
        advice = ""
    else:
        advice = " The loss does not rise again up to the highest rate; try a larger --highest."
    rate = float(f"{test.lowest / 10:.2g}")
    overrides = {
        "train.learning_rate": rate,
        "train.schedule": "constant",
        "train.warmup": 0.0,
    }
    return AnalysisReport(
        f"The loss is lowest at a learning rate of {test.lowest:.2g}: try a tenth of it, {rate:g},"
        f" as a constant rate, or start a schedule from at most {test.lowest:.2g}.{advice}"
        f" To try the constant rate: `{analysis.command(overrides)}`.",
        ["where", "learning rate", "smoothed training loss"],
        table,
        {"learning_rate": rate, "lowest_loss_learning_rate": test.lowest},
        [
            f"{len(test.rates)} batches; the rate rises by the same factor from each to the next."
            " The loss of a batch is that before its step."
        ],
    )


def draw(figure: Any, test: RangeTest) -> None:
    axis = figure.add_subplot()
    axis.plot(test.rates, test.losses, color="grey", alpha=0.5, linewidth=0.8, label="each batch")
    axis.plot(test.rates, test.smooth, color="tab:blue", label="smoothed")
    tenth = test.lowest / 10
    label = f"a tenth of it: {tenth:.2g}"
    axis.axvline(tenth, color="tab:green", linestyle="--", label=label)
    label = f"lowest loss: {test.lowest:.2g}"
    axis.axvline(test.lowest, color="tab:red", linestyle=":", label=label)
    axis.set(xscale="log", xlabel="learning rate", ylabel="training loss")
    axis.set_ylim(0, 1.2 * max(test.smooth[0], float(np.quantile(test.losses, 0.5))))
    axis.grid(alpha=0.3)
    axis.legend()
