"""Measures model files on one runtime.

python -m serving.measure RUNTIME FILE ... --images IMAGES ... --output FOLDER

Verification runs this in an environment with only the runtime and numpy. It writes the
probabilities of each file and prints one JSON object for it. Then, for each number N on standard
input, it times N single-image predictions of the last file and prints another. So the caller
chooses a moment when the machine is idle and the model is loaded. The wheel, which is for devices,
leaves this module out.
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import islice
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from serving import runtimes
from serving.errors import RuntimeRefusalError


def probabilities(model: runtimes.Model, arrays: List[Any], count: int) -> Any:
    """The first `count` images (N, H, W, C) uint8 of some files -> (count, K) float32.

    They are read one at a time, as on a device.
    """
    singles = (array[index : index + 1] for array in arrays for index in range(len(array)))
    return np.concatenate(
        [np.array(model.probabilities(np.array(image))) for image in islice(singles, count)]
    )


def measure(
    runtime: str, file: Path, arrays: List[Any], count: int, output: Path
) -> Tuple[Optional[runtimes.Model], Dict[str, Any]]:
    """Writes the probabilities. Returns the model and its report.

    The report is empty but for the arena of tflite_micro, or why the runtime refuses the file.
    """
    try:
        model = runtimes.open_model(runtime, file.read_bytes())
    except RuntimeRefusalError as error:
        return None, {"reason": str(error)}
    np.save(output / f"{file.stem}.npy", probabilities(model, arrays, count))
    return model, {"arena_bytes": model.arena_bytes()} if isinstance(model, runtimes.Micro) else {}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m serving.measure")
    parser.add_argument("runtime", choices=sorted(runtimes.DISTRIBUTIONS))
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument(
        "--images", nargs="+", type=Path, required=True, help="npy files, concatenated"
    )
    parser.add_argument(
        "--output", type=Path, required=True, help="the folder for the probabilities, <stem>.npy"
    )
    parser.add_argument(
        "--counts", nargs="*", type=int, default=[], help="images for each file (default: all)"
    )
    arguments = parser.parse_args()
    arrays = [np.load(path, mmap_mode="r") for path in arguments.images]
    counts = arguments.counts or [sum(map(len, arrays))] * len(arguments.files)
    model = None
    for file, count in zip(arguments.files, counts):
        model, report = measure(arguments.runtime, file, arrays, count, arguments.output)
        print(json.dumps(report), flush=True)
    for line in sys.stdin:
        assert model is not None
        times = runtimes.latencies(model.probabilities, arrays[0], int(line))
        print(json.dumps({"milliseconds": times.tolist()}), flush=True)


if __name__ == "__main__":
    main()
