"""Your own sounds: a folder for each class, or parts of the data with such folders.

`dataset.path` is a folder or a zip file. Its parts are train, validation and test in their usual
spellings, such as Training or val. Files are WAV, FLAC or Ogg. They are read where they lie.
"""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path
from typing import IO

from pipeline.config.params import Dataset
from pipeline.datasets import Raw, _class_folders, _sounds, _tree
from pipeline.datasets._sounds import SoundError


def load(params: Dataset) -> Raw:
    root = Path(params.path)
    tree = _tree.read(root, suffixes=_sounds.SUFFIXES, noun="sound")
    listed = _class_folders.listed(root, tree)
    if root.is_dir():
        return _sounds.dataset(params, listed, lambda name: opened(root / name))
    with zipfile.ZipFile(root) as archive:
        return _sounds.dataset(params, listed, archive.open)


def opened(path: Path) -> IO[bytes]:
    if not stat.S_ISREG(path.stat().st_mode):  # a pipe might never end
        raise SoundError("is not a file")
    return path.open("rb")
