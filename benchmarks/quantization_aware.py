"""What `train.quantization_aware` is worth, seed by seed: accuracy as float32 and as int8.

    python -m benchmarks.quantization_aware [--images 12000] [--epochs 8] [--seeds 3] [--network N]

Each network is trained twice on the same digits of MNIST for as many epochs, once with the switch,
and its `tflite_int8` file is compared with it on 5,000 test digits.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config import params
from pipeline.config.params import Params
from pipeline.datasets import Raw, mnist
from pipeline.files.artifacts import Array
from pipeline.process import imports
from pipeline.process.words import percent

NETWORKS: dict[str, dict[str, Any]] = {
    "tiny": {"train.architecture": "tiny"},
    "separable": {"train.architecture": "tiny", "train.network.convolution": "separable"},
}
VALIDATION, TEST, CALIBRATION = 5000, 5000, 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("--images", 12_000), ("--epochs", 8), ("--seeds", 3)):
        parser.add_argument(name, type=int, default=value)
    parser.add_argument("--network", choices=NETWORKS, default=None)
    options = parser.parse_args()
    settings = params.load()
    raw = mnist.load(settings.dataset)
    print("| network | seed | float32 | int8 | aware: float32 | aware: int8 |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for network in [options.network] if options.network else NETWORKS:
        rows = []
        for seed in range(options.seeds):
            values = {**NETWORKS[network], "train.epochs": options.epochs, "train.seed": seed}
            row = []
            for aware in (False, True):
                changed = {**values, "train.quantization_aware": aware}
                row += accuracies(params.override(settings, changed), raw, options.images)
            rows.append(row)
            print(line(network, str(seed), row), flush=True)
        print(line(network, "mean", [float(mean) for mean in np.mean(rows, 0)]), flush=True)


def line(network: str, seed: str, row: list[float]) -> str:
    return f"| {network} | {seed} | {' | '.join(map(percent, row))} |"


def accuracies(settings: Params, raw: Raw, images: int) -> list[float]:
    """On test digits: of the trained model, and of its int8 file."""
    with imports.keras_import():
        from pipeline.formats import tflite_int8
        from pipeline.training import fit, keras_files
        from pipeline.training.batches import Data

    train, validation = (
        (raw.train_images[part], raw.train_labels[part])
        for part in (slice(0, images), slice(-VALIDATION, None))
    )
    data = Data(train, validation, 10)
    with tempfile.TemporaryDirectory() as folder, imports.quiet():
        model = fit.fit(settings.train, data, Path(folder), lambda row: None).model
        content = tflite_int8.convert(model, raw.train_images[:CALIBRATION])
    inputs, labels = raw.test_images[:TEST], raw.test_labels[:TEST]
    outputs = (keras_files.probabilities(model, inputs), probabilities(content, inputs))
    return [float((output.argmax(1) == labels).mean()) for output in outputs]


def probabilities(content: bytes, inputs: Array) -> Array:
    """What LiteRT gives for a TensorFlow Lite file."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    entry, output = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    result = []
    for row in inputs:
        interpreter.set_tensor(entry["index"], row[None])
        interpreter.invoke()
        result.append(interpreter.get_tensor(output["index"])[0])
    return np.array(result)


if __name__ == "__main__":
    main()
