"""Compares the integer C of a model with TensorFlow Lite Micro on whole test sets, layer by layer.

python -m benchmarks.integer_c.on_images MODEL.tflite IMAGES.npz
python -m benchmarks.integer_c.on_images MODEL.tflite --random 1000

The images are `x_test` of the file, uint8; a model of int8 gets them less 128. Prints how many
bytes of each layer were compared, and how many differ.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.integer_c import oracle
from benchmarks.integer_c.oracle import Micro
from pipeline.embedded import _integer_c
from pipeline.embedded._integer_c.network import Network, read
from pipeline.files.artifacts import Array
from pipeline.process import stage
from pipeline.process.errors import UserError

AT_ONCE = 250  # inputs in a batch: the values of all layers are kept for each of them


def model_inputs(path: Path, network: Network) -> Array:
    """The images (N, ...) of a file as the model takes them. Raises UserError."""
    with np.load(path, mmap_mode="r") as arrays:
        images: Array = arrays["x_test"]
    shape = network.input.shape[1:]
    images = images.reshape(-1, *shape) if images[0].size == np.prod(shape) else images
    if images.dtype != np.uint8 or images.shape[1:] != tuple(shape):
        raise UserError(
            f"{path}: x_test is {images.dtype} of shape {images.shape}; expected uint8 (N, "
            f"{', '.join(map(str, shape))})"
        )
    return images if network.input.dtype == "uint8" else np.bitwise_xor(images, 0x80).view(np.int8)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path, nargs="?", help="npz with x_test, uint8")
    parser.add_argument("--random", type=int, default=0, help="random inputs instead of images")
    arguments = parser.parse_args()
    if (arguments.images is None) == (arguments.random < 1):
        parser.error("name either images or --random with their number")
    model = arguments.model.read_bytes()
    network, micro = read(model), Micro()
    if arguments.images is None:
        values = oracle.inputs(network, arguments.random)
    else:
        values = model_inputs(arguments.images, network)
    totals = np.zeros((len(network.operators), 2), int)
    with tempfile.TemporaryDirectory() as folder:
        program = oracle.compiled([_integer_c.translate(model, arguments.model.name)], Path(folder))
        for start in range(0, len(values), AT_ONCE):
            batch = values[start : start + AT_ONCE]
            rows = oracle.differences(micro, model, batch, [program, "0"])
            totals += [(row.total, row.differing) for row in rows]
            print(f"{start + len(batch):,} of {len(values):,} inputs", file=sys.stderr)
    micro.close()
    for operator, (total, differing) in zip(network.operators, totals, strict=True):
        print(f"{operator.name}\t{total:,}\t{differing}")
    print(f"all\t{totals[:, 0].sum():,}\t{totals[:, 1].sum()}")
    sys.exit(bool(totals[:, 1].sum()))


if __name__ == "__main__":
    stage.run(main)
