"""The integer C by other compilers and on other processors, equal to TensorFlow Lite Micro.

On the model of this working tree, MLPerf Tiny's models and random networks, layer by layer.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.integer_c import oracle
from benchmarks.integer_c.oracle import Micro
from benchmarks.integer_c.random_networks import seeded
from pipeline.embedded import _integer_c, _zig
from pipeline.embedded import browser as web
from pipeline.embedded._integer_c.network import read
from pipeline.files.artifacts import Array
from pipeline.runtimes import environments
from tests.conftest import ROOT
from tests.embedded.conftest import run
from tests.test_integer_c import MIRROR, PUBLISHED

FILES = [
    ROOT / "exported/tflite_int8.tflite",
    *(MIRROR / f"{name}.tflite" for name in PUBLISHED if MIRROR.is_dir()),
]
INPUTS, RANDOM_NETWORKS = 4, 20
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g")
PROCESSORS = {
    "aarch64-linux-musl": "qemu-aarch64-static",
    "arm-linux-musleabihf": "qemu-arm-static",
}
# Linux on RISC-V without any library: the system calls read, write and exit.
BARE = r"""
static long call(long number, long a, long b, long c)
{
    register long a0 __asm__("a0") = a, a1 __asm__("a1") = b, a2 __asm__("a2") = c;
    register long a7 __asm__("a7") = number;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a7) : "memory");
    return a0;
}
int take(void *values, int count)
{
    int done = 0;
    for (long got = 1; done < count && got > 0; done += got)
        got = call(63, 0, (long)values + done, count - done);
    return done == count;
}
void emit(const void *values, int count)
{
    for (int done = 0; done < count;)
        done += call(64, 1, (long)values + done, count - done);
}
int main(int count, char **arguments);
void begin(long *stack) { call(93, main(stack[0], (char **)(stack + 1)), 0, 0); }
__asm__(".globl _start\n_start: mv a0, sp\n andi sp, sp, -16\n call begin\n");
"""
RISC_V = ("-std=c99", "-O2", "-ffreestanding", "-nostdlib", "-static", "-mno-relax")
WASI = """
import { readFile } from "node:fs/promises";
import { WASI } from "node:wasi";
const [program, number] = process.argv.slice(2);
const wasi = new WASI({ version: "preview1", args: ["program", number] });
const module = await WebAssembly.compile(await readFile(program));
wasi.start(await WebAssembly.instantiate(module, wasi.getImportObject()));
"""


class Cases:
    """Networks with inputs, and what TensorFlow Lite Micro computes in every layer."""

    def __init__(self, micro: Micro) -> None:
        assert FILES[0].exists(), f"this test needs {FILES[0]}; run `make run` first"
        random = [seeded(seed) for seed in range(RANDOM_NETWORKS)]
        self.models = [*(file.read_bytes() for file in FILES), *random]
        self.codes = [_integer_c.translate(model, "a network") for model in self.models]
        self.inputs = [oracle.inputs(read(model), INPUTS) for model in self.models]
        self.expected = [
            self.layers(micro, model, values)
            for model, values in zip(self.models, self.inputs, strict=True)
        ]

    @staticmethod
    def layers(micro: Micro, model: bytes, inputs: Array) -> bytes:
        operators = read(model).operators
        tensors = micro.tensors(model, inputs, [entry.output.index for entry in operators])
        rows = [
            np.ascontiguousarray(tensors[entry.output.index]).reshape(INPUTS, -1).view(np.int8)
            for entry in operators
        ]
        return np.concatenate(rows, 1).tobytes()

    def check(self, *command: str | Path) -> None:
        """Runs the program of `oracle.write` for every network."""
        for number, (inputs, expected) in enumerate(zip(self.inputs, self.expected, strict=True)):
            done = subprocess.run(
                [*command, str(number)], input=inputs.tobytes(), capture_output=True, check=False
            )
            assert done.returncode == 0, done.stderr.decode()[-2000:]
            assert done.stdout == expected, number


@pytest.fixture(scope="module")
def cases() -> Iterator[Cases]:
    micro = Micro()
    yield Cases(micro)
    micro.close()


@pytest.mark.parametrize("level", ["-O0", "-O1", "-O2", "-O3", "-Os", "-O3 -ffast-math"])
def test_gcc_compiles_it_without_a_warning_at_every_level(
    cases: Cases, tmp_path: Path, level: str
) -> None:
    sources = oracle.write(cases.codes, tmp_path)
    strict = [source for source in sources if source.startswith("layers/")]
    run("gcc", *STRICT, *level.split(), "-c", *strict, cwd=tmp_path)
    run("gcc", *STRICT, *level.split(), "-c", "0/network.c", "-I.", cwd=tmp_path)
    options = ("-I.", "-include", "tap.h", "-o", "program")
    run("gcc", "-std=c99", *level.split(), *sources, *options, cwd=tmp_path)
    cases.check(tmp_path / "program")


@pytest.mark.parametrize("level", ["-O0", "-O1", "-O2", "-O3", "-O3 -ffast-math"])
def test_clang_compiles_it_without_a_warning_at_every_level(
    cases: Cases, tmp_path: Path, level: str
) -> None:
    """Only our own code: Zig would compile its C library again for every level.

    Without the sanitizer that Zig adds at -O0, whose library would be missing.
    """
    sources = oracle.write(cases.codes, tmp_path)
    python = environments.FOLDER / environments.EMBEDDED / "bin/python"
    clang = (python, "-m", "ziglang", "cc", "-target", "x86_64-linux-musl")
    ours = [name for name in sources if name.startswith(("layers/", "unit_"))]
    objects = [f"{number}.o" for number in range(len(ours))]
    for name, output in zip(ours, objects, strict=True):
        strict = STRICT if name.startswith("layers/") else STRICT[:1]
        options = (*strict, *level.split(), "-fno-sanitize=undefined", "-I.", "-include", "tap.h")
        run(*clang, *options, "-c", name, "-o", output, cwd=tmp_path)
    rest = [name for name in sources if name not in ours]
    _zig.build(tmp_path, [*objects, *rest], tmp_path / "program", *oracle.HERE)
    cases.check(tmp_path / "program")


def test_sanitizers_find_nothing(cases: Cases, tmp_path: Path) -> None:
    sources = oracle.write(cases.codes, tmp_path)
    options = ("-I.", "-include", "tap.h", "-o", "program")
    run("gcc", "-std=c99", "-O1", *SANITIZERS, *sources, *options, cwd=tmp_path)
    cases.check(tmp_path / "program")


@pytest.mark.parametrize("target", PROCESSORS)
def test_every_processor_computes_the_same_bytes(cases: Cases, tmp_path: Path, target: str) -> None:
    options = ("-target", target, "-std=c99", "-O2")
    program = oracle.compiled(cases.codes, tmp_path, options)
    cases.check(PROCESSORS[target], program)


@pytest.mark.parametrize("bits", [32, 64])
def test_risc_v_without_any_library_computes_the_same_bytes(
    cases: Cases, tmp_path: Path, bits: int
) -> None:
    options = ("-target", f"riscv{bits}-linux-none", *RISC_V)
    program = oracle.compiled(cases.codes, tmp_path, options, BARE)
    cases.check(f"qemu-riscv{bits}-static", program)


@pytest.mark.parametrize("simd", [(), ("-msimd128",)])
def test_webassembly_computes_the_same_bytes(
    cases: Cases, tmp_path: Path, simd: tuple[str, ...]
) -> None:
    options = ("-target", "wasm32-wasi", "-std=c99", "-O2", *simd)
    program = oracle.compiled(cases.codes, tmp_path, options)
    (tmp_path / "run.mjs").write_text(WASI)
    cases.check(web.node(), "--no-warnings", tmp_path / "run.mjs", program)


@pytest.mark.parametrize("processor", ["cortex-m0", "cortex-m3"])
def test_a_cortex_m_needs_less_than_the_stated_stack_and_no_library(
    cases: Cases, tmp_path: Path, processor: str
) -> None:
    oracle.write(cases.codes, tmp_path)
    compiler = ("arm-none-eabi-gcc", f"-mcpu={processor}", "-mthumb", "-std=c99", "-O2")
    layers = [path.name for path in (tmp_path / "layers").glob("*.c")]
    frames: dict[str, int] = {}
    for name in ("0/network.c", *(f"layers/{name}" for name in layers)):
        run(*compiler, "-fstack-usage", "-I.", "-c", name, "-o", "object.o", cwd=tmp_path)
        usage = (tmp_path / "object.su").read_text()
        assert set(re.findall(r"\t(\w+)\n", usage)) == {"static"}
        frames[name] = sum(map(int, re.findall(r"\t(\d+)\t", usage)))
        symbols = run("arm-none-eabi-nm", "--undefined-only", "object.o", cwd=tmp_path).stdout
        needed = set(re.findall(r" U (\w+)", symbols.decode()))
        assert all(name.startswith(("layer_", "__aeabi_", "__gnu_thumb1")) for name in needed)
    deepest = frames.pop("0/network.c") + max(frames.values())
    assert deepest <= 512, frames
