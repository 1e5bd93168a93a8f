"""The processors that exported files are verified on: this one, and those that QEMU emulates.

Runtimes choose kernels by the instruction sets of a processor, and other kernels may compute other
results: without VNNI, for example, some sums of products saturate. Each processor here stands for
a kind of device and is worth a test for the instructions that it lacks.

QEMU cannot emulate AVX-512 without VNNI; ONNX Runtime's kernels for it compute what those for AVX2
do. ONNX Runtime's saturating kernels for SSE4.1 exist on Windows only, so Nehalem on Linux does not
cover them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

NATIVE = "native"
HERE = os.uname().machine


@dataclass(frozen=True)
class Processor:
    """`architecture` is the output of `uname -m`, `model` QEMU's name of the processor."""

    architecture: str
    model: str
    description: str


EMULATED = {
    "nehalem": Processor("x86_64", "Nehalem", "x86-64 without AVX"),
    "haswell": Processor("x86_64", "Haswell", "x86-64 with AVX2, without VNNI"),
    "cortex-a53": Processor(
        "aarch64", "cortex-a53", "Arm without dot products, as in a Raspberry Pi 3"
    ),
    "cortex-a72": Processor(
        "aarch64", "cortex-a72", "Arm without dot products, as in a Raspberry Pi 4"
    ),
    "cortex-a76": Processor(
        "aarch64", "cortex-a76", "Arm with dot products, as in a Raspberry Pi 5"
    ),
    "cortex-a7": Processor("armv7l", "cortex-a7", "32-bit Arm, as in a Raspberry Pi 2"),
}

# The runtimes with a wheel for each architecture. TensorFlow Lite Micro's interpreter has one for
# x86-64 only.
WHEELS = {
    "x86_64": {"tflite_runtime", "litert", "onnxruntime", "tflite_micro"},
    "aarch64": {"tflite_runtime", "litert", "onnxruntime"},
    "armv7l": {"tflite_runtime"},
}


def has_wheel(runtime: str) -> bool:
    """Whether this machine can install a runtime. Of an unknown machine, uv says what it lacks."""
    return runtime in WHEELS.get(HERE, WHEELS["x86_64"])
