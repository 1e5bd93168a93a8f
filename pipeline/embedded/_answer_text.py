"""C text for what a model answers: one class, several labels at once, or a number."""

from __future__ import annotations

import shutil
from pathlib import Path
from string import Template

import numpy as np

from pipeline.embedded._c_names import quoted
from pipeline.embedded._verified import VerifiedFile
from pipeline.files.reports.embed import IntegerProof
from pipeline.process.words import percent

TEMPLATES = Path(__file__).parent / "answers"
HEADER = "answer.h"
REJECTED, NONE, BETWEEN = "none (best guess )", "none of the labels", " + "
NUMBER_BYTES = 100  # of four numbers of four digits, and what stands between them and the unit
# Of the text for READMEs
PARTS = ("in_c", "printed", "after_window", "in_cpp", "same")
# The source that scores answers; see c/score.h.
SCORES = {"classes": "counts.c", "labels": "counts.c", "number": "errors.c"}


def write(folder: Path, model: VerifiedFile) -> None:
    """Writes answer.h into the folder."""
    shutil.copy(TEMPLATES / f"{model.data.target}.h", folder / HEADER)


def definitions(model: VerifiedFile) -> str:
    """What model.h says of the answer."""
    return {"classes": of_classes, "labels": of_labels, "number": of_number}[model.data.target](
        model
    )


def of_classes(model: VerifiedFile) -> str:
    longest = max(len(name.encode()) for name in model.data.class_names)
    return (
        "/* The least probability of an answer; below it, the input is none of the classes. */\n"
        f"#define MODEL_ACCEPT_FROM {np.float32(model.accept_from or 0):.8e}f\n"
        f"{room(longest + len(REJECTED))}"
    )


def of_labels(model: VerifiedFile) -> str:
    assert model.holds_from is not None
    least = ", ".join(f"{np.float32(value):.8e}f" for value in model.holds_from)
    names = sum(len(name.encode()) + len(BETWEEN) for name in model.data.class_names)
    return (
        "/* The least probability with which each label holds. */\n"
        f"#define MODEL_HOLDS_FROM {{{least}}}\n"
        f"{room(max(names, len(NONE)))}"
    )


def of_number(model: VerifiedFile) -> str:
    unit = model.data.unit or ""
    interval = ""
    if model.interval is not None:
        interval = (
            "/* For at least this share of inputs, the true number is at most this far away. */\n"
            f"#define MODEL_COVERAGE {model.coverage!r}\n"
            f"#define MODEL_INTERVAL {model.interval!r}\n"
        )
    return f"#define MODEL_UNIT {quoted(unit)}\n{interval}{room(NUMBER_BYTES + len(unit.encode()))}"


def room(length: int) -> str:
    return f"#define MODEL_WORDS {length + 1} /* bytes, for the answer in words */\n"


def readme_fields(model: VerifiedFile) -> dict[str, str]:
    """The values of every README that depend on what is answered."""
    template = Template((TEMPLATES / f"{model.data.target}.md").read_text(encoding="utf-8"))
    parts = template.substitute(model.readme_fields).split("\n---\n")
    fields = dict(zip(PARTS, map(str.strip, parts), strict=True))
    return {**fields, "scores": SCORES[model.data.target]}


def score_in_words(proof: IntegerProof, unit: str | None) -> str:
    """How good the answers to all test inputs are, as a clause."""
    if proof.accuracy is not None:
        return (
            f"its accuracy is {percent(proof.accuracy)}; against the trained model it loses "
            f"at most {percent(proof.bound)} (95 % bound)"
        )
    return (
        f"its mean absolute error is {proof.error:.4g} {unit}; to that of the trained model "
        f"it adds at most {proof.bound:.3g} {unit} (95 % bound)"
    )
