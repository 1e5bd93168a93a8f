"""Firmware of a bundle's integer C for a Cortex-M, run in QEMU.

Arm's MPS2 board with the AN385 image, a Cortex-M3, without an operating system; newlib, whose files
are the host's by semihosting.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
LISTENING = ("listen.c", "log_mel.c")  # of the bundle, if its model hears


def build(sources: Path, main: str, processor: str, firmware: Path) -> None:
    """Compiles the folder `embedded/c` of a bundle and `main`, a file of this folder.

    Raises FileNotFoundError without arm-none-eabi-gcc, and subprocess.CalledProcessError.
    """
    code: list[str | Path] = [HERE / "startup.c", HERE / main, sources / "network.c"]
    if main == "listen.c":
        code += [sources / name for name in LISTENING]
    target: list[str | Path] = [
        f"-mcpu={processor}",
        "-mthumb",
        "--specs=rdimon.specs",
        "-nostartfiles",
    ]
    link: list[str | Path] = [
        "-T",
        HERE / "mps2_an385.ld",
        "-I",
        HERE,
        "-I",
        sources,
        "-o",
        firmware,
    ]
    layers = sorted((sources / "layers").glob("*.c"))
    command: list[str | Path] = [
        "arm-none-eabi-gcc",
        "-std=c99",
        "-O2",
        *target,
        *code,
        *layers,
        *link,
    ]
    subprocess.run(command, check=True)


def run(firmware: Path) -> list[str]:
    """The lines that the firmware prints; the files that it reads are in its folder.

    Raises FileNotFoundError without qemu-system-arm, and subprocess.CalledProcessError.
    """
    command = ["qemu-system-arm", "-machine", "mps2-an385", "-nographic", "-icount", "shift=0"]
    files = ["-semihosting-config", "enable=on,target=native", "-kernel", firmware.name]
    done = subprocess.run(
        [*command, *files], cwd=firmware.parent, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def missing() -> list[str]:
    """The programs that are not installed."""
    needed = ("arm-none-eabi-gcc", "qemu-system-arm")
    return [name for name in needed if not shutil.which(name)]
