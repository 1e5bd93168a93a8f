"""Our C beside another library's kernels for int8 layers, byte for byte.

Random layers go through both, and then int8 TensorFlow Lite files: layer by layer on equal inputs,
and from end to end. By default that is the working folder's file, with test images; others get
noise.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from pipeline.embedded import _integer_c
from pipeline.embedded._integer_c.emission import TEMPLATES
from pipeline.embedded._integer_c.network import read
from pipeline.files import split_files
from pipeline.files.artifacts import Array
from pipeline.reporting import tables

HERE = Path(__file__).parent
LAYERS = (
    "convolution",
    "depthwise_convolution",
    "fully_connected",
    "max_pooling",
    "average_pooling",
    "addition",
    "multiplication",
    "softmax",
)
WRAPPED = "-Wl," + ",".join(("--gc-sections", *(f"--wrap=layer_{name}" for name in LAYERS)))
NETWORK = Path("exported/tflite_int8.tflite")
COLUMNS = ("layers", "operator", "count", "bytes", "differ", "by at most", "scratch")
PAIRS = 2  # both compute each layer once for each of two runs through the network


class Program(Protocol):
    """What is compiled beside our own C, and run."""

    def output(self, code: list[Path], folder: Path) -> list[list[str]]:
        """The words that a program of `code` prints, line by line; `folder` has its headers."""


@dataclass(frozen=True)
class Networks:
    """Int8 files, and how many inputs go through each."""

    files: list[Path]
    inputs: int


def parser(name: str) -> argparse.ArgumentParser:
    """The options that each library's command has."""
    result = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}")
    result.add_argument("checkout", type=Path)
    result.add_argument("files", type=Path, nargs="*", default=[NETWORK])
    result.add_argument("--inputs", type=int, default=10)
    return result


def of_random_layers(program: Program) -> list[list[str]]:
    """Lines of `print_comparison`."""
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "layers").symlink_to(TEMPLATES)
        own = sorted(TEMPLATES.glob("*.c"))
        return program.output([HERE / "random_layers.c", *own], Path(name))


def of_network(program: Program, file: Path, count: int) -> list[list[str]]:
    """Lines of `print_comparison`; the last one compares the answers."""
    code = _integer_c.translate(file.read_bytes(), file.name)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "layers").mkdir()
        for path, text in code.files.items():
            (folder / path).write_text(text, encoding="utf-8")
        (folder / "inputs.raw").write_bytes(inputs(file, count).tobytes())
        own = [folder / path for path in code.sources]
        return program.output([HERE / "network_layers.c", *own], folder)


def inputs(file: Path, count: int) -> Array:
    """Test images for the network of the working folder, noise for another one."""
    if file == NETWORK:
        images, _ = split_files.load_split("test")
        return np.asarray(images[:count])
    source = read(file.read_bytes()).input
    return np.random.default_rng(0).integers(0, 256, (count, source.size), np.uint8)


def row(source: str, words: list[str], runs: int) -> list[str]:
    """A line of `print_comparison`, with the instructions of one of `runs`."""
    kind, *numbers, ours, theirs = words
    counts = [f"{int(count) / runs:,.0f}" for count in (ours, theirs)]
    return [source, kind, *(f"{int(number):,}" for number in numbers), *counts]


def total(lines: list[list[str]]) -> list[str]:
    """The sum of the lines."""
    counts = np.array([words[1:] for words in lines], np.int64)
    sums = counts.sum(0)
    sums[3:5] = counts[:, 3:5].max(0)  # the largest difference, and the scratch memory
    return ["all of them", *map(str, sums)]


def report(program: Program, networks: Networks, columns: tuple[str, ...]) -> None:
    """Prints a table with `columns`, and a sentence about the end of each network."""
    rows = [row("random", words, 1) for words in of_random_layers(program)]
    sentences = []
    for file in networks.files:
        *lines, answers = of_network(program, file, networks.inputs)
        count, differing, largest, classes = answers
        rows += [row(file.stem, words, PAIRS * int(count)) for words in (*lines, total(lines))]
        sentences.append(
            f"{file.stem} from end to end, {count} inputs: {differing} outputs differ, by at most "
            f"{largest}, and {classes} classes."
        )
    shown = [cells[: len(columns)] for cells in rows]
    print(tables.table(columns, shown), *sentences, sep="\n", flush=True)
