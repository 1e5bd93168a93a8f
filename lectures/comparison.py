"""A published result beside ours: could another run of our recipe give it?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from scipy import special, stats

from lectures.example import Example, Order, Published, Variation
from lectures.outcome import Figure, Outcome
from pipeline.files.artifacts import Array
from pipeline.process.words import percent

FEWEST = 3  # seeds; with two the prediction interval is 16 standard deviations to either side
SIGNIFICANT = 0.05  # one-sided p-value, below which two variations count as ordered


@dataclass(frozen=True)
class Row:
    """One measure of one variation.

    `met` is yes, or no or open with a reason, or empty if nothing was published.
    """

    variation: str
    measure: str
    published: str
    ours: str
    difference: str
    met: str


def rows(example: Example, outcomes: Sequence[Outcome]) -> list[Row]:
    """A row for each measure that was published or is shown."""
    by_name = {outcome.name: outcome for outcome in outcomes}
    return [
        row(example, variation, measure, by_name)
        for variation in example.variations
        for measure in example.shown(variation)
        if measure in by_name[variation.name].figures
    ]


def row(example: Example, variation: Variation, measure: str, by_name: dict[str, Outcome]) -> Row:
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
        met = figure_met(example, numbers, published)
    else:
        verdicts = [published] if isinstance(published, str) else published
        matches = sum(value in verdicts for value in values)
        difference, met = "", "yes" if matches * 2 > len(values) else "no"
    return Row(
        variation.name,
        measure,
        written(measure, published),
        shown(measure, values),
        difference,
        met,
    )


def figure_met(example: Example, values: Array, published: float) -> str:
    """Whether one more run could give the published figure.

    One or two values that vary do not show how far it may lie.
    """
    if example.seeds > 1 and len(values) < FEWEST and published % 1:
        return "open, too few seeds"
    off = float(values.mean() - published)
    if abs(off) <= noise(values) + rounding(published, example.places):
        return "yes"
    return f"no, ours is {'higher' if off > 0 else 'lower'}"


def noise(values: Array) -> float:
    """Half the 95 % prediction interval of one more run: the published figure is one run."""
    n = len(values)
    if n == 1:
        return 0.0
    return float(special.stdtrit(n - 1, 0.975) * values.std(ddof=1) * np.sqrt(1 + 1 / n))


def rounding(published: float, places: int | None) -> float:
    """Half a unit of the last published digit; 0 for a whole number, which is a count."""
    if not published % 1:
        return 0.0
    digits = Decimal(str(published)).normalize().as_tuple()
    exponent = digits.exponent if places is None else -places
    return float(0.5 * 10.0 ** int(exponent))


def order(
    published: Order, measure: str, values: Sequence[Figure], by_name: dict[str, Outcome]
) -> tuple[str, str]:
    """The difference from the other variation, and whether it has the published sign."""
    other = np.array(by_name[published.below or published.above or ""].figures[measure], float)
    ours = np.array(values, float)
    sign = -1 if published.below else 1
    off = float(ours.mean() - other.mean())
    if ours.std() == other.std() == 0:
        p_value = float(off * sign <= 0)
    else:
        # Welch's t test
        test = stats.ttest_ind(sign * ours, sign * other, equal_var=False, alternative="greater")
        p_value = float(test.pvalue)
    if p_value < SIGNIFICANT:
        met = "yes"
    else:
        met = "no, not significant" if off * sign > 0 else "no, the reverse"
    return points(measure, off), met


def shown(measure: str, values: Sequence[Figure]) -> str:
    """The mean ± half its 95 % interval over the seeds; for verdicts, how often each came."""
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
        if published.below:
            return f"below that of {published.below}"
        return f"above that of {published.above}"
    if isinstance(published, float):
        return number(measure, published)
    verdicts = [published] if isinstance(published, str) else published
    return " or ".join(verdicts).replace("_", " ")


def points(measure: str, difference: float) -> str:
    return ("+" if difference > 0 else "") + number(measure, difference)


def is_share(measure: str) -> bool:
    return "accuracy" in measure or measure == "saturated"


def number(measure: str, value: float) -> str:
    """Shares in percent, whole numbers with commas, others with three significant digits."""
    if is_share(measure):
        return percent(value)
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e9 else f"{value:.3g}"
