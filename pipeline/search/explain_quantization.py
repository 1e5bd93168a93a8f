"""Which layers lose most in the int8 file, compared with the float32 file?

    edgeproof explain-quantization

Both files run on the same validation images, and every tensor that both have is compared: its
signal-to-noise ratio is the power of the float32 values over that of the differences, in
decibels. Each bit is worth 6 dB. A layer is blamed for what the signal falls there, below the
worst of its inputs.

Reads: exported/, reports/export.json, data/prepared/validation. Writes: reports/quantization.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tflite
from rich.console import Console
from rich.table import Table

from pipeline.config import params
from pipeline.config.params import Params
from pipeline.config.parts import one_class_each
from pipeline.files import artifacts, atomic, split_files
from pipeline.files.artifacts import Array
from pipeline.files.reports.export import ExportReport
from pipeline.files.reports.verify import VerificationReport
from pipeline.process.errors import UserError
from pipeline.process.words import percent
from pipeline.reporting import statistics, tables
from pipeline.runtimes import inner_tensors

FLOAT, INT8 = "tflite_float32", "tflite_int8"
PAGE = artifacts.REPORTS / "quantization.md"
IMAGES = 200  # of the validation set, evenly spread
SHOWN = 5  # layers in the terminal; the page has all
CLIPPED = 0.001  # of a layer's values, above which its range is too narrow
COLUMNS = ("layer", "signal to noise, dB", "lost here, dB", "out of range")


@dataclass(frozen=True)
class QuantizedTensor:
    """A tensor that an operator writes: its number, name, scale and zero point, and its inputs."""

    index: int
    name: str
    scale: float
    zero_point: int
    inputs: list[str]

    def real(self, values: Array) -> Array:
        if not self.scale:
            return values.astype(np.float64)
        return (values.astype(np.float64) - self.zero_point) * self.scale

    def out_of_range(self, real: Array) -> float:
        """The share of real values that int8 cannot hold."""
        low, high = ((end - self.zero_point) * self.scale for end in (-128.5, 127.5))
        return float(((real < low) | (real > high)).mean())


@dataclass(frozen=True)
class QuantizedLayer:
    """What a layer of the int8 file has: its signal-to-noise ratio and the fall of that there."""

    name: str
    decibels: float
    fall: float
    clipped: float

    def row(self) -> tuple[str, ...]:
        return self.name, f"{self.decibels:.1f}", f"{self.fall:.1f}", percent(self.clipped)


@dataclass(frozen=True)
class QuantizationLoss:
    """All layers in their order, and how many of the images the int8 file answers differently."""

    layers: list[QuantizedLayer]
    images: int
    different: int

    @property
    def worst(self) -> list[QuantizedLayer]:
        return sorted(self.layers, key=lambda layer: -layer.fall)


def tensors(data: bytes) -> list[QuantizedTensor]:
    """What the operators of a file write, in their order."""
    graph = tflite.Model.GetRootAsModel(data, 0).Subgraphs(0)
    result = []
    for index in range(graph.OperatorsLength()):
        operator = graph.Operators(index)
        sources = [number for number in operator.InputsAsNumpy() if number >= 0]
        output = graph.Tensors(operator.Outputs(0))
        quantization = output.Quantization()
        is_quantized = quantization is not None and quantization.ScaleLength() > 0
        result.append(
            QuantizedTensor(
                int(operator.Outputs(0)),
                output.Name().decode(),
                float(quantization.Scale(0)) if is_quantized else 0.0,
                int(quantization.ZeroPoint(0)) if is_quantized else 0,
                [graph.Tensors(int(number)).Name().decode() for number in sources],
            )
        )
    return result


def compare(float32: bytes, int8: bytes, images: Array) -> QuantizationLoss:
    """The layers of both files, on raw images (N, ...)."""
    references = {tensor.name: tensor for tensor in tensors(float32)}
    written = tensors(int8)
    pairs = [(tensor, references[tensor.name]) for tensor in written if tensor.name in references]
    signal, noise, clipped = (dict.fromkeys((pair[0].name for pair in pairs), 0.0) for _ in "123")
    different = 0
    runs = zip(
        inner_tensors.read(int8, [tensor.index for tensor, _ in pairs], images),
        inner_tensors.read(float32, [reference.index for _, reference in pairs], images),
        strict=True,
    )
    for values, expected in runs:
        for tensor, reference in pairs:
            real = reference.real(expected[reference.index])
            signal[tensor.name] += float(np.square(real).mean())
            noise[tensor.name] += float(np.square(tensor.real(values[tensor.index]) - real).mean())
            if tensor.scale:
                clipped[tensor.name] += tensor.out_of_range(real) / len(images)
        last, reference = pairs[-1]
        answers = values[last.index].argmax(), expected[reference.index].argmax()
        different += int(answers[0] != answers[1])
    decibels = {name: _decibels(signal[name], noise[name]) for name in signal}
    return QuantizationLoss(_layers(pairs, decibels, clipped), len(images), different)


def _decibels(signal: float, noise: float) -> float:
    """10 log10 of the ratio; at most 99, where there is no noise."""
    return float(10 * np.log10(signal / noise)) if min(signal, noise) > 1e-10 * signal else 99.0


def _layers(
    pairs: list[tuple[QuantizedTensor, QuantizedTensor]],
    decibels: dict[str, float],
    clipped: dict[str, float],
) -> list[QuantizedLayer]:
    result = []
    for tensor, _ in pairs:
        before = [decibels[name] for name in tensor.inputs if name in decibels]
        # Raw pixels have no noise: the first layer is judged by what eight bits give, 50 dB.
        fall = min(before, default=50.0) - decibels[tensor.name]
        result.append(
            QuantizedLayer(
                layer_name(tensor.name), decibels[tensor.name], fall, clipped[tensor.name]
            )
        )
    return result


def layer_name(tensor: str) -> str:
    """The Keras layer of a tensor: `conv2d` of `edge_1/conv2d_1/Relu;edge_1/bn_1/sub`.

    The number at the end is one that the export adds.
    """
    parts = tensor.split(";", maxsplit=1)[0].split("/")
    return re.sub(r"_\d+$", "", parts[1]) if len(parts) > 1 else "output"


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


def explain() -> None:
    """Raises UserError."""
    settings = params.load()
    target = artifacts.load_description().target
    if not one_class_each(target):
        raise UserError(
            f"explain-quantization counts changed classes, and the model answers with {target}; "
            "expected a model that gives one class"
        )
    float32, int8 = exported(ExportReport.load())
    validation, _ = split_files.load_split("validation")
    rows = np.linspace(0, len(validation) - 1, min(IMAGES, len(validation)), dtype=int)
    comparison = compare(float32, int8, np.asarray(validation[rows]))
    export = settings.export
    advice = cures(comparison, export.calibration_images, export.formats, is_worse(settings))
    table = Table(*COLUMNS)
    for layer in comparison.worst[:SHOWN]:
        table.add_row(*layer.row())
    console = Console(soft_wrap=True, highlight=False)
    console.print(table)
    write(PAGE, comparison, advice)
    lines = [verdict(comparison), *numbered(advice), f"All layers: {PAGE}"]
    console.print("\n".join(lines), markup=False)


def numbered(advice: list[str]) -> list[str]:
    return [f"{number}. {cure}" for number, cure in enumerate(advice, 1)]


def write(path: Path, comparison: QuantizationLoss, advice: list[str]) -> None:
    parts = [
        "# int8 compared with float32",
        f"**{verdict(comparison)}**",
        "\n".join(numbered(advice)),
        tables.table(COLUMNS, [layer.row() for layer in comparison.layers]),
    ]
    atomic.write_text(path, "\n\n".join(filter(None, parts)) + "\n")
