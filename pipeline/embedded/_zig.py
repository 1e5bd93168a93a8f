"""Zig's C compiler: clang with the C libraries of its targets, from the environment `embedded`.

Networks compute in integers, so every target and every flag gives the same bits. With the flags
below that is so for the floating point of probabilities and of the gate as well.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pipeline.runtimes import environments

# No fused multiply-add: it rounds once where two operations round twice, so processors with and
# without it would differ in the last bits.
C99 = ("-std=c99", "-O2", "-ffp-contract=off", "-DNDEBUG", "-s")
# A reactor exports functions and has no main().
WEBASSEMBLY = ("-target", "wasm32-wasi", "-mexec-model=reactor")
PROGRAMS = {
    "aarch64": "aarch64-linux-musl",
    "armv7": "arm-linux-musleabihf",
    "x86_64": "x86_64-linux-musl",
}


def build(folder: Path, sources: Sequence[str], output: Path, *options: str) -> str:
    """Compiles and links C `sources` in `folder` to `output` and returns the compiler's warnings.

    Raises ValueError with the compiler's errors. The compiler runs in the folder with an empty
    cache, so that no path of this machine and no earlier result can affect the output. Its linker
    replaces a % in an output path by a random digit, so the output goes to a temporary folder
    first, and the cache of C libraries is reached through a link in there.
    """
    environment = environments.FOLDER / environments.EMBEDDED
    with tempfile.TemporaryDirectory() as name:
        if "%" in name:
            raise ValueError(
                f"the temporary folder {name} has a % in its path, where Zig cannot write; "
                "set TMPDIR to another folder"
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
        compiler = subprocess.run(
            command, cwd=folder, env=variables, capture_output=True, text=True, check=False
        )
        if compiler.returncode:
            errors = " ".join(compiler.stderr.split())[:500]
            raise ValueError(f"{output.name} could not be compiled: {errors}")
        shutil.copy(written, output)
    return compiler.stderr
