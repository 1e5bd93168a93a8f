r"""Memory and time of the stages, by the number of photos: `make bench-photos`.

    python -m benchmarks.photos --counts 1000 10000 100000
    python -m benchmarks.photos --side 32 --counts 10000 100000 1000000 \
        --stages download preprocess baseline train
    python -m benchmarks.photos --store compressed --counts 1000 10000 \
        --stages download preprocess baseline train

Draws JPEGs of `--side` pixels, runs each stage on them in a folder of its own, and writes the table
into docs/benchmarks.md. Each picture of the largest count takes 160 kB of disk at 224 pixels and
7 kB at 32; they are deleted afterwards. With `--store compressed` the pictures are in zip files of
10,000, and `preprocess.store` is compressed: 10 kB at 224 pixels and 1.2 kB at 32. `train` is one
epoch of `tiny`.

Memory is anonymous memory (RssAnon of /proc/PID/status, sampled every 10 ms): what a process holds
for itself. Pages of memory-mapped files count for the resident size too, but the system takes them
back when it needs them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import machine
from pipeline.config import params
from pipeline.reporting import marked_tables

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
BEFORE_TRAINING = ["download", "preprocess", "baseline"]
CLASSES = 10
IN_A_SHARD = 10_000


def draw(folder: Path, side: int, number: int) -> None:
    """A picture of noise that is shaded by its class; no two are alike."""
    rng = np.random.default_rng(number)
    coarse = rng.integers(0, 256, (14, 14, 3)).astype(np.uint8)
    image = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
    label = number % CLASSES
    box = np.array([10 * label, 20, 10 * label + 60, 200]) * side // 224
    image.paste((25 * label, 0, 0), tuple(box.tolist()))
    path = folder / f"class{label}" / f"{number:06}.jpg"
    image.save(path, quality=85)


def draw_all(folder: Path, side: int, numbers: range) -> None:
    for label in range(CLASSES):
        (folder / f"class{label}").mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor() as pool:
        for _ in pool.map(partial(draw, folder, side), numbers, chunksize=200):
            pass


def pack(folder: Path, shards: Path, numbers: range) -> None:
    """Moves these pictures into zip files."""
    shards.mkdir(exist_ok=True)
    for first in numbers[::IN_A_SHARD]:
        with zipfile.ZipFile(shards / f"{first:08}.zip", "w") as archive:
            for path in sorted(folder.rglob("*.jpg"))[:IN_A_SHARD]:
                archive.write(path, path.relative_to(folder))
                path.unlink()


def anonymous_bytes(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    lines = dict(line.split(":", 1) for line in status.splitlines())
    return 1024 * int(lines.get("RssAnon", "0").split()[0])


def measured(stage: str, folder: Path) -> tuple[float, float, int]:
    """Seconds, seconds of processor time, and the largest anonymous memory in bytes."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started, used, largest = time.perf_counter(), machine.processor_seconds(), 0
    with subprocess.Popen(
        [sys.executable, "-m", f"pipeline.{stage}"], cwd=folder, env=environment
    ) as process:
        while process.poll() is None:
            largest = max(largest, anonymous_bytes(process.pid))
            time.sleep(0.01)
    if process.returncode:
        sys.exit(f"{stage} failed with exit status {process.returncode}")
    return time.perf_counter() - started, machine.processor_seconds() - used, largest


def project(folder: Path, side: int, store: str = "pixels") -> None:
    """A folder that the stages can run in."""
    settings = params.override(
        params.load(ROOT / "params.yaml"),
        {
            "dataset.name": "image_folder",
            "dataset.path": "photos",
            "dataset.height": side,
            "dataset.width": side,
            "dataset.channels": 3,
            "preprocess.store": store,
            "train.architecture": "tiny",
            "train.epochs": 1,
        },
    )
    (folder / "params.yaml").write_text(settings.model_dump_json(), encoding="utf-8")


def table(side: int, counts: list[int], stages: list[str], store: str) -> str:
    rows = []
    with tempfile.TemporaryDirectory(dir=ROOT) as name:
        folder = Path(name)
        project(folder, side, store)
        drawn = folder / ("photos" if store == "pixels" else "drawn")
        for before, count in zip([0, *counts], counts, strict=False):
            draw_all(drawn, side, range(before, count))
            if store == "compressed":
                pack(drawn, folder / "photos", range(before, count))
            for stage in stages:
                seconds, used, memory = measured(stage, folder)
                rows.append(
                    f"| {count:,} | `{stage}` | {memory / 2**20:,.0f} | {used:,.0f} | "
                    f"{1000 * used / count:,.1f} | {seconds:,.0f} |"
                )
                print(rows[-1], flush=True)
    header = [
        "| photos | stage | memory, MB | CPU s | CPU ms a photo | s |",
        "|---:|---|---:|---:|---:|---:|",
    ]
    return "\n".join([*header, *rows, "", f"On {os.cpu_count()} cores of an {machine.sentence()}."])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.photos")
    parser.add_argument("--side", type=int, default=224, help="pixels")
    parser.add_argument("--counts", nargs="+", type=int, default=[1000, 10000, 100000])
    parser.add_argument("--stages", nargs="+", default=BEFORE_TRAINING)
    parser.add_argument("--store", choices=["pixels", "compressed"], default="pixels")
    parser.add_argument("--print", action="store_true", help="do not write into docs/benchmarks.md")
    arguments = parser.parse_args()
    kind = "photos" if arguments.store == "pixels" else "compressed photos"
    begin = f"<!-- {kind} of {arguments.side} pixels: benchmarks.photos -->"
    if not arguments.print and begin not in PAGE.read_text(encoding="utf-8"):
        parser.error(f"{PAGE.name} has no table of {kind} for --side {arguments.side}; add --print")
    text = table(arguments.side, sorted(arguments.counts), arguments.stages, arguments.store)
    if not arguments.print:
        marked_tables.replace(PAGE, text, begin, "<!-- /photos -->")


if __name__ == "__main__":
    main()
