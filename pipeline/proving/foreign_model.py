"""A .tflite or .onnx file of somebody else: what it expects of pixels and classes is found out.

Nothing in the file is changed. Its adapter scales pixels for it, and orders its outputs.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from pipeline.config.own_model import OwnModel
from pipeline.files import artifacts
from pipeline.files.artifacts import Array
from pipeline.files.reports.train import Origin
from pipeline.process import imports
from pipeline.process.errors import UserError
from pipeline.process.progress import followed
from pipeline.process.words import counted
from pipeline.runtimes import emulation, foreign, inspect_foreign
from pipeline.runtimes.foreign import NCHW, NHWC, SIGMOID, SOFTMAX, Adapter
from pipeline.runtimes.inspect_foreign import Interface
from pipeline.runtimes.process import Interpreter, RuntimeProcess, Task

with imports.keras_import():
    from pipeline.training import input_scaling, own_model
    from pipeline.training.batches import Data
    from pipeline.training.input_scaling import Scaling, ScalingResult

PROGRAM = "pipeline.runtimes.foreign"
FIRST = {".tflite": "litert", ".onnx": "onnxruntime"}  # on which a file is probed
PART = 1000  # images that run at a time, spread over the cores
NEARLY = 0.75  # with half of the values, pixels from -1 to 1 would do for an input from 0 to 1
PIXELS = np.arange(256, dtype=np.float32)


@dataclass(frozen=True)
class ForeignModel:
    """The file at `path`; `file` is a link to it, beside which its adapter lies."""

    path: Path
    file: Path
    adapter: Adapter
    origin: Origin


def take(settings: OwnModel, data: Data, class_names: list[str], folder: Path) -> ForeignModel:
    """The file `settings.path`, which gets a link and an adapter in the new `folder`.

    Prints how well it answers under each scaling. Raises UserError if the file or what it answers
    does not fit the data.
    """
    path = Path(settings.path)
    interface = inspect_foreign.read(path)
    (folder / "trials").mkdir(parents=True)
    adapters = candidates(settings, interface, data.train[0])
    rows = input_scaling.samples(len(data.validation[1]))
    images, labels = (np.asarray(part[rows]) for part in data.validation)
    order = own_model.output_order(settings, class_names)
    outputs = answers(path, adapters, images, folder / "trials")
    check_outputs(path, outputs, len(class_names))
    results = {name: input_scaling.judge(part, labels, order) for name, part in outputs.items()}
    name = clearly_best(settings, results, labels)
    if not np.isfinite(outputs[name]).all():
        raise UserError(f"{path} gives NaN or infinity for images of the dataset")
    input_scaling.check_order(settings, results[name], class_names, order)
    activation = needed_activation(outputs[name], adapters[name])
    adapter = replace(adapters[name], activation=activation, order=tuple(order))
    origin = origin_of(settings, adapter, name, results, activation is not None)
    return ForeignModel(path, link(path, folder / path.name, adapter), adapter, origin)


def origin_of(
    settings: OwnModel,
    adapter: Adapter,
    name: str,
    results: Mapping[str, ScalingResult],
    added: bool,
) -> Origin:
    scaling = input_scaling.in_words(name, Scaling(adapter.mean, adapter.deviation, adapter.bgr))
    return Origin(
        file=Path(settings.path).name,
        sha256=artifacts.sha256(Path(settings.path)),
        source=settings.source,
        scaling=", ".join([scaling, *stored_as(adapter)]),
        images=len(results[name].right),
        accuracies={name: result.accuracy for name, result in results.items()},
        labels=settings.labels,
        softmax_added=added,
    )


def stored_as(adapter: Adapter) -> list[str]:
    """What is particular about an input, in words."""
    words = [] if adapter.layout == NHWC else ["channels before rows (NCHW)"]
    if adapter.input_quantization:
        scale, zero_point = adapter.input_quantization
        words.append(f"{adapter.dtype} with scale {scale:.6g} and zero point {zero_point}")
    return words


def candidates(settings: OwnModel, interface: Interface, images: Array) -> dict[str, Adapter]:
    """An adapter for each scaling that the input can hold; `images` (N, H, W, C) train.

    Raises UserError.
    """
    image = images.shape[1:]
    layout = fitting_layout(settings.path, interface.shape, image)
    height, width, channels = image
    sizes = (channels, height, width) if layout == NCHW else image
    shape = tuple(size or 1 for size in interface.shape)  # no size of a row is open
    if len(shape) == len(sizes):
        shape = sizes
    is_integer = np.dtype(interface.dtype).kind in "iu"
    requirements = interface.requirements
    scalings = input_scaling.candidates(settings, images)
    adapters = {
        name: Adapter(
            layout=layout,
            shape=(1, *shape),
            dtype=interface.dtype,
            mean=tuple(scaling.mean),
            deviation=tuple(scaling.deviation),
            bgr=scaling.bgr,
            input_quantization=requirements.input_quantization if is_integer else None,
            output_quantization=requirements.output_quantization,
        )
        for name, scaling in scalings.items()
    }
    return holding(settings, adapters) if is_integer else adapters


def fitting_layout(path: str, takes: tuple[int | None, ...], image: tuple[int, ...]) -> str:
    """The order of the axes of an input (...) in which images (H, W, C) fit. Raises UserError."""
    height, width, channels = image
    if takes == (height * width * channels,) or (channels == 1 and takes == (height, width)):
        return NHWC
    fitting = [
        layout
        for layout, sizes in ((NHWC, image), (NCHW, (channels, height, width)))
        if len(takes) == 3
        and all(size in (None, other) for size, other in zip(takes, sizes, strict=True))
    ]
    if len(fitting) == 1:
        return fitting[0]
    shape = ", ".join("any" if size is None else str(size) for size in takes)
    if fitting:
        raise UserError(
            f"{path} takes inputs of shape ({shape}), which leaves open where the channels are; "
            "convert it again with a fixed number of channels"
        )
    raise UserError(
        f"{path} takes inputs of shape ({shape}), and the images of the dataset are {image}; "
        "expected the same height, width and channels: change dataset.height, width and "
        "channels, or take another model"
    )


def holding(settings: OwnModel, adapters: Mapping[str, Adapter]) -> dict[str, Adapter]:
    """The adapters of an input in integers whose scaling the file's own scale can hold.

    They tell nearly as many of the 256 pixel values apart as the best of them does. The one of
    `model.scaling` stays in any case.
    """
    counts = {name: distinct(adapter) for name, adapter in adapters.items()}
    given = settings.scaling if isinstance(settings.scaling, str) else input_scaling.OTHER
    return {
        name: adapter
        for name, adapter in adapters.items()
        if name == given or counts[name] >= NEARLY * max(counts.values())
    }


def distinct(adapter: Adapter) -> float:
    """How many pixel values the input tells apart, as the mean of the channels."""
    stored = adapter.dtype, adapter.input_quantization
    counts = [
        len(np.unique(foreign.stored((PIXELS - mean) / deviation, *stored)))
        for mean, deviation in zip(adapter.mean, adapter.deviation, strict=False)
    ]
    return float(np.mean(counts))


def link(path: Path, file: Path, adapter: Adapter) -> Path:
    """The link `file` to `path`, with the adapter beside it."""
    file.symlink_to(path.resolve())
    adapter.save_beside(file)
    return file


def answers(
    path: Path, adapters: Mapping[str, Adapter], images: Array, folder: Path
) -> dict[str, Array]:
    """What the file gives (N, K) for images (N, H, W, C) through each adapter."""
    files = [
        link(path, folder / f"{name}{path.suffix}", adapter) for name, adapter in adapters.items()
    ]
    np.save(folder / "samples.npy", images)
    predict(path, files, folder / "samples.npy", folder, FIRST[path.suffix])
    return {name: np.load(folder / f"{name}.npy") for name in adapters}


def predict(path: Path, files: Sequence[Path], images: Path, output: Path, runtime: str) -> None:
    """Writes what the links `files` to `path` give for the images of an npy file.

    Raises UserError with the reason if there is none.
    """
    task = Task(files, [images], output, program=PROGRAM)
    process = RuntimeProcess(interpreter(runtime), runtime, task)
    try:
        for _ in files:
            if (reason := process.answer().reason) is not None:
                raise UserError(f"{path} does not run on {runtime}: {reason}")
    finally:
        process.close()


@cache
def interpreter(runtime: str) -> Interpreter:
    """The Python of its environment, which is brought up to date once. Raises UserError."""
    try:
        return emulation.here_or_emulated(runtime)
    except OSError as error:
        raise UserError(f"{error}; run `make env` where packages can be reached") from None


def check_outputs(path: Path, outputs: Mapping[str, Array], num_classes: int) -> None:
    """Raises UserError unless there is a number for each class, or one for two classes."""
    count = next(iter(outputs.values())).shape[1]
    if count != num_classes and (count, num_classes) != (1, 2):
        raise UserError(
            f"{path} gives {counted(count, 'number')} for an image, and the dataset has "
            f"{num_classes} classes; expected {num_classes}, one for each class"
        )


def clearly_best(settings: OwnModel, results: Mapping[str, ScalingResult], labels: Array) -> str:
    """The scaling that is clearly the best. Raises UserError."""
    try:
        return input_scaling.best(settings, results, labels)
    except UserError as error:
        raise UserError(f"{error}; here with -S, as in -S model.scaling=unit") from None


def needed_activation(outputs: Array, adapter: Adapter) -> str | None:
    """What makes probabilities of outputs (N, K); None if they are, or lie between 0 and 1."""
    step = adapter.output_quantization[0] if adapter.output_quantization else 0.0
    most = own_model.TOLERANCE + step
    if outputs.min() >= -most and outputs.max() <= 1 + most:
        return None
    return SIGMOID if outputs.shape[1] == 1 else SOFTMAX


def by_reference_kernels(model: ForeignModel, images: Array) -> Array:
    """The probabilities (N, K) of images (N, H, W, C). Raises UserError."""
    adapter = replace(model.adapter, reference_kernels=True)
    return on_all_cores(model.path, adapter, images, FIRST[model.path.suffix], "reference kernels")


def on_all_cores(
    path: Path, adapter: Adapter, images: Array, runtime: str, title: str | None = None
) -> Array:
    """What the file gives (N, K) for images (N, H, W, C), with a process for each core.

    `title` says whose progress is shown; None: that of the runtime. Raises UserError.
    """
    cores = os.cpu_count() or 1
    rows = np.array_split(np.arange(len(images)), math.ceil(len(images) / PART))

    def run(part: Array) -> Array:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            np.save(folder / "images.npy", images[part])
            file = link(path, folder / f"outputs{path.suffix}", adapter)
            predict(path, [file], folder / "images.npy", folder, runtime)
            outputs: Array = np.load(folder / "outputs.npy")
            return outputs

    with ThreadPoolExecutor(cores) as pool:
        outputs = [
            output
            for part in followed(rows, len(rows), title or runtime)
            for output in pool.map(run, np.array_split(part, min(cores, len(part))))
        ]
    return np.concatenate(outputs)
