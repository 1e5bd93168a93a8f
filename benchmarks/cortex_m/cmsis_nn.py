"""Our C against CMSIS-NN, TensorFlow Lite Micro's kernels for a Cortex-M, byte for byte in QEMU.

    python -m benchmarks.cortex_m.cmsis_nn CHECKOUT [FILE ...] [--processor cortex-m4]

CHECKOUT is a copy of github.com/ARM-software/CMSIS-NN. It needs what `benchmarks.cortex_m` needs.
Random layers go through both, and then int8 TensorFlow Lite files: layer by layer on equal inputs,
and from end to end. By default that is the working folder's, with test images; others get noise.
`--single-rounding` compiles CMSIS-NN with CMSIS_NN_USE_SINGLE_ROUNDING, which is off as it comes.

`scratch` is the most bytes that CMSIS-NN asks for a layer; the next one may use them again. The
instructions are those of the layers that CMSIS-NN has. Both are compiled by gcc with -O2, and
an emulator knows nothing of cycles: most vector instructions of a Cortex-M55 take two.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import cortex_m
from benchmarks.cortex_m import AN385, HERE, Board
from pipeline.embedded import _integer_c
from pipeline.embedded._integer_c.emission import TEMPLATES
from pipeline.embedded._integer_c.network import read
from pipeline.files import split_files
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError
from pipeline.reporting import tables


@dataclass(frozen=True)
class Processor:
    """A board, the compiler's options, and which instructions CMSIS-NN uses on it."""

    board: Board
    options: tuple[str, ...]
    instructions: str


PROCESSORS = {
    "cortex-m3": Processor(AN385, (), "plain C"),
    "cortex-m4": Processor(Board("mps2-an386", AN385.memory, 25), (), "DSP"),
    "cortex-m55": Processor(
        Board("mps3-an547", "mps3_an547.ld", 32), ("-mfloat-abi=hard",), "Helium"
    ),
}
FOLDERS = (
    "BasicMath",
    "Convolution",
    "FullyConnected",
    "NNSupport",
    "Pooling",
    "Softmax",
    "Transpose",
)
OF_OTHER_TYPES = ("_f16", "_f32", "_flt")
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
NETWORK = Path("exported/tflite_int8.tflite")
COLUMNS = (
    "layers",
    "operator",
    "count",
    "bytes",
    "differ",
    "by at most",
    "scratch",
    "ours",
    "CMSIS-NN",
)
PAIRS = 2  # both compute each layer once for each of two runs through the network


@dataclass(frozen=True)
class Firmware:
    """What is compiled for a processor beside our own C."""

    checkout: Path
    processor: str
    defined: tuple[str, ...] = ()

    def kernels(self) -> list[Path]:
        """The int8 sources of CMSIS-NN."""
        folders = [self.checkout / "Source" / f"{name}Functions" for name in FOLDERS]
        sources = [path for folder in folders for path in sorted(folder.glob("*.c"))]
        return [path for path in sources if not path.stem.endswith(OF_OTHER_TYPES)]

    def output(self, main: str, own: list[Path], folder: Path) -> list[list[str]]:
        """The words that the program `main` prints, line by line."""
        target, firmware = PROCESSORS[self.processor], folder / "firmware.elf"
        wraps = ",".join(f"--wrap=layer_{name}" for name in LAYERS)
        options = [f"-mcpu={self.processor}", *target.options, "-ffunction-sections"]
        options += [f"-D{name}" for name in self.defined]
        options += [f"-DMEGAHERTZ={target.board.megahertz}", f"-Wl,--gc-sections,{wraps}"]
        code = [HERE / main, HERE / "cmsis_nn.c", *own, *self.kernels()]
        headers = [self.checkout / "Include", folder]
        cortex_m.link(code, headers, options, firmware, target.board)
        return [line.split() for line in cortex_m.run(firmware, target.board)]


def of_random_layers(firmware: Firmware) -> list[list[str]]:
    """Lines of `print_comparison`."""
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "layers").symlink_to(TEMPLATES)
        own = sorted(TEMPLATES.glob("*.c"))
        return firmware.output("cmsis_nn_layers.c", own, Path(name))


def of_network(firmware: Firmware, file: Path, count: int) -> list[list[str]]:
    """Lines of `print_comparison`; the last one compares the answers."""
    code = _integer_c.translate(file.read_bytes(), file.name)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "layers").mkdir()
        for path, text in code.files.items():
            (folder / path).write_text(text, encoding="utf-8")
        (folder / "inputs.raw").write_bytes(inputs(file, count).tobytes())
        own = [folder / path for path in code.sources]
        return firmware.output("cmsis_nn_network.c", own, folder)


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


def report(firmware: Firmware, files: list[Path], count: int) -> None:
    processor = firmware.processor
    print(
        f"\n{processor} ({PROCESSORS[processor].instructions}); instructions for all, or an input"
    )
    rows = [row("random", words, 1) for words in of_random_layers(firmware)]
    sentences = []
    for file in files:
        *lines, answers = of_network(firmware, file, count)
        inputs, differing, largest, classes = answers
        rows += [row(file.stem, words, PAIRS * int(inputs)) for words in (*lines, total(lines))]
        sentences.append(
            f"{file.stem} from end to end, {inputs} inputs: {differing} outputs differ, by at most "
            f"{largest}, and {classes} classes."
        )
    print(tables.table(COLUMNS, rows), *sentences, sep="\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cortex_m.cmsis_nn")
    parser.add_argument("checkout", type=Path)
    parser.add_argument("files", type=Path, nargs="*", default=[NETWORK])
    parser.add_argument("--processor", choices=PROCESSORS, action="append")
    parser.add_argument("--inputs", type=int, default=10)
    parser.add_argument("--single-rounding", action="store_true")
    options = parser.parse_args()
    if missing := cortex_m.missing():
        sys.exit(f"error: {' and '.join(missing)} not found; benchmarks.cortex_m names the package")
    if not (options.checkout / "Include/arm_nnfunctions.h").exists():
        sys.exit(f"error: {options.checkout} is no copy of github.com/ARM-software/CMSIS-NN")
    defined = ("CMSIS_NN_USE_SINGLE_ROUNDING",) if options.single_rounding else ()
    try:
        for processor in options.processor or PROCESSORS:
            report(Firmware(options.checkout, processor, defined), options.files, options.inputs)
    except (OSError, UserError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
