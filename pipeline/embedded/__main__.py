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
from pipeline.config.device_files import Embed
from pipeline.embedded import _zig, c
from pipeline.process import stage
from pipeline.runtimes import environments


def compiler_targets(settings: Embed) -> list[tuple[str, ...]]:
    """The options of the compiler for each target that the exports are compiled for."""
    targets: list[tuple[str, ...]] = []
    if "c" in settings.names:
        programs = sorted({c.HERE, *settings.programs})
        targets += [("-target", _zig.PROGRAMS[program]) for program in programs]
    if "browser" in settings.names:
        targets.append(_zig.WEBASSEMBLY)
    return targets


def note(target: tuple[str, ...]) -> Path:
    """A file that says that this version of the compiler has the library of a target."""
    packages = environments.packages(environments.EMBEDDED)
    version = "".join(path.stem for path in packages.glob("ziglang-*.dist-info"))
    return environments.FOLDER / environments.EMBEDDED / "zig" / f"{version}-{target[1]}"


def main() -> None:
    settings = params.load_or_none()
    targets = compiler_targets(settings.embed) if settings else []
    missing = [target for target in targets if not note(target).exists()]
    if not missing:
        return
    names = ", ".join(target[1] for target in missing)
    print(f"compiling the C libraries of {names}, once, half a minute each on one core", flush=True)
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(os.cpu_count()) as pool:
        folder = Path(name)
        (folder / "empty.c").write_text("int main(void) { return 0; }\n")

        def build(target: tuple[str, ...]) -> None:
            _zig.build(folder, ["empty.c"], folder / target[1], *target, *_zig.C99, "-lm")
            note(target).touch()
            print(f"the C library of {target[1]} is ready", flush=True)

        list(pool.map(build, missing))


if __name__ == "__main__":
    stage.run(main)
