"""Why a folder holds nothing that can be read, and what to do about it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from pipeline.datasets.reading import sound_list
from pipeline.datasets.reading.file_tree import OTHER_PICTURES, Tree
from pipeline.process.words import counted, verb

LISTS = ("", ".txt", ".lst", ".dat")
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".bz2", ".xz")
TABLES = (".parquet", ".feather", ".xlsx", ".xls", ".ods", ".mat", ".h5", ".hdf5", ".ts", ".arff")
PICKLES = (".pkl", ".pickle", ".joblib", ".pt", ".pth")
LONGEST_NAME = 4096  # bytes of a path
CURES = {  # how files of other programs become what is read
    ("", ".txt", ".dat", ".asc"): "rename tables with a column for each channel to .csv",
    OTHER_PICTURES: "convert them to JPEG or PNG, HEIC with heif-convert",
    (".npy",): "store arrays together with np.savez, as x_train and y_train",
    PICKLES: "a pickle is never opened, as it may run a program: store its arrays with np.savez",
    (*TABLES, ".edf", ".json", ".jsonl", ".tfrecord", ".gz"): "convert them to CSV or npz",
}


def why(path: Path, tree: Tree) -> str:
    """What is wrong with a tree in which no file can be read."""
    if "" in tree.left_out:
        return f"{path} {tree.left_out['']}; change its permissions"
    suffixes = Counter(Path(name).suffix.lower() for name in tree.left_out)
    sounds = sum(suffixes[suffix] for suffix in sound_list.NOT_READ)
    if sounds:
        return f"{path} holds sounds that cannot be read ({sounds:,}); {sound_list.CONVERT}"
    if any("Permission" in reason for reason in tree.left_out.values()):
        return f"{path} holds only folders that may not be read; change their permissions"
    packed = sum(suffixes[suffix] for suffix in ARCHIVES)
    if packed:
        return (
            f"{path} holds {counted(packed, 'archive')} and nothing that can be read; unpack "
            f"{verb(packed, 'it', 'them')}, and name the folder"
        )
    return (
        f"{path} holds no pictures, sounds or recordings{_named(suffixes)}; expected a folder for "
        "each class with pictures (PNG, JPEG, BMP, GIF, TIFF or WebP), sounds (WAV, FLAC, Ogg or "
        f"MP3) or recordings of sensors (CSV or npz){cure(suffixes)}"
    )


def cure_of(path: Path) -> str:
    """What to do with a file that is no data."""
    with path.open("rb") as file:
        first = file.readline(LONGEST_NAME).decode(errors="replace").lower()
    words = re.split(r"[\s,;]+", first)
    names_files = any(word.endswith((*Tree.suffixes, *sound_list.SUFFIXES)) for word in words)
    if names_files and path.suffix.lower() in LISTS:
        return "; if it is a list, write file,label as its first row and rename it to .csv"
    return cure(Counter([path.suffix.lower()]))


def cure(suffixes: Counter[str]) -> str:
    """What to do with the most frequent files, if that is known."""
    most = max(suffixes, key=suffixes.__getitem__, default="")
    cures = [cure for known, cure in CURES.items() if most in known]
    return f"; {cures[0]}" if cures else ""


def _named(suffixes: Counter[str]) -> str:
    """The most frequent suffixes of files that are not read."""
    shown = [
        f"{count:,} {suffix or 'without a suffix'}" for suffix, count in suffixes.most_common(3)
    ]
    return f" that can be read, only {', '.join(shown)}" if shown else ""
