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
import os
import re
import sys
import tempfile
from itertools import islice
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

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


def open_file(runtime: str, file: Path) -> runtimes.Model:
    return runtimes.open_model(runtime, file.read_bytes())


def measure(
    model: runtimes.Model, file: Path, arrays: List[Any], count: int, output: Path
) -> Dict[str, Any]:
    """Writes the probabilities. Returns the report, empty but for the arena of tflite_micro."""
    np.save(output / f"{file.stem}.npy", probabilities(model, arrays, count))
    interpreter = getattr(model, "interpreter", None)
    measurable = hasattr(interpreter, "print_allocations")
    return {"arena_bytes": arena_bytes(interpreter)} if measurable else {}


def arena_bytes(interpreter: Any) -> int:
    """The arena that tflite_micro takes; it only prints it, to file descriptor 2."""
    with tempfile.TemporaryFile() as file:
        stderr = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            interpreter.print_allocations()
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
        file.seek(0)
        text = file.read().decode(errors="replace")
    match = re.search(r"Arena allocation total (\d+) bytes", text)
    if match is None:
        raise RuntimeRefusalError("tflite_micro does not report the size of its arena")
    return int(match.group(1))


def main(open_file: Callable[[str, Path], runtimes.Model] = open_file) -> None:
    """`open_file` opens a file on a runtime. Raises RuntimeRefusalError, as may the model later."""
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
        "--counts", nargs="*", type=int, default=[], help="examples of each file (default: all)"
    )
    arguments = parser.parse_args()
    arrays = [np.load(path, mmap_mode="r") for path in arguments.images]
    counts = arguments.counts or [sum(map(len, arrays))] * len(arguments.files)
    model: Optional[runtimes.Model] = None
    for file, count in zip(arguments.files, counts):
        try:
            model = open_file(arguments.runtime, file)
            report = measure(model, file, arrays, count, arguments.output)
        except RuntimeRefusalError as error:
            report = {"reason": str(error)}
        print(json.dumps(report), flush=True)
    for line in sys.stdin:
        assert model is not None
        times = runtimes.latencies(model.probabilities, arrays[0], int(line))
        print(json.dumps({"milliseconds": times.tolist()}), flush=True)


if __name__ == "__main__":
    main()
