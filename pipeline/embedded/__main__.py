"""Compiles the C library for every target of the C compiler: `make env` runs it.

    python -m pipeline.embedded

Zig caches the libraries. Each takes half a minute once, which the pipeline then saves.
"""

from __future__ import annotations

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipeline.config import params
from pipeline.embedded import _zig, c
from pipeline.process import stage


def main() -> None:
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(os.cpu_count()) as pool:
        folder = Path(name)
        (folder / "empty.c").write_text("int main(void) { return 0; }\n")
        settings = params.load().embed
        targets: list[tuple[str, ...]] = []
        if "c" in settings.names:
            programs = {c.HERE, *settings.programs}
            targets += [("-target", _zig.PROGRAMS[program]) for program in programs]
        if "browser" in settings.names:
            targets.append(_zig.WEBASSEMBLY)

        def build(target: tuple[str, ...]) -> str:
            output = folder / target[1]
            return _zig.build(folder, ["empty.c"], output, *target, *_zig.C99, "-lm")

        list(pool.map(build, targets))


if __name__ == "__main__":
    stage.run(main)
