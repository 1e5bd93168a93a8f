r"""How fast training reads photos by our own code, PyDataset, tf.data and Grain.

    make bench-reading PHOTOS=trash.zip, or
    python -m benchmarks.reading PHOTOS.zip [--count 10000] [--sides 96 224] [--rounds 3]

PHOTOS.zip holds photos in one folder for each class. They are repeated until there are `--count` of
them, and stored as files, in a zip file, as pixels, in Parquet and in ArrayRecord. In each round
all ways of benchmarks/reading_ways.py read from them in turn, each in a process of its own.

Memory is what all processes of a way hold for themselves or share with each other (Pss_Anon and
Pss_Shmem of /proc/PID/smaps_rollup), and in a second column also the pages of files that they have
mapped (Pss), which the system takes back when it needs them.

Grain and ArrayRecord are no dependencies of the project: uv installs them into a temporary folder,
which only their own processes see. Writes benchmarks/reading.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import select
import statistics
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path, PurePosixPath

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet
import uv

from benchmarks import machine, reading_ways
from pipeline.files import artifacts, atomic
from pipeline.files.pictures import Pictures, picture_table
from pipeline.files.pictures.picture_table import Picture, Table
from pipeline.reporting.tables import table

ROOT = Path(__file__).parent.parent
PAGE = Path(__file__).with_suffix(".md")
# What Grain needs and the project has not
PACKAGES = ("grain==0.2.18", "array-record==0.8.6", "etils==1.15.0", "portpicker==1.6.0")
OURS = "ours, compressed files"
SAMPLED = 0.5  # seconds between two looks at the memory, each of which takes processor time
COLUMNS = (
    *("way", "photos a second", "times ours", "CPU ms a photo"),
    *("s to the first batch", "memory, MB", "with mapped files", "cores that others used"),
)


@dataclass(frozen=True)
class Run:
    """What one process needed for its timed photos, and the most memory it had, in bytes."""

    first: float
    seconds: float
    used: float
    others: float
    held: int
    mapped: int


def store(photos: Path, folder: Path, count: int, sides: Sequence[int]) -> dict[str, int]:
    """Writes the photos into `folder` in each way; returns the bytes of each store."""
    (folder / "photos").mkdir()
    (folder / "shards").mkdir()
    rows: list[Picture] = []
    classes: list[str] = []
    contents: list[bytes] = []
    with (
        zipfile.ZipFile(photos) as source,
        zipfile.ZipFile(folder / "shards" / "photos.zip", "w") as shard,
    ):
        names = sorted(name for name in source.namelist() if name.endswith(".jpg"))
        for number, name in enumerate(islice(cycle(names), count)):
            data = source.read(name)
            file = f"{number:06}.jpg"
            (folder / "photos" / file).write_bytes(data)
            shard.writestr(file, data)
            rows.append(Picture(file, hashlib.sha256(data).hexdigest(), "00" * 32))
            classes.append(PurePosixPath(name).parent.name)
            contents.append(data)
    known = sorted(set(classes))
    np.save(folder / "labels.npy", np.array([known.index(name) for name in classes]))
    np.save(folder / "files.npy", np.array([row.file for row in rows]))
    pictures = Table.of(rows, len(rows))
    picture_table.save(folder / "table.csv", pictures)
    pyarrow.parquet.write_table(
        pa.table({"picture": contents}), folder / "photos.parquet", compression="none"
    )
    for side in sides:
        images = Pictures(folder / "photos", pictures, (side, side, 3))
        pixels = np.lib.format.open_memmap(
            folder / f"pixels{side}.npy", "w+", np.uint8, images.shape
        )
        for start in range(0, count, 1000):
            pixels[start : start + 1000] = images[start : start + 1000]
        pixels.flush()
    return {path.name: size(path) for path in folder.iterdir()}


def size(path: Path) -> int:
    """The bytes of a file, or of all files in a folder."""
    return sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())


def memory(process: psutil.Process) -> tuple[int, int]:
    """What the process and all that it has started hold, and with their mapped files, in bytes."""
    held = mapped = 0
    try:
        tree = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0, 0
    for each in tree:
        try:
            text = Path(f"/proc/{each.pid}/smaps_rollup").read_text(encoding="utf-8")
        except OSError:
            continue
        pairs = (line.split(":", 1) for line in text.splitlines()[1:])
        facts = {name: 1024 * int(value.split()[0]) for name, value in pairs}
        held += facts["Pss_Anon"] + facts["Pss_Shmem"]
        mapped += facts["Pss"]
    return held, mapped


def start(way: str, folder: Path, side: int, packages: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.reading_ways", way, folder, side]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    paths = [ROOT, packages] if "Grain" in way or way == "pack" else [ROOT]
    environment["PYTHONPATH"] = os.pathsep.join(map(str, paths))
    return subprocess.Popen(
        list(map(str, command)), env=environment, stdout=subprocess.PIPE, text=True
    )


def run(way: str, folder: Path, side: int, packages: Path) -> Run:
    held = mapped = 0
    with start(way, folder, side, packages) as child:
        process = psutil.Process(child.pid)
        assert child.stdout is not None
        while not select.select([child.stdout], [], [], SAMPLED)[0]:
            now = memory(process)
            held, mapped = max(held, now[0]), max(mapped, now[1])
        line = child.stdout.readline()
        # Some ways would go on reading, or never end.
        for each in [*process.children(recursive=True), process]:
            each.kill()
    if not line:
        sys.exit(f"{way} failed")
    return Run(**json.loads(line), held=held, mapped=mapped)


def install(packages: Path) -> dict[str, int]:
    """Installs PACKAGES into this folder; returns the bytes of each."""
    result = {}
    for package in PACKAGES:
        before = size(packages) if packages.exists() else 0
        command = [uv.find_uv_bin(), "pip", "install", "--quiet", "--no-deps"]
        command += ["--python", sys.executable, "--target", str(packages), package]
        subprocess.run(command, check=True)
        result[package] = size(packages) - before
    return result


def cells(way: str, runs: list[Run], ours: list[Run]) -> list[str]:
    """A row of the table: medians of the rounds, and the least and the most in brackets."""
    count = reading_ways.TIMED * reading_ways.BATCH

    def spread(values: list[float], digits: int) -> str:
        low, middle, high = (
            f"{value:,.{digits}f}"
            for value in (min(values), statistics.median(values), max(values))
        )
        return f"{middle} ({low} to {high})"

    ratios = [mine.seconds / run.seconds for mine, run in zip(ours, runs, strict=True)]
    return [
        way,
        spread([count / run.seconds for run in runs], 0),
        spread(ratios, 2),
        f"{statistics.median(1000 * run.used / count for run in runs):.2f}",
        spread([run.first for run in runs], 1),
        f"{max(run.held for run in runs) / 2**20:,.0f}",
        f"{max(run.mapped for run in runs) / 2**20:,.0f}",
        spread([max(0.0, run.others / run.seconds) for run in runs], 1),
    ]


def page(
    arguments: argparse.Namespace,
    rounds: int,
    tables: dict[int, str],
    facts: Sequence[dict[str, int]],
) -> str:
    stores, packages = (
        ", ".join(f"{name} {value / 1e6:,.1f}" for name, value in sorted(values.items()))
        for values in facts
    )
    parts = [
        "# How training reads photos",
        f"`python -m benchmarks.reading` makes such a page, this one from {arguments.photos.name} "
        f"with the sides, rounds and ways that it shows: {arguments.count:,} photos in a random "
        f"order and in batches of {reading_ways.BATCH}. After {reading_ways.WARM_UP} batches "
        f"{reading_ways.TIMED} are timed, in {rounds} rounds of all ways in turn. Medians, and in "
        "brackets the least and "
        "the most; *times ours* compares within a round. The last column says how much of the "
        f"{os.cpu_count()} cores other programs used meanwhile.",
        *(f"## {side} x {side} pixels\n\n{text}" for side, text in tables.items()),
        f"MB of each store: {stores}. MB of each package that the project has not: {packages}; "
        "TensorFlow, Keras and PyArrow are in the project.",
        f"Measured on {machine.sentence()}.",
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reading")
    parser.add_argument("photos", type=Path)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--sides", nargs="+", type=int, default=[96, 224], help="pixels")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ways", nargs="+", default=list(reading_ways.WAYS))
    arguments = parser.parse_args()
    if OURS not in arguments.ways:
        parser.error(f"--ways: expected {OURS!r} among them, which the others are compared with")
    artifacts.STATE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=artifacts.STATE) as name:
        folder, packages = Path(name).absolute() / "stores", Path(name).absolute() / "packages"
        folder.mkdir()
        sizes = install(packages)
        stores = store(arguments.photos, folder, arguments.count, arguments.sides)
        with start("pack", folder, 0, packages) as process:
            pass
        if process.returncode:
            sys.exit("ArrayRecord could not be written")
        stores[reading_ways.RECORDS] = size(folder / reading_ways.RECORDS)
        tables = {}
        for side in arguments.sides:
            runs: dict[str, list[Run]] = {way: [] for way in arguments.ways}
            for rounds in range(1, arguments.rounds + 1):
                for way in arguments.ways:
                    runs[way].append(run(way, folder, side, packages))
                    print(side, way, runs[way][-1], flush=True)
                rows = [cells(way, runs[way], runs[OURS]) for way in runs]
                tables[side] = table(COLUMNS, rows)
                atomic.write_text(PAGE, page(arguments, rounds, tables, [stores, sizes]))


if __name__ == "__main__":
    main()
