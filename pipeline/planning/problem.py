"""A draft of `problem`, what a model of these data is for, for its user to mend."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from pipeline.config.parts import one_class_each
from pipeline.planning import kinds
from pipeline.planning.choice import Choice
from pipeline.planning.data import NumberRange, Survey, plain

UNEVEN = 3  # times that the largest class may exceed the smallest
EVERY = "every class counts the same, also those with few examples"
LEAST_TARGET = 0.8
NAMED = 12  # classes that a sentence names
RARE = 50  # images of a class; fewer are a limit worth stating


def propose(data: Survey, path: Path) -> list[Choice]:
    if data.number is not None:
        return _of_a_number(data, path, data.number)
    _, plural, _ = kinds.kind_of(data).words(data)
    question, other_inputs = _question(data)
    limits = [other_inputs, _trained_on(data, plural)]
    rare = {name: count for name, count in data.counts.items() if count < RARE}
    if rare:
        fewest, most = min(rare.values()), max(rare.values())
        of_each = f"{fewest} to {most}" if fewest < most else f"{fewest}"
        limits.append(f"There were few {plural} of {named([*rare], 'and')}: {of_each}.")
    all_classes, made = named(data.class_names, "and"), "made like those of the training set"
    use = f"Telling apart {all_classes}, in {plural} {made}."
    why = "a guess: set what is good enough for the job, as there is no bundle below it"
    if not one_class_each(data.target):
        use = f"Finding {all_classes} in {plural} {made}."
        why = f"{why}; an answer is right if all of its labels are"
    metric = Choice("problem.metric", "accuracy")
    if is_uneven(data):
        metric = Choice("problem.metric", "balanced_accuracy", EVERY)
    return [
        Choice("problem.name", _slug(Path(str(data.values.get("path", path))))),
        Choice("problem.version", "1.0.0"),
        Choice("problem.statement", question),
        Choice("problem.use", use),
        Choice("problem.limits", limits),
        Choice(
            "problem.target",
            _target(data),
            why,
        ),
        metric,
        Choice("problem.unit", None),
    ]


def _question(data: Survey) -> tuple[str, str]:
    """What the model answers, and what becomes of inputs that it does not know."""
    noun, _, verb = kinds.kind_of(data).words(data)
    classes, count = named(data.class_names), len(data.class_names)
    if one_class_each(data.target):
        return (
            f"Which of {count} classes {verb}: {classes}?",
            f"Anything that is none of the {count} classes is often taken for one of them.",
        )
    return (
        f"Which of {count} labels hold for the {noun}: {classes}?",
        f"Only these {count} labels are known; whatever else is there gets none.",
    )


def _target(data: Survey) -> float:
    """Halfway from always giving the most frequent class to no mistake, or LEAST_TARGET."""
    if not one_class_each(data.target):
        return LEAST_TARGET
    majority = max(data.counts.values()) / max(sum(data.counts.values()), 1)
    chance = 1 / len(data.class_names) if is_uneven(data) else majority
    return max(LEAST_TARGET, round((1 + chance) / 2, 2))


def _of_a_number(data: Survey, path: Path, number: NumberRange) -> list[Choice]:
    """The target is half the error of the mean, by two digits."""
    noun, plural, _ = kinds.kind_of(data).words(data)
    name = data.class_names[0]
    between = f"between {plain(number.low)} and {plain(number.high)} {number.unit}"
    guess = float(f"{number.deviation / 2:.2g}")
    deviation = plain(float(f"{number.deviation:.2g}"))
    error = f"always answering the mean has an error of {deviation} {number.unit}"
    return [
        Choice("problem.name", _slug(Path(str(data.values.get("path", path))))),
        Choice("problem.version", "1.0.0"),
        Choice("problem.statement", f"What is the {name} in this {noun}, in {number.unit}?"),
        Choice("problem.use", f"Estimating the {name} in {plural} made like the training set."),
        Choice(
            "problem.limits",
            [
                f"It knows {name} {between}; other numbers are unknown to it.",
                _trained_on(data, plural),
            ],
        ),
        Choice("problem.target", guess, f"a guess: {error}; set what the job needs"),
        Choice("problem.metric", "accuracy"),
        Choice("problem.unit", number.unit, "as all reports write it; correct it if it is wrong"),
        Choice("problem.coverage", 0.95, "the share of true numbers that the interval must hold"),
    ]


def _trained_on(data: Survey, plural: str) -> str:
    return (
        f"It was trained on a part of {data.examples['train']:,} {plural}. What they do not show, "
        "such as other devices, places and conditions, may be recognized worse."
    )


def is_uneven(data: Survey) -> bool:
    """Whether a class has so few examples that it would hardly count in accuracy and loss."""
    sizes = data.counts.values()
    return one_class_each(data.target) and max(sizes) > UNEVEN * min(sizes)


def _slug(path: Path) -> str:
    """The name of the folder or file as problem.name takes it."""
    letters = unicodedata.normalize("NFKD", path.resolve().stem.lower())  # without their accents
    ascii_letters = "".join(letter for letter in letters if not unicodedata.combining(letter))
    plain = re.sub(r"[^a-z0-9._-]+", "-", ascii_letters).strip("-._")
    return plain or "my-classes"


def named(names: Sequence[str], word: str = "or") -> str:
    if len(names) > NAMED:
        return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more"
    return f" {word} ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
