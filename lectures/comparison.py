"""A published result beside ours: is it within what another run of our recipe may give?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from scipy import special, stats

from lectures.example import Order, Published, Study, Variation
from lectures.outcome import Figure, Outcome
from pipeline.files.artifacts import Array

FEWEST = 3  # seeds; the prediction interval of two is 16 standard deviations to either side
SIGNIFICANT = 0.05  # p-value, one-sided, below which an order of two variations counts as seen


@dataclass(frozen=True)
class Row:
    """One measure of one variation. `met` is yes; or no or open, with the reason; or nothing where nothing was published."""

    variation: str
    measure: str
    published: str
    ours: str
    difference: str
    met: str


def rows(study: Study, outcomes: Sequence[Outcome]) -> list[Row]:
    """What was published of each variation, and what the study shows of all."""
    by_name = {outcome.name: outcome for outcome in outcomes}
    return [
        row(study, variation, measure, by_name)
        for variation in study.variations
        for measure in study.shown(variation)
        if measure in by_name[variation.name].figures
    ]


def row(study: Study, variation: Variation, measure: str, by_name: dict[str, Outcome]) -> Row:
    values = by_name[variation.name].figures[measure]
    published = variation.published.get(measure)
    if published is None:
        return Row(variation.name, measure, "", shown(measure, values), "", "")
    if isinstance(published, Order):
        difference, met = order(published, measure, values, by_name)
    elif isinstance(published, float):
        numbers = np.array(values, float)
        off = float(numbers.mean() - published)
        difference = points(measure, off)
        met = figure_met(study, numbers, published)
    else:
        wanted = [published] if isinstance(published, str) else published
        difference, met = (
            "",
            "yes" if sum(value in wanted for value in values) * 2 > len(values) else "no",
        )
    return Row(
        variation.name,
        measure,
        written(measure, published),
        shown(measure, values),
        difference,
        met,
    )


def figure_met(study: Study, values: Array, published: float) -> str:
    """Whether one more run may give the published figure; one or two that may differ do not tell how far it may lie."""
    off = float(values.mean() - published)
    if study.seeds > 1 and len(values) < FEWEST and published % 1:
        return "open, too few seeds"
    return (
        "yes"
        if abs(off) <= noise(values) + rounding(published, study.places)
        else f"no, ours is {'higher' if off > 0 else 'lower'}"
    )


def noise(values: Array) -> float:
    """Half the 95 % prediction interval of one more run: what was published is one run, of another seed."""
    n = len(values)
    return (
        float(special.stdtrit(n - 1, 0.975) * values.std(ddof=1) * np.sqrt(1 + 1 / n))
        if n > 1
        else 0.0
    )


def rounding(published: float, places: int | None) -> float:
    """Half a unit of the last digit that was published; none of a whole number, which is a count."""
    exponent = (
        Decimal(str(published)).normalize().as_tuple().exponent if places is None else -places
    )
    return 0.5 * 10.0 ** int(exponent) if published % 1 else 0.0


def order(
    published: Order, measure: str, values: Sequence[Figure], by_name: dict[str, Outcome]
) -> tuple[str, str]:
    """The difference from the other variation, and whether it has the published sign beyond chance (Welch's t test)."""
    other = np.array(by_name[published.below or published.above or ""].figures[measure], float)
    ours = np.array(values, float)
    sign = -1 if published.below else 1
    off = float(ours.mean() - other.mean())
    if ours.std() == other.std() == 0:
        p_value = float(off * sign <= 0)
    else:
        p_value = float(
            stats.ttest_ind(
                sign * ours, sign * other, equal_var=False, alternative="greater"
            ).pvalue
        )
    met = (
        "yes"
        if p_value < SIGNIFICANT
        else "no, not beyond chance"
        if off * sign > 0
        else "no, the reverse"
    )
    return points(measure, off), met


def shown(measure: str, values: Sequence[Figure]) -> str:
    """The mean with half its 95 % interval over the seeds; of verdicts, how often each came."""
    if isinstance(values[0], str):
        return ", ".join(
            f"{str(value).replace('_', ' ')} {count} of {len(values)}"
            for value, count in Counter(values).most_common()
        )
    numbers = np.array(values, float)
    n = len(numbers)
    mean = number(measure, float(numbers.mean()))
    if n == 1 or numbers.std() == 0:
        return mean
    half = float(special.stdtrit(n - 1, 0.975) * numbers.std(ddof=1) / np.sqrt(n))
    return f"{mean} ± {number(measure, half)}"


def written(measure: str, published: Published) -> str:
    if isinstance(published, Order):
        return (
            f"below that of {published.below}"
            if published.below
            else f"above that of {published.above}"
        )
    if isinstance(published, float):
        return number(measure, published)
    return (published if isinstance(published, str) else " or ".join(published)).replace("_", " ")


def points(measure: str, difference: float) -> str:
    return ("+" if difference > 0 else "") + number(measure, difference)


def is_share(measure: str) -> bool:
    return "accuracy" in measure or measure == "saturated"


def number(measure: str, value: float) -> str:
    """Shares in percent, whole numbers with their commas, others with three significant digits."""
    if is_share(measure):
        return f"{100 * value:.2f} %"
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e9 else f"{value:.3g}"
