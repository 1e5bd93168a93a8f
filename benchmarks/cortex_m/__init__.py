"""Firmware of a bundle's integer C for a Cortex-M, run in QEMU.

Arm's MPS2 board with the AN385 image, a Cortex-M3, or a BBC micro:bit, a Cortex-M0, without an
operating system; newlib, whose files are the host's by semihosting.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Board:
    """One that QEMU emulates: its name, its linker script, and the clock of its processor."""

    machine: str
    memory: str
    megahertz: int


@dataclass(frozen=True)
class Memory:
    """Bytes of a linked program."""

    flash: int
    ram: int


SMALL = (
    "-mthumb",
    "-Os",
    "-ffunction-sections",
    "-fdata-sections",
    "-nostartfiles",
    "--specs=nano.specs",
    "-Wl,--gc-sections",
)
AN385 = Board("mps2-an385", "mps2_an385.ld", 25)
MICROBIT = Board("microbit", "microbit.ld", 16)  # a real Cortex-M0, with 16 KiB of RAM


def build(sources: Path, main: str, processor: str, firmware: Path) -> None:
    """Compiles the folder `embedded/c` of a bundle and `main`, a file of this folder.

    Raises FileNotFoundError without arm-none-eabi-gcc, and subprocess.CalledProcessError.
    """
    model = sources / "model/src"
    code = [HERE / main, *sorted(model.rglob("*.c"))]
    link(code, [model], [f"-mcpu={processor}"], firmware)


def frame_scratch(sources: Path, processor: str, folder: Path) -> int:
    """The bytes of scratch memory that framing needs for a frame of the camera. Raises as `run`."""
    build(sources, "scratch.c", processor, folder / "scratch.elf")
    return int(run(folder / "scratch.elf")[-1])


def memory(sources: Path, scratch: int, processor: str, folder: Path) -> Memory:
    """What program.c takes, which needs `scratch` bytes for framing. Raises as `build`."""
    model, firmware = sources / "model/src", folder / "program.elf"
    command: list[str | Path] = ["arm-none-eabi-gcc", "-std=c99", f"-mcpu={processor}", *SMALL]
    command += [f"-DSCRATCH_BYTES={scratch}", "-T", HERE / AN385.memory, "-I", model, "-I", HERE]
    subprocess.run(
        [*command, HERE / "program.c", *sorted(model.rglob("*.c")), "-o", firmware], check=True
    )
    done = subprocess.run(
        ["arm-none-eabi-size", firmware], capture_output=True, text=True, check=True
    )
    text, data, bss = map(int, done.stdout.splitlines()[1].split()[:3])
    return Memory(flash=text + data, ram=data + bss)


def link(
    code: list[Path], headers: list[Path], options: list[str], firmware: Path, board: Board = AN385
) -> None:
    """Compiles C files; `options` name the processor. Raises as `build`."""
    target: list[str | Path] = [
        "-mthumb",
        "--specs=rdimon.specs",
        "-nostartfiles",
        "-T",
        HERE / board.memory,
    ]
    folders: list[str | Path] = [word for folder in (HERE, *headers) for word in ("-I", folder)]
    command: list[str | Path] = [
        "arm-none-eabi-gcc",
        "-std=c99",
        "-O2",
        *options,
        *target,
        *folders,
    ]
    files: list[str | Path] = [HERE / "startup.c", *code, "-lm", "-o", firmware]
    subprocess.run([*command, *files], check=True)


def run(firmware: Path, board: Board = AN385) -> list[str]:
    """The lines that the firmware prints; the files that it reads are in its folder.

    Raises FileNotFoundError without qemu-system-arm, and subprocess.CalledProcessError.
    """
    command = ["qemu-system-arm", "-machine", board.machine, "-nographic", "-icount", "shift=0"]
    files = ["-semihosting-config", "enable=on,target=native", "-kernel", firmware.name]
    done = subprocess.run(
        [*command, *files], cwd=firmware.parent, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def missing() -> list[str]:
    """The programs that are not installed."""
    needed = ("arm-none-eabi-gcc", "qemu-system-arm")
    return [name for name in needed if not shutil.which(name)]
