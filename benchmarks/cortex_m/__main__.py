"""Instructions that a bundle's integer C takes on a Cortex-M, counted by QEMU; flash and RAM.

    python -m benchmarks.cortex_m BUNDLE [--processor cortex-m3]

It needs Debian's gcc-arm-none-eabi, libnewlib-arm-none-eabi and qemu-system-arm. An emulator counts
instructions and knows nothing of cycles: a Cortex-M3 or M4 takes at least one cycle for each, and
more where it waits for its flash.

Of a model of images, it also links a whole program by gcc with -Os, which frames a camera's frame
of 320 x 240 pixels in RGB565 as the card says, and answers. Its flash and RAM are those in the
linker's file. The camera's own buffer and the stack are not in it.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import cortex_m
from pipeline.reporting import tables
from serving import Bundle, BundleError
from serving.acceptance import Acceptance
from serving.listening import Listener

EXAMPLES, WINDOWS = 20, 10
PROCESSORS = ("cortex-m0", "cortex-m3")  # whose code the emulated Cortex-M3 runs
MEGAHERTZ = 100
MEMORY = ("program", "flash, bytes", "RAM, bytes", "of that for framing")
COLUMNS = ("step", "instructions", f"at {MEGAHERTZ} MHz at least")


def counts(bundle: Bundle, sources: Path, processor: str, folder: Path) -> dict[str, int]:
    """Instructions of each step of an answer, as a mean."""
    front_end = bundle.card.preprocessing.sound
    if front_end is None:
        examples = Acceptance.load(bundle).first(EXAMPLES).images
        (folder / "images.raw").write_bytes(examples.tobytes())
        cortex_m.build(sources, "classify.c", processor, folder / "firmware.elf")
        return {"network": int(cortex_m.run(folder / "firmware.elf")[-1])}
    listener = Listener.by_default(front_end, bundle.card.input_shape[0])
    count = front_end.samples(listener.frames) + WINDOWS * listener.step
    noise = np.random.default_rng(0).integers(-9999, 9999, count)
    (folder / "samples.raw").write_bytes(noise.astype("<i2").tobytes())
    cortex_m.build(sources, "listen.c", processor, folder / "firmware.elf")
    steps = map(int, cortex_m.run(folder / "firmware.elf")[-1].split())
    return dict(zip(("front end, a window", "network, a window"), steps, strict=True))


def report(bundle: Bundle, sources: Path, processor: str, folder: Path) -> None:
    """Prints the tables."""
    instructions = counts(bundle, sources, processor, folder)
    rows = [
        [step, f"{count:,}", f"{count / MEGAHERTZ / 1000:,.1f} ms"]
        for step, count in instructions.items()
    ]
    print(tables.table(COLUMNS, rows))
    if (sources / "model/src/framing.h").exists():
        print_memory(sources, processor, folder)


def print_memory(sources: Path, processor: str, folder: Path) -> None:
    """Prints what a whole program takes; of models of images."""
    scratch = cortex_m.frame_scratch(sources, processor, folder)
    memory = cortex_m.memory(sources, scratch, processor, folder)
    start = "a frame" if scratch else "pixels"
    row = [f"from {start} to an answer", *(f"{n:,}" for n in (memory.flash, memory.ram, scratch))]
    print(f"\n{tables.table(MEMORY, [row])}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cortex_m")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--processor", choices=PROCESSORS, default="cortex-m3")
    arguments = parser.parse_args()
    if missing := cortex_m.missing():
        sys.exit(f"error: {' and '.join(missing)} not found; the docstring names the packages")
    with tempfile.TemporaryDirectory() as name:
        try:
            bundle = Bundle(arguments.bundle, draft=True)  # speed is no verdict
            shutil.unpack_archive(bundle.path, name, filter="data")
            sources = next(Path(name).glob("*/embedded/c"), None)
            if sources is None:
                sys.exit(f"error: {bundle.path} has no embedded/c; its model card says why")
            report(bundle, sources, arguments.processor, Path(name))
        except BundleError as error:
            sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
