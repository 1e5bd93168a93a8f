"""Is more data worth it? Validation error against training set size, with a checked forecast.

    edgeproof data-size
    edgeproof data-size --sizes 6 --parts 4 -S preprocess.subset=10000

The sizes double up to the whole training set. Each is trained on several parts of it, which are
disjoint where there are enough examples, and as balanced as the whole. Errors of networks fall with
the data as a power law, until they approach an error that no data can remove (Hestness et al.,
2017, Deep Learning Scaling is Predictable, Empirically; Viering and Loog, 2021, The Shape of
Learning Curves). This is tested: the smaller sizes predict the largest one, before all sizes are
used to look ahead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.files import splits
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError
from pipeline.reporting.metrics import ACCURACY
from pipeline.search import cached_training
from pipeline.search.analysis import Analysis, AnalysisOptions, AnalysisReport
from pipeline.search.cached_training import CachedTraining, TrainingResult
from pipeline.search.power_law import ErrorCurve

FEWEST = 5  # examples per class at the smallest size
LONGER = 4  # a smaller size may take this many times the epochs, to take as many steps
FEWEST_SIZES = 4  # two coefficients are fitted, and the largest size is kept for the check


def measure(sizes: int, parts: int, options: AnalysisOptions) -> None:
    """Raises UserError."""
    analysis = Analysis("data_size", options, sizes=sizes, parts=parts)
    tasks, problem = trainings(analysis, sizes, parts), analysis.params.problem
    curve = error_curve(tasks, analysis.results(tasks), problem.unit)
    target = problem.target if problem.metric == ACCURACY else 0.0  # which asks for no examples
    analysis.publish(report(curve, target), lambda figure: draw(figure, curve))


def trainings(analysis: Analysis, sizes: int, parts: int) -> list[CachedTraining]:
    """The trainings of all sizes, the largest last. Raises UserError."""
    settings = analysis.params.train
    rows, validation = cached_training.split_rows(analysis.params)
    strata = cached_training.strata()
    check_sizes(sizes, parts, len(rows), len(np.unique(strata)))
    tasks = []
    for size in (len(rows) >> halvings for halvings in reversed(range(sizes))):
        epochs = min(round(settings.epochs * len(rows) / size), LONGER * settings.epochs)
        disjoint = split(rows, strata, size, parts, analysis.params.preprocess.seed)
        for number in range(parts):
            part, seed = number % len(disjoint), settings.seed + number
            tasks.append(
                CachedTraining(
                    f"{size:,} examples, part {part + 1}, seed {seed}",
                    {"examples": size, "part": part + 1, "seed": seed},
                    settings.model_copy(update={"epochs": epochs, "seed": seed}),
                    disjoint[part],
                    validation,
                )
            )
    return tasks


def check_sizes(sizes: int, parts: int, examples: int, classes: int) -> None:
    """Raises UserError."""
    if sizes < FEWEST_SIZES or parts < 2:
        raise UserError(
            f"--sizes is {sizes} and --parts is {parts}, too few to check the forecast;"
            f" expected at least {FEWEST_SIZES} sizes and 2 parts"
        )
    most = (examples // (FEWEST * classes)).bit_length()
    if sizes > most:
        raise UserError(
            f"--sizes is {sizes}, which leaves {examples >> (sizes - 1)} examples at the smallest"
            f" size; with {examples:,} examples expected at most {most}"
        )


def split(rows: Array, strata: Array, size: int, parts: int, seed: int) -> list[Array]:
    """Disjoint parts of `size` rows, as balanced as the whole. Fewer parts if rows run out."""
    disjoint: list[Array] = []
    while len(disjoint) < parts and len(rows) > size:
        rest, part = splits.split_off(strata[rows], size, "stratified", seed + len(disjoint))
        disjoint.append(rows[part])
        rows = rows[rest]
    return [*disjoint, rows] if len(disjoint) < parts and len(rows) == size else disjoint


def error_curve(
    trainings: Sequence[CachedTraining],
    results: Sequence[TrainingResult],
    unit: str | None,
) -> ErrorCurve:
    """The errors, those of numbers in their unit.

    Half an example is added on either side of counts, as an error of 0 has no logarithm: this is
    Jeffreys's prior.
    """
    errors = [
        (result.wrong + 0.5) / (result.validation_examples + 1) if unit is None else result.score
        for result in results
    ]
    examples = np.array([len(training.rows) for training in trainings])
    return ErrorCurve(examples, np.array(errors), unit)


def report(curve: ErrorCurve, target: float) -> AnalysisReport:
    table = [size_row(curve, int(size)) for size in np.unique(curve.examples)]
    law, low, high = curve.law.predict_one(2 * curve.largest)
    doubled = f"{2 * curve.largest:,}"
    table.append([doubled, "0", "", "", curve.words(law), curve.between(low, high)])
    least, most = curve.law.exponent_interval()
    return AnalysisReport(
        f"{sentence(curve)} {check_sentence(curve)}",
        ["examples", "trainings", "error", "lowest to highest", "power law", "95 % interval"],
        table,
        {
            "exponent": curve.law.exponent,
            "error_at_twice": law,
            "error_now": curve.mean(curve.largest),
            "forecast_holds": float(curve.holds),
        },
        [
            f"The error falls as examples ^ -{curve.law.exponent:.2f} (95 % interval of the"
            f" exponent {least:.2f} to {most:.2f}).{target_sentence(curve, target)}",
            "The parts of a size are disjoint where there are enough examples, and have different"
            " seeds. A smaller size is trained for as many steps as the largest, but for at most"
            f" {LONGER} times its epochs. All are judged on the same validation examples.",
        ],
    )


def size_row(curve: ErrorCurve, size: int) -> list[str]:
    errors = curve.errors[curve.examples == size]
    law, low, high = curve.law.predict_one(size, len(errors))
    return [
        f"{size:,}",
        str(len(errors)),
        curve.words(curve.mean(size)),
        curve.between(errors.min(), errors.max()),
        curve.words(law),
        curve.between(low, high),
    ]


def sentence(curve: ErrorCurve) -> str:
    """What twice the data would bring."""
    now = curve.mean(curve.largest)
    law, low, high = curve.law.predict_one(2 * curve.largest)
    least, most = curve.law.exponent_interval()
    if least <= 0:
        return (
            f"No effect of more data was shown: with {curve.largest:,} examples the validation"
            f" error is {curve.words(now)}, and the exponent of its fall may be anything from"
            f" {least:.2f} to {most:.2f}."
        )
    return (
        f"Twice the data ({2 * curve.largest:,} examples) would reduce the validation error from"
        f" {curve.words(now)} to {curve.words(law)} (95 % interval {curve.between(low, high)}),"
        " if the trend continues."
    )


def check_sentence(curve: ErrorCurve) -> str:
    """Whether the smaller sizes predict the largest."""
    _, low, high = curve.forecast()
    error = curve.mean(curve.largest)
    forecast = curve.between(low, high)
    claim = f"The smaller sizes predict {forecast} for the largest, which has {curve.words(error)}"
    if curve.holds:
        return f"{claim}: the forecast holds."
    gain = "less" if error > high else "more"
    return f"{claim}: the forecast does not hold, and twice the data may bring {gain} than that."


def target_sentence(curve: ErrorCurve, target: float) -> str:
    """How many examples the target needs, if the law is known to hold."""
    law, allowed = curve.law, 1 - target if curve.unit is None else target
    reached = curve.mean(curve.largest) <= allowed
    if not curve.holds or law.exponent_interval()[0] <= 0 or reached:
        return ""
    needed = float(np.exp((np.log(allowed) - law.coefficients[1]) / law.coefficients[0]))
    return (
        f" By this law the target of {curve.words(target)} needs {needed:.1e} examples; the further"
        " ahead, the less certain."
    )


def draw(figure: Any, curve: ErrorCurve) -> None:
    """Both axes are logarithmic, so that a power law is a straight line."""
    axis, scale = figure.add_subplot(), scale_of(curve)
    twice = 2 * curve.largest
    sizes = np.geomspace(curve.examples.min(), twice, 100)
    middle, low, high = curve.law.predict(sizes)
    label = f"power law, exponent -{curve.law.exponent:.2f}"
    axis.plot(sizes, scale * middle, color="tab:blue", label=label)
    axis.fill_between(
        sizes, scale * low, scale * high, color="tab:blue", alpha=0.15, label="its 95 % interval"
    )
    axis.plot(
        curve.examples, scale * curve.errors, "o", color="black", markersize=4, label="trainings"
    )
    draw_forecast(axis, curve)
    axis.plot(
        [twice], [scale * middle[-1]], "*", color="tab:blue", markersize=12, label="twice the data"
    )
    axis.set(
        xscale="log",
        yscale="log",
        xlabel="training examples",
        ylabel=f"validation error, {curve.unit or '%'}",
    )
    ticks = [*np.unique(curve.examples), twice]
    axis.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axis.minorticks_off()
    low_tick = scale * min(curve.errors.min(), low.min())
    high_tick = scale * max(curve.errors.max(), high.max())
    errors = np.geomspace(low_tick, high_tick, 6)
    axis.set_yticks(errors, [f"{error:.2g}" for error in errors])
    axis.grid(alpha=0.3)
    axis.legend()


def scale_of(curve: ErrorCurve) -> float:
    """Of the picture, which shows shares in percent."""
    return 100 if curve.unit is None else 1


def draw_forecast(axis: Any, curve: ErrorCurve) -> None:
    middle, low, high = (scale_of(curve) * error for error in curve.forecast())
    axis.errorbar(
        [curve.largest * 1.04],  # beside the trainings of that size
        [middle],
        [[middle - low], [high - middle]],
        color="tab:orange",
        capsize=4,
        fmt="_",
        label=f"forecast of the smaller sizes: {'holds' if curve.holds else 'does not hold'}",
    )
