"""What is odd about numbers to predict, or about classes that are numbers, and the cure."""

from __future__ import annotations

import math
import re

from pipeline.config.parts import one_class_each
from pipeline.datasets.reading import label_columns
from pipeline.planning.data import LEAST_FLOAT16, NumberRange, Survey, plain
from pipeline.process.words import counted, verb

MOST_CLASSES = 20  # that whole numbers are likely to name
LONG = 10_000
DEGREES, ROUND = ("°", "deg", "degree", "degrees"), 300
AMOUNT = re.compile(r"-?(0|[1-9]\d*)([.,]\d+)?")
LISTED = "write a CSV with the columns file and number, and give `edgeproof start` --number number"
# How to have a number predicted, by dataset.name
NUMBERS = {
    "npz": "store y_train as floats",
    "image_list": "give `edgeproof start` --number with the name of its column",
    "image_folder": LISTED,
    "audio_folder": LISTED,
    "series_folder": label_columns.CURE,
}


def remarks(data: Survey) -> list[str]:
    """What is odd about the numbers to predict, or about classes that are numbers."""
    if data.number is not None:
        far, largest = data.number.far, data.number.largest
        lines = [] if far else _of_another_scale(data.number)
        if data.number.unit.lower() in DEGREES and data.number.high - data.number.low > ROUND:
            lines.append(
                "angles that go all the way round are far apart where they meet, such as 359 and 1 "
                "degrees: turn their zero to where no example is, or predict classes of directions"
            )
        if far:
            lines.append(
                f"{counted(len(far), 'number')} {verb(len(far), 'is', 'are')} far from all others, "
                f"such as {plain(far[0])}: if it marks a missing value, remove those examples"
            )
        elif largest >= LONG:
            lines.append(
                f"answers and errors have four digits, so {plain(largest)} is shown as "
                f"{largest:.4g}; a larger unit, such as thousands, reads better"
            )
        return lines
    if not one_class_each(data.target):
        return []
    names = data.class_names
    are_whole = all(map(str.isdecimal, names))
    if not all(map(_is_amount, names)) or (are_whole and len(names) <= MOST_CLASSES):
        return []
    return [
        f"the {len(names)} classes are numbers, such as {names[0]} and {names[1]}: if the number "
        f"itself is the answer, {NUMBERS[str(data.values['name'])]}"
    ]


def _of_another_scale(number: NumberRange) -> list[str]:
    """Numbers that would lose in int8, as they are tiny or far from zero, and the cure."""
    if number.fits_int8:
        return []
    differ = f"the numbers differ by {number.deviation:.2g} {number.unit} on average"
    if number.deviation < LEAST_FLOAT16:
        return [
            f"{differ}, too little for int8 and float16: take a smaller unit, such as millionths"
        ]
    digits = -math.floor(math.log10(number.deviation))
    middle = plain(round((number.low + number.high) / 2, digits))
    cure = f"subtract {middle} from all, and add it to each answer"
    if middle.startswith("-"):
        cure = f"add {middle[1:]} to all, and subtract it from each answer"
    return [
        f"{differ} but lie near {middle}; the 255 steps of int8 begin at zero, so they would be "
        f"too coarse: {cure}"
    ]


def _is_amount(name: str) -> bool:
    """Whether a name is a number that was not filled up with zeros, as that of a class may be."""
    return AMOUNT.fullmatch(name) is not None
