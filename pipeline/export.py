"""Stage 7: the trained model as TensorFlow Lite and ONNX files, each converted in a child process.

    python -m pipeline.export

Reads: model/model.keras, data/prepared/description.json, data/prepared/train (calibration).
Writes: exported/<format>.{tflite,onnx}, reports/export.json.
"""

from __future__ import annotations

import importlib
import json
import logging
import multiprocessing
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.bundle import description
from pipeline.config import params
from pipeline.files import artifacts
from pipeline.files.artifacts import Array
from pipeline.process import imports, stage
from pipeline.process.errors import UserError

PRELOADED = [
    "pipeline.training.keras_files",
    "tf2onnx",
]  # imported once, in the server that the children fork from


def convert(name: str, model: Path, calibration: Array, card: bytes, answer: Connection) -> None:
    """In the child: sends the file's bytes, which hold `card`, and suffix, or the reason why there is none."""
    logging.getLogger().setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    from pipeline.formats import _metadata
    from pipeline.training import keras_files

    try:
        module: Any = importlib.import_module(f"pipeline.formats.{name}")
        data = module.convert(keras_files.load(model), calibration)
        answer.send((_metadata.embed(data, module.SUFFIX, card), module.SUFFIX))
    except Exception as error:  # converters raise anything; each is that format's failure alone
        answer.send(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")


def in_child(
    context: Any, name: str, model: Path, calibration: Array, card: bytes
) -> tuple[bytes, str] | str:
    """The converted bytes and their suffix, or a reason: a converter that aborts takes only its child with it."""
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=convert, args=(name, model, calibration, card, sender))
    child.start()
    sender.close()
    try:
        result: tuple[bytes, str] | str = receiver.recv()
    except EOFError:
        child.join()
        return f"the converter ended with exit status {child.exitcode}"
    child.join()
    return result


def calibration_images(images: Array, count: int, seed: int) -> Array:
    """`count` images of the training part, drawn at random; all of them where there are fewer."""
    return np.asarray(images[np.sort(np.random.default_rng(seed).permutation(len(images))[:count])])


def main() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    chosen = params.load()
    model_sha256 = artifacts.sha256(artifacts.MODEL)
    card = json.dumps(
        description.describe(chosen.problem, artifacts.load_description(), model_sha256)
    ).encode()
    images, _ = artifacts.load_split("train")
    calibration = calibration_images(
        images, chosen.export.calibration_images, chosen.preprocess.seed
    )
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with imports.quiet(), ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(
            pool.map(
                lambda name: in_child(context, name, artifacts.MODEL, calibration, card),
                chosen.export.formats,
            )
        )
    folder = artifacts.empty(artifacts.EXPORTED)
    summary: dict[str, Any] = {"model_sha256": model_sha256, "formats": {}}
    formats = summary["formats"]
    for name, result in zip(chosen.export.formats, results, strict=True):
        if isinstance(result, str):
            formats[name] = {"error": result}
            print(f"{name}: {result}")
            continue
        data, suffix = result
        path = folder / f"{name}{suffix}"
        path.write_bytes(data)
        formats[name] = {"file": path.name, "bytes": len(data), "sha256": artifacts.sha256(path)}
        print(f"{name}: {len(data):,} bytes")
    artifacts.save_json(artifacts.report("export"), summary)
    failed = [name for name, entry in formats.items() if "error" in entry]
    if len(failed) == len(formats):
        raise UserError(
            f"no format could be converted; see {artifacts.report('export')} for the reasons"
        )


if __name__ == "__main__":
    stage.run(main)
