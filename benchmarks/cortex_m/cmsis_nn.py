"""Our C against CMSIS-NN, TensorFlow Lite Micro's kernels for a Cortex-M, byte for byte in QEMU.

    python -m benchmarks.cortex_m.cmsis_nn CHECKOUT [FILE ...] [--processor cortex-m4]

CHECKOUT is a copy of github.com/ARM-software/CMSIS-NN. It needs what `benchmarks.cortex_m` needs,
and compares what `benchmarks.kernels` says.
`--single-rounding` compiles CMSIS-NN with CMSIS_NN_USE_SINGLE_ROUNDING, which is off as it comes.

`scratch` is the most bytes that CMSIS-NN asks for a layer; the next one may use them again. The
instructions are those of the layers that CMSIS-NN has. Both are compiled by gcc with -O2, and
an emulator knows nothing of cycles: most vector instructions of a Cortex-M55 take two.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks import cortex_m, kernels
from benchmarks.cortex_m import AN385, HERE, Board
from pipeline.process.errors import UserError


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
COLUMNS = (*kernels.COLUMNS, "ours", "CMSIS-NN")


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

    def output(self, code: list[Path], folder: Path) -> list[list[str]]:
        """The words that a program of `code` prints, line by line; `folder` has its headers."""
        target, firmware = PROCESSORS[self.processor], folder / "firmware.elf"
        options = [f"-mcpu={self.processor}", *target.options, "-ffunction-sections"]
        options += [f"-D{name}" for name in self.defined]
        options += [f"-DMEGAHERTZ={target.board.megahertz}", kernels.WRAPPED]
        code = [HERE / "cmsis_nn.c", kernels.HERE / "comparison.c", *code, *self.kernels()]
        headers = [self.checkout / "Include", kernels.HERE, folder]
        cortex_m.link(code, headers, options, firmware, target.board)
        return [line.split() for line in cortex_m.run(firmware, target.board)]


def main() -> None:
    parser = kernels.parser("cortex_m.cmsis_nn")
    parser.add_argument("--processor", choices=PROCESSORS, action="append")
    parser.add_argument("--single-rounding", action="store_true")
    options = parser.parse_args()
    if missing := cortex_m.missing():
        sys.exit(f"error: {' and '.join(missing)} not found; benchmarks.cortex_m names the package")
    if not (options.checkout / "Include/arm_nnfunctions.h").exists():
        sys.exit(f"error: {options.checkout} is no copy of github.com/ARM-software/CMSIS-NN")
    defined = ("CMSIS_NN_USE_SINGLE_ROUNDING",) if options.single_rounding else ()
    networks = kernels.Networks(options.files, options.inputs)
    try:
        for name in options.processor or PROCESSORS:
            instructions = PROCESSORS[name].instructions
            print(f"\n{name} ({instructions}); instructions for all, or an input")
            kernels.report(Firmware(options.checkout, name, defined), networks, COLUMNS)
    except (OSError, UserError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
