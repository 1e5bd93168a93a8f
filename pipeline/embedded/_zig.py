"""Zig's C compiler, clang with the C libraries of its targets, from the environment `embedded`.

Compiled as below, the generated C gives the same bits on x86-64, aarch64, armv7 and in WebAssembly,
with -msimd128 too (1,000 MNIST images, the golden vectors, all 0, all 255 and noise). Other flags
are no trap: gcc and clang at -O0, -Os and -O3, for this very processor, with fused multiply-add,
with -ffast-math, and relaxed SIMD of WebAssembly all stay within 1.5e-6 of ONNX Runtime.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pipeline.runtimes import environments

# No fused multiply-add: it rounds once where C's two operations round twice, so that processors would differ in the last bits.
C99 = ("-std=c99", "-O2", "-ffp-contract=off", "-DNDEBUG", "-s")
WEBASSEMBLY = (
    "-target",
    "wasm32-wasi",
    "-mexec-model=reactor",
)  # functions to call, and no program
PROGRAMS = {
    "aarch64": "aarch64-linux-musl",
    "armv7": "arm-linux-musleabihf",
    "x86_64": "x86_64-linux-musl",
}


def build(folder: Path, sources: Sequence[str], output: Path, *options: str) -> str:
    """Compiles and links C `sources` of `folder` to `output`; the compiler's warnings. Raises ValueError with its errors.

    It runs in the folder and with a cache of its own, so that no path of this machine and no earlier result gets in. Its linker
    takes a % in the path of a file that it writes for a random digit, so it writes to a temporary folder, and reaches the
    cache of C libraries by a link from there.
    """
    environment = environments.FOLDER / environments.EMBEDDED
    with tempfile.TemporaryDirectory() as name:
        if "%" in name:
            raise ValueError(
                f"the folder of temporary files, {name}, has a % in its path, where Zig cannot write; set TMPDIR to another"
            )
        temporary = Path(name)
        libraries, written = temporary / "libraries", temporary / output.name
        (environment / "zig").mkdir(exist_ok=True)
        libraries.symlink_to(environment / "zig")
        command: list[str | Path] = [environment / "bin" / "python", "-m", "ziglang", "cc"]
        command += [*options, *sources, "-o", written]
        variables = {
            **os.environ,
            "ZIG_GLOBAL_CACHE_DIR": str(libraries),
            "ZIG_LOCAL_CACHE_DIR": str(temporary / "cache"),
        }
        done = subprocess.run(
            command, cwd=folder, env=variables, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ValueError(
                f"{output.name} could not be compiled: {' '.join(done.stderr.split())[:500]}"
            )
        shutil.copy(written, output)
    return done.stderr
