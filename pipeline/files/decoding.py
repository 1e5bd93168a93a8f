"""Writes pictures as an array, a chunk at a time; what is interrupted goes on where it stopped.

What is done so far lies in .state/pictures of the user's checkout. It moves to its place when it is
whole, so there is only one copy.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import IO

from pipeline.files import artifacts, atomic
from pipeline.files.pictures import Pictures
from pipeline.process import imports, stage
from pipeline.process.progress import followed

SECONDS = 1.0  # of work that an interruption loses at most


def save(path: Path, pictures: Pictures, split: str) -> None:
    """Writes all of `pictures` to `path`, an npy file (N, H, W, C). Raises UserError."""
    folder = stage.home() / artifacts.STATE / "pictures" / split
    header = artifacts.header(pictures, len(pictures))
    with atomic.alone(folder):
        partial, record = folder / "images.npy", folder / "rows.json"
        first = _rows_done(partial, record, pictures)
        with partial.open("r+b" if first else "wb") as file:
            file.truncate(len(header) + first * artifacts.row_bytes(pictures))
            file.write(header)
            file.seek(0, os.SEEK_END)
            _decode(file, record, pictures, first, split)
        with atomic.replacing(path) as temporary:
            shutil.move(partial, temporary)
        record.unlink(missing_ok=True)


def _rows_done(partial: Path, record: Path, pictures: Pictures) -> int:
    """How many images of an interrupted run are on the disk; 0 if they are of other pictures."""
    if not (partial.exists() and record.exists()):
        return 0
    facts = artifacts.load_json(record)
    return int(facts["rows"]) if facts["sha256"] == pictures.sha256() else 0


def _decode(file: IO[bytes], record: Path, pictures: Pictures, first: int, split: str) -> None:
    """Appends the images from row `first` on, and records how many are on the disk."""
    sha256, saved = pictures.sha256(), time.monotonic()
    rows = artifacts.chunk_rows(pictures)
    starts = range(first, len(pictures), rows)
    if first:
        print(f"{split}: going on after {first:,} of {len(pictures):,} pictures")
    with imports.quiet():
        for start in followed(starts, len(starts), f"decoding {split}"):
            file.write(pictures[start : start + rows].tobytes())
            if time.monotonic() - saved > SECONDS:
                file.flush()
                os.fsync(file.fileno())
                done = min(start + rows, len(pictures))
                artifacts.save_json(record, {"sha256": sha256, "rows": done})
                saved = time.monotonic()
