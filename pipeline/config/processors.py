"""The processors that exported files are verified on: this one, and those that QEMU plays.

Kernels are chosen by what a processor can do, and other kernels may compute otherwise: without VNNI, say, some
sums of products saturate. Each of these stands for a kind of device; what it lacks is what makes it worth a look.

QEMU cannot play AVX-512 without VNNI; ONNX Runtime's kernels for it answer as those for AVX2 do. Its kernels for SSE4.1
that saturate exist on Windows alone, and Nehalem on Linux does not stand for them.
"""

from __future__ import annotations

from dataclasses import dataclass

NATIVE = "native"


@dataclass(frozen=True)
class Processor:
    """`architecture` is what `uname -m` says there, `model` what QEMU calls the processor."""

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

# Which runtimes have a wheel for each architecture. TensorFlow Lite Micro's interpreter is for x86-64 alone.
WHEELS = {
    "x86_64": {"tflite_runtime", "litert", "onnxruntime", "tflite_micro"},
    "aarch64": {"tflite_runtime", "litert", "onnxruntime"},
    "armv7l": {"tflite_runtime"},
}
