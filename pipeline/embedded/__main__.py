"""Compiles the C library of every target of the C compiler, which Zig keeps: `python -m pipeline.embedded`, as `make env` does.

It takes half a minute for each, once, which the line then need not spend.
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
        chosen = params.load().embed
        targets: list[tuple[str, ...]] = [
            ("-target", _zig.PROGRAMS[program])
            for program in {c.HERE, *chosen.programs}
            if "c" in chosen.names
        ]
        targets += [_zig.WEBASSEMBLY] if "browser" in chosen.names else []
        list(
            pool.map(
                lambda target: _zig.build(
                    folder, ["empty.c"], folder / target[1], *target, *_zig.C99, "-lm"
                ),
                targets,
            )
        )


if __name__ == "__main__":
    stage.run(main)
