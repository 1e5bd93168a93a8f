"""Which layers lose most in the int8 file, compared with the float32 file?

    edgeproof explain-quantization
    edgeproof explain-quantization --images 2000

Both files run on the same validation images, and every tensor that both have is compared: its
signal-to-noise ratio is the power of the float32 values over that of the differences, in
decibels. Each bit is worth 6 dB. A layer is blamed for what the signal falls there, below the
worst of its inputs. What that costs the answers, `float_in_turn` says: a layer after which the
values differ much may change no answer.

Reads: exported/, reports/export.json, data/prepared/validation. Writes: reports/quantization.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from pipeline import targets
from pipeline.config import params
from pipeline.config.params import Params
from pipeline.config.parts import one_class_each
from pipeline.files import artifacts, atomic, split_files
from pipeline.files.artifacts import Array
from pipeline.files.reports.export import ExportReport
from pipeline.files.reports.verify import VerificationReport
from pipeline.process.errors import UserError
from pipeline.reporting import statistics, tables
from pipeline.search import float_in_turn
from pipeline.search.compared_layers import COLUMNS, QuantizationLoss, compare
from pipeline.search.float_in_turn import FloatInTurn

FLOAT, INT8 = "tflite_float32", "tflite_int8"
PAGE = artifacts.REPORTS / "quantization.md"
IMAGES = 200  # of the validation set, evenly spread
SHOWN = 5  # layers in the terminal; the page has all
CLIPPED = 0.001  # of a layer's values, above which its range is too narrow


def verdict(comparison: QuantizationLoss) -> str:
    """One sentence: what changes, and where."""
    worst = comparison.worst[0]
    changes = (
        f"{INT8} answers {comparison.different} of {comparison.images} validation images "
        f"differently from {FLOAT}"
    )
    if not comparison.different:
        return f"{changes}: nothing needs a cure."
    return f"{changes}; most is lost in {worst.name}, {worst.fall:.1f} dB."


def cures(
    comparison: QuantizationLoss,
    calibration_images: int,
    formats: list[str],
    is_worse: bool = False,
) -> list[str]:
    """What to try, in this order, each with the param to set; none if nothing is lost.

    Training for int8 can win back only what int8 loses, so it is named only if the gate says that
    the file `is_worse`.
    """
    if not comparison.different:
        return []
    result = []
    clipping = [layer.name for layer in comparison.layers if layer.clipped > CLIPPED]
    if clipping:
        result.append(
            f"values of {', '.join(clipping[:SHOWN])} are out of range: set "
            f"export.calibration_images to {2 * calibration_images}"
        )
    if is_worse:
        result.append(
            "set train.quantization_aware to true: the last quarter of the epochs then trains with "
            "the rounding of int8"
        )
    for name, description in (
        ("tflite_dynamic", "with int8 weights and float activations"),
        ("tflite_float16", "of half the bytes of float32"),
    ):
        state = "use" if name in formats else f"add {name} to export.formats, and use"
        result.append(f"where the device can run it, {state} {name}, {description}")
    result.append(
        "if the loss is acceptable, set export.max_accuracy_drop to it: the gate then proves it"
    )
    return result


def is_worse(settings: Params) -> bool:
    """Whether the gate found the int8 file worse, and it was not trained for int8."""
    if settings.train.quantization_aware:
        return False
    try:
        pairs = VerificationReport.load().pairs
    except FileNotFoundError:  # not verified yet
        return False
    return any(pair.format == INT8 and pair.state == statistics.WORSE for pair in pairs)


def exported(report: ExportReport) -> tuple[bytes, bytes]:
    """The float32 and the int8 file, verified. Raises UserError."""
    for name in (FLOAT, INT8):
        if name not in report.files:
            raise UserError(
                f"exported/ has no {name}, which is compared; "
                "add it to export.formats and run `dvc repro export`"
            )
    float32, int8 = (report.files[name].verified().read_bytes() for name in (FLOAT, INT8))
    return float32, int8


def explain(images: int) -> None:
    """`images`: how many of the validation set answer with each layer in float; 0: none.

    Raises UserError.
    """
    if images < 0:
        raise UserError(f"--images is {images}; expected an integer of at least 0")
    settings = params.load()
    target = artifacts.load_description().target
    if not one_class_each(target):
        raise UserError(
            f"explain-quantization counts changed classes, and the model answers with {target}; "
            "expected a model that gives one class"
        )
    float32, int8 = exported(ExportReport.load())
    comparison = compare(float32, int8, validation(IMAGES)[0])
    export = settings.export
    console = Console(soft_wrap=True, highlight=False)
    show(console, COLUMNS, [layer.row() for layer in comparison.worst[:SHOWN]])
    turns: FloatInTurn | str = ""
    if images:
        examples, labels = validation(images)
        losses = targets.recognition(target).losses
        turns = float_in_turn.tried(
            float32, int8, examples, lambda outputs: losses(outputs, labels)
        )
    comparison = counted_once(comparison, turns)
    advice = cures(comparison, export.calibration_images, export.formats, is_worse(settings))
    lines = [turns] if isinstance(turns, str) else turns.sentences()
    if isinstance(turns, FloatInTurn) and turns.layers:
        show(console, float_in_turn.COLUMNS, turns.rows()[: SHOWN + 2])
    write(PAGE, comparison, advice, turns)
    lines = [verdict(comparison), *filter(None, lines), *numbered(advice), f"All layers: {PAGE}"]
    console.print("\n".join(lines), markup=False)


def counted_once(comparison: QuantizationLoss, turns: FloatInTurn | str) -> QuantizationLoss:
    """The comparison with the changed answers of `turns`, if it has any, as it saw other images."""
    if isinstance(turns, str):
        return comparison
    return replace(comparison, images=turns.images, different=turns.file.different)


def validation(images: int) -> tuple[Array, Array]:
    """`count` examples of the validation set, evenly spread, with their labels."""
    examples, labels = split_files.load_split("validation")
    rows = np.linspace(0, len(examples) - 1, min(images, len(examples)), dtype=int)
    return np.asarray(examples[rows]), np.asarray(labels[rows])


def show(console: Console, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table()
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def numbered(advice: list[str]) -> list[str]:
    return [f"{number}. {cure}" for number, cure in enumerate(advice, 1)]


def write(
    path: Path, comparison: QuantizationLoss, advice: list[str], turns: FloatInTurn | str = ""
) -> None:
    parts = [
        "# int8 compared with float32",
        f"**{verdict(comparison)}**",
        "\n".join(numbered(advice)),
        tables.table(COLUMNS, [layer.row() for layer in comparison.layers]),
        *([turns] if isinstance(turns, str) else turns.parts()),
    ]
    atomic.write_text(path, "\n\n".join(filter(None, parts)) + "\n")
