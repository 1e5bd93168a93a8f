"""How many pictures that are not digits get the answer "none of these", by each file and runtime.

    python -m benchmarks.rejection [--images 10000]

Reads the finished run in this folder: its files, and their thresholds in reports/verify.json. The
digits are the test set. The others are Fashion-MNIST, noise, blank pictures, and the test set
inverted and with half of each picture gone. None of them was used to fit anything.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.field_alarms import fashion
from pipeline.files import split_files
from pipeline.files.artifacts import Array
from pipeline.files.reports.export import ExportReport
from pipeline.files.reports.verify import ComparedPair, VerificationReport
from pipeline.process.words import percent
from pipeline.reporting import statistics
from pipeline.reporting.tables import markdown
from pipeline.runtimes import environments
from pipeline.runtimes.process import Interpreter, RuntimeProcess, Task

SLOW = 1000  # images of each kind on TensorFlow Lite Micro


def noise(images: Array) -> Array:
    return np.random.default_rng(0).integers(0, 256, images.shape, np.uint8)


def blank(images: Array) -> Array:
    """Each grey value once, or less often if there are fewer images."""
    greys = np.arange(256, dtype=np.uint8)[:: max(1, 256 // len(images))]
    return np.broadcast_to(greys[:, None, None, None], (len(greys), *images.shape[1:]))


def cut(images: Array) -> Array:
    """The upper, lower, left or right half is black, in turn."""
    result, middle = images.copy(), images.shape[1] // 2
    halves = (slice(None, middle), slice(middle, None))
    for turn, half in enumerate(halves):
        result[turn::4, half] = 0
        result[turn + 2 :: 4, :, half] = 0
    return result


STRANGE: dict[str, Callable[[Array], Array]] = {
    "Fashion-MNIST": fashion,
    "noise": noise,
    "blank": blank,
    "inverted": lambda images: 255 - images,
    "cut": cut,
}


def outputs(runtime: str, file: Path, pictures: list[Array], folder: Path) -> list[Array]:
    """What the file gives on a runtime, (N, K) for each array of pictures."""
    paths = []
    for number, images in enumerate(pictures):
        paths.append(folder / f"{number}.npy")
        np.save(paths[-1], images)
    interpreter = Interpreter.here(environments.python(runtime))
    process = RuntimeProcess(interpreter, runtime, Task([file], paths, folder))
    try:
        answer = process.answer()
    finally:
        process.close()
    if answer.reason is not None:
        raise SystemExit(f"{file.name} on {runtime}: {answer.reason}")
    together: Array = np.load(folder / f"{file.stem}.npy")
    return np.split(together, np.cumsum([len(images) for images in pictures])[:-1])


def row(pair: ComparedPair, file: Path, count: int) -> list[str]:
    """What the pair answers and rejects, as cells of the table."""
    count = min(count, SLOW) if pair.runtime == "tflite_micro" else count
    images, labels = (np.asarray(part[:count]) for part in split_files.load_split("test"))
    pictures = [images, *(make(images)[:count] for make in STRANGE.values())]
    with tempfile.TemporaryDirectory() as folder:
        digits, *others = outputs(pair.runtime, file, pictures, Path(folder))
    threshold = np.float32(pair.accept_from)
    accepted = digits.max(1) >= threshold
    mistaken = digits.argmax(1) != labels
    surest = digits.max(1) >= np.sort(digits.max(1))[len(digits) // 100]
    rejected = [float((outputs.max(1) < threshold).mean()) for outputs in others]
    return [
        pair.format,
        pair.runtime,
        f"{threshold:.4f}",
        percent(1 - float(accepted.mean())),
        wrong_answers(mistaken[accepted]),
        wrong_answers(mistaken[surest]),
        *(percent(share, 1) for share in rejected),
    ]


def wrong_answers(mistaken: Array) -> str:
    """How many of these answers are mistaken, and the one-sided upper 95 % bound of their share."""
    wrong, total = int(mistaken.sum()), len(mistaken)
    bound = statistics.accuracy_interval(wrong, total, 0.9)[1]
    return f"{wrong} of {total:,}, at most {percent(bound)}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rejection")
    parser.add_argument("--images", type=int, default=10_000, help="of each kind, at most")
    arguments = parser.parse_args()
    files = ExportReport.load().files
    columns = ["file", "runtime", "answered from", "digits lost", "wrong answers"]
    print(markdown([*columns, "wrong of the surest 99 %", *STRANGE]))
    print(markdown(["---", "---", *["---:"] * (4 + len(STRANGE))]))
    for pair in VerificationReport.load().native:
        if pair.accept_from is not None:
            cells = row(pair, files[pair.format].verified(), arguments.images)
            print(markdown(cells), flush=True)


if __name__ == "__main__":
    main()
