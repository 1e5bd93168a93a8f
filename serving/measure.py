"""Measures one model file on one runtime: `python -m serving.measure RUNTIME FILE IMAGES --probabilities OUT`.

Verification runs this in an environment that holds the runtime and numpy alone. It prints one JSON object when the
probabilities are written; then, for each number that it reads on standard input, it times so many single-image
predictions and prints another. So the caller chooses the moment, with the machine at rest and the model loaded.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any, Callable

import numpy as np

from serving import runtimes
from serving.errors import RuntimeRefusalError

WARM_UP = 20


def probabilities(model: runtimes.Model, images: Any) -> Any:
    """Images (N, H, W, C) uint8, one at a time as a device sees them -> (N, K) float32."""
    return np.concatenate([np.array(model.probabilities(images[index : index + 1])) for index in range(len(images))])


def latencies(predict: Callable[[Any], Any], images: Any, runs: int) -> Any:
    """Milliseconds (runs,) of `predict` on single images (1, H, W, C), after a warm-up."""
    for index in range(WARM_UP):
        predict(images[index % len(images)][None])
    result = np.empty(runs)
    for index in range(runs):
        image = images[index % len(images)][None]
        start = time.perf_counter()
        predict(image)
        result[index] = 1000 * (time.perf_counter() - start)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m serving.measure")
    parser.add_argument("runtime", choices=sorted(runtimes.DISTRIBUTIONS))
    parser.add_argument("file", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--count", type=int, default=None, help="only the first COUNT images")
    parser.add_argument("--probabilities", type=Path, default=None, help="write the probabilities there (npy)")
    arguments = parser.parse_args()
    images = np.ascontiguousarray(np.load(arguments.images, mmap_mode="r")[: arguments.count])
    try:
        model = runtimes.open_model(arguments.runtime, arguments.file.read_bytes())
    except RuntimeRefusalError as error:
        sys.exit(f"{error}")
    answer: dict[str, Any] = {}
    if arguments.probabilities:
        np.save(arguments.probabilities, probabilities(model, images))
    if isinstance(model, runtimes.Micro):
        answer["arena_bytes"] = model.arena_bytes()
    print(json.dumps(answer), flush=True)
    for line in sys.stdin:
        print(json.dumps({"milliseconds": latencies(model.probabilities, images, int(line)).tolist()}), flush=True)


if __name__ == "__main__":
    main()
