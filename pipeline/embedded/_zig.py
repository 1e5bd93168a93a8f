"""Zig's C compiler, clang with the C libraries of its targets, from the environment `embedded`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from pipeline import environments

# no fused multiply-add: it rounds once where C's two operations round twice, so that processors would differ in the last bits
C99 = ("-std=c99", "-O2", "-ffp-contract=off")


def build(sources: Sequence[Path], output: Path, *options: str) -> None:
    """Compiles and links C `sources` to `output`. Raises ValueError with what the compiler says."""
    folder = environments.FOLDER / environments.EMBEDDED
    environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(folder / "zig"), "ZIG_LOCAL_CACHE_DIR": str(folder / "zig")}
    command: list[str | Path] = [folder / "bin" / "python", "-m", "ziglang", "cc", *options, *sources, "-o", output]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"{output.name} could not be compiled: {' '.join(done.stderr.split())[:500]}")
