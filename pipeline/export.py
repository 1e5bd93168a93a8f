"""Stage 7: convert the trained model to TensorFlow Lite and ONNX, each in a child process.

    python -m pipeline.export

Reads: model/model.keras, data/prepared/description.json, data/prepared/train (calibration).
Writes: exported/<format>.{tflite,onnx}, reports/export.json.
"""

from __future__ import annotations

import errno
import importlib
import json
import logging
import multiprocessing
import os
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import inputs
from pipeline.bundle import description
from pipeline.config import params
from pipeline.files import artifacts, split_files
from pipeline.files.artifacts import Array
from pipeline.files.reports.export import AnyFormat, ExportedFile, ExportReport, FailedConversion
from pipeline.process import imports, stage
from pipeline.process.errors import UserError
from pipeline.process.words import counted

# Imported once, in the server process that the children are forked from.
PRELOADED = ["pipeline.training.keras_files", "tf2onnx"]

Conversion = tuple[bytes, str] | str  # the file's bytes and suffix, or why the conversion failed
DISK_IS_FULL = os.strerror(errno.ENOSPC)
# Bytes of a temporary folder, in which multiprocessing makes a socket: its own names take 32 of the
# 107 that a socket's path may have (unix(7)).
LONGEST_FOLDER = 75


def convert(name: str, model: Path, calibration: Array, card: bytes, answer: Connection) -> None:
    """Runs in the child: sends the bytes of the file, with `card` embedded, and its suffix.

    If the conversion fails, it sends the reason instead.
    """
    logging.getLogger().setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    from pipeline.formats import _metadata
    from pipeline.training import keras_files

    try:
        module: Any = importlib.import_module(f"pipeline.formats.{name}")
        data = module.convert(keras_files.load(model), calibration)
        answer.send((_metadata.embed(data, module.SUFFIX, card), module.SUFFIX))
    except Exception as error:  # converters raise anything; only this format has failed
        reason = " ".join(str(error).split())
        is_full = DISK_IS_FULL in reason
        answer.send(DISK_IS_FULL if is_full else f"{type(error).__name__}: {reason[:300]}")


def in_child(context: Any, name: str, model: Path, calibration: Array, card: bytes) -> Conversion:
    """The converted bytes and their suffix, or the reason why the conversion failed.

    A converter that aborts the process ends only its child.
    """
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=convert, args=(name, model, calibration, card, sender))
    child.start()
    sender.close()
    try:
        conversion: Conversion = receiver.recv()
    except EOFError:
        child.join()
        return f"the converter ended with exit status {child.exitcode}"
    child.join()
    return conversion


def calibration_inputs(train: Array, count: int, seed: int) -> Array:
    """`count` random examples of the training set, or all of them if there are fewer."""
    rows = np.random.default_rng(seed).permutation(len(train))[:count]
    return np.asarray(train[np.sort(rows)])


def main() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    settings = params.load()
    model_sha256 = artifacts.sha256(artifacts.MODEL)
    data = artifacts.load_description()
    card = json.dumps(description.describe(settings.problem, data, model_sha256)).encode()
    train, _ = split_files.load_split("train")
    calibration = inputs.kind(data.kind).calibration(
        calibration_inputs(train, settings.export.calibration_images, settings.preprocess.seed)
    )
    formats = save(convert_all(settings.export.formats, calibration, card))
    report = ExportReport(model_sha256=model_sha256, formats=formats)
    report.save()
    if not report.files:
        raise UserError(f"no format could be converted; see {report.PATH} for the reasons")


def convert_all(names: list[str], calibration: Array, card: bytes) -> dict[str, Conversion]:
    """Converts the model to each format, as many at a time as there are cores.

    Raises OSError if the temporary folder is full, and UserError if its path is too long.
    """
    if len(os.fsencode(folder := tempfile.gettempdir())) > LONGEST_FOLDER:
        raise UserError(
            f"the temporary folder {folder} has too long a path; set TMPDIR to one of at most "
            f"{LONGEST_FOLDER} bytes"
        )
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)

    def run(name: str) -> Conversion:
        conversion = in_child(context, name, artifacts.MODEL, calibration, card)
        if conversion == DISK_IS_FULL:
            raise OSError(errno.ENOSPC, DISK_IS_FULL, tempfile.gettempdir())
        result = conversion if isinstance(conversion, str) else f"{len(conversion[0]):,} bytes"
        print(f"{name}: {result}", flush=True)
        return conversion

    print(
        f"converting to {counted(len(names), 'format')}: seconds each for a small network, "
        "up to minutes for a published one",
        flush=True,
    )
    with imports.quiet(), ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(names, pool.map(run, names), strict=True))


def save(conversions: dict[str, Conversion]) -> dict[str, AnyFormat]:
    """Writes the converted files; returns an entry of the report for each format."""
    folder = artifacts.empty(artifacts.EXPORTED)
    formats: dict[str, AnyFormat] = {}
    for name, conversion in conversions.items():
        if isinstance(conversion, str):
            formats[name] = FailedConversion(error=conversion)
            continue
        data, suffix = conversion
        path = folder / f"{name}{suffix}"
        path.write_bytes(data)
        formats[name] = ExportedFile(file=path.name, bytes=len(data), sha256=artifacts.sha256(path))
    return formats


if __name__ == "__main__":
    stage.run(main)
