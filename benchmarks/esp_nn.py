"""Our C against ESP-NN, TensorFlow Lite Micro's kernels for an ESP32, byte for byte.

    python -m benchmarks.esp_nn CHECKOUT [FILE ...] [--processor riscv32] [--kernels optimized]

CHECKOUT is a copy of github.com/espressif/esp-nn. It compares what `benchmarks.kernels` says, with
the portable C that an ESP32, C3 and C6 run: compiled by gcc with -O2 for this machine (`host`), and
for the RV32IMC of a C3 in QEMU (`riscv32`). The latter needs Debian's gcc-riscv64-unknown-elf,
picolibc-riscv64-unknown-elf and qemu-user-static.

The kernels are `optimized` as they come. `skip-nudge` compiles them with CONFIG_NN_SKIP_NUDGE, and
`ansi` are those without CONFIG_NN_OPTIMIZED. The vector instructions of an ESP32-S3 and P4 are not
run, as Debian's QEMU does not know them. `scratch` is the most bytes that ESP-NN asks for a layer.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks import kernels
from pipeline.process.errors import UserError


@dataclass(frozen=True)
class Processor:
    """A compiler with its options, what starts the program, and what must be compiled with it."""

    compiler: tuple[str, ...]
    runner: tuple[str, ...] = ()
    start: tuple[Path, ...] = ()


PROCESSORS = {
    "host": Processor(("gcc",)),
    "riscv32": Processor(
        (
            "riscv64-unknown-elf-gcc",
            "-march=rv32imc",
            "-mabi=ilp32",
            "-nostartfiles",
            "--specs=picolibc.specs",
            "--oslib=semihost",
            "-Wl,--defsym=__flash_size=16M,--defsym=__ram_size=16M,--defsym=__stack_size=64K",
        ),
        ("qemu-riscv32-static",),
        (kernels.HERE / "riscv_start.c",),
    ),
}
KERNELS = {
    "optimized": ("CONFIG_NN_OPTIMIZED",),
    "skip-nudge": ("CONFIG_NN_OPTIMIZED", "CONFIG_NN_SKIP_NUDGE"),
    "ansi": (),
}


@dataclass(frozen=True)
class Build:
    """What is compiled for a processor beside our own C."""

    checkout: Path
    processor: str
    kernels: str

    def output(self, code: list[Path], folder: Path) -> list[list[str]]:
        """The words that a program of `code` prints, line by line; `folder` has its headers."""
        target, program = PROCESSORS[self.processor], folder / "program"
        sources = sorted(self.checkout.glob("src/*/*_ansi.c"))
        sources += sorted(self.checkout.glob("src/*/*_opt.c"))
        own = [kernels.HERE / "esp_nn.c", kernels.HERE / "comparison.c", *target.start, *code]
        headers = [self.checkout / "include", self.checkout / "src/common", kernels.HERE, folder]
        options = ["-std=c99", "-O2", "-ffunction-sections", kernels.WRAPPED]
        options += [f"-D{name}" for name in KERNELS[self.kernels]]
        options += [word for header in headers for word in ("-I", str(header))]
        command: list[str | Path] = [*target.compiler, *options, *own, *sources]
        subprocess.run([*command, "-lm", "-o", program], check=True)
        # QEMU's user mode prints what comes by semihosting to the standard error
        printed = subprocess.check_output(
            [*target.runner, program], cwd=folder, stderr=subprocess.STDOUT, text=True
        )
        return [line.split() for line in printed.splitlines()]


def missing(processor: str) -> list[str]:
    """The programs that are not installed."""
    target = PROCESSORS[processor]
    needed = (target.compiler[0], *target.runner)
    return [name for name in needed if not shutil.which(name)]


def main() -> None:
    parser = kernels.parser("esp_nn")
    parser.add_argument("--processor", choices=PROCESSORS, action="append")
    parser.add_argument("--kernels", choices=KERNELS, action="append")
    options = parser.parse_args()
    if not (options.checkout / "include/esp_nn.h").exists():
        sys.exit(f"error: {options.checkout} is no copy of github.com/espressif/esp-nn")
    networks = kernels.Networks(options.files, options.inputs)
    try:
        for processor in options.processor or PROCESSORS:
            if absent := missing(processor):
                sys.exit(f"error: {' and '.join(absent)} not found; the docstring says where")
            for name in options.kernels or KERNELS:
                print(f"\n{processor}, {name}")
                build = Build(options.checkout, processor, name)
                kernels.report(build, networks, kernels.COLUMNS)
    except (OSError, UserError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
