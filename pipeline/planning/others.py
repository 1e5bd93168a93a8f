"""Pictures that are none of the classes: those that the user names, and those that look like it."""

from __future__ import annotations

import shlex
from pathlib import Path

from pipeline.config.parts import declared, one_class_each
from pipeline.datasets.reading import file_tree, other_pictures
from pipeline.planning.data import Survey
from pipeline.process.errors import UserError
from pipeline.process.words import counted

# Names of folders that often hold what belongs to no class, without what is between their words
NO_CLASS = {
    *("other", "others", "rest", "misc", "miscellaneous", "various", "distractor", "distractors"),
    *("none", "noneofthese", "noneoftheabove", "noclass", "nothing", "empty", "noise"),
    *("unknown", "unknowns", "background", "backgrounds", "negative", "negatives"),
}


def look(data_path: Path, other: Path, data: Survey) -> int:
    """How many pictures `other` holds. Raises UserError if they cannot be used with the data."""
    if not _takes(data):
        raise UserError("--other is for images of one class each, and the data are not")
    if data_path.resolve().is_relative_to(other.resolve()):
        raise UserError(f"--other is {other}, which holds the data themselves; name another folder")
    if other.suffix.lower() == ".npz":
        size = data.size or (data.side, data.side, 3)
        return sum(map(len, other_pictures.load(other, size, "resize").values()))
    count = len(file_tree.read(other, "--other").files)
    if count < other_pictures.FEWEST:
        raise UserError(f"--other {other} holds {counted(count, 'picture')}; expected at least 2")
    return count


def among(data: Survey) -> list[str]:
    """A sentence on classes that look as if they held what belongs to none, if two remain."""
    names = [name for name in data.class_names if _letters(name) in NO_CLASS]
    if not names or not _takes(data) or len(data.class_names) - len(names) < 2:
        return []
    path = Path(str(data.values["path"])) / names[0]
    cure = f"give `--other {shlex.quote(str(path))}` too"
    if len(names) > 1 or not path.is_dir():
        cure = "move them out of the data, and name them with `--other`"
    return [
        f"{', '.join(names)}: taken for a class like the others; if these pictures belong to "
        f'none of the classes, {cure}: then the answer to them is "none of these", and what is '
        "like no class is rejected more often"
    ]


def _letters(name: str) -> str:
    return "".join(filter(str.isalpha, name.lower()))


def _takes(data: Survey) -> bool:
    """Whether `dataset.other` is for such data."""
    return one_class_each(data.target) and bool(declared("inputs", data.kind)["IMAGES"])
