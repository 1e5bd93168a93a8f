"""The rows of the raw data that make up each split, and the files of data/prepared made of them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.config import params
from pipeline.config.params import Params
from pipeline.files import artifacts, decoding, groups, pictures, raw, split_files
from pipeline.files.artifacts import Array
from pipeline.files.corrections import Edits
from pipeline.files.pictures import Pictures, picture_table
from pipeline.files.reports.preprocess import (
    Corrected,
    Together,
)
from pipeline.files.splits import Groups, has_one_of_each, split_off


@dataclass(frozen=True)
class Selection:
    """The rows of a raw part that make up a split, with corrected labels.

    `group_names` are those of their groups, if any. `edits` are the corrections of the part, and
    `dropped` counts the rows of the split that they leave out.
    """

    inputs: Array
    labels: Array
    rows: Array
    group_names: list[str] | None
    edits: Edits
    dropped: int

    @classmethod
    def of(
        cls, part: tuple[Array, Array], rows: Array, names: list[str] | None, edits: Edits
    ) -> Selection:
        """`names` are the groups of all rows of the part, if any."""
        inputs, labels = part
        left = edits.left(rows)
        group_names = None if names is None else [names[row] for row in left]
        dropped = len(rows) - len(left)
        return cls(inputs, edits.labels(labels), left, group_names, edits, dropped)

    @property
    def relabelled(self) -> int:
        """How many of the rows have a corrected label."""
        return int(np.isin(self.rows, list(self.edits.changed)).sum())

    @property
    def photos(self) -> Pictures | None:
        """Those of the split, if they are pictures on disk."""
        photos = pictures.on_disk(self.inputs)
        return None if photos is None else photos.subset(self.rows)


def together_in_splits(group: str | None) -> Groups:
    """What of the raw training part is never in two splits: at least each example by itself.

    Raises UserError for a `group` that the data do not have.
    """
    numbers = raw.groups(group)
    if numbers is None:
        numbers = np.arange(len(raw.load("train")[1]))
    return Groups(numbers, one_of_each=has_one_of_each(raw.description().target))


def corrected(selections: dict[str, Selection], settings: Params) -> Corrected | None:
    """How many labels were corrected; None if no file is named."""
    if settings.preprocess.corrections == params.NONE:
        return None
    used = sum(part.relabelled + part.dropped for part in selections.values())
    every = [selections[split].edits for split in ("train", "test")]  # validation shares train's
    return Corrected(
        relabelled={split: part.relabelled for split, part in selections.items()},
        dropped={split: part.dropped for split, part in selections.items()},
        unused=sum(len(edits.rows) for edits in every) - used,
    )


def prepare(selections: dict[str, Selection]) -> dict[str, tuple[Array, Array]]:
    """Writes the three splits and returns their images and labels. Raises UserError."""
    parts = {}
    for split, selection in selections.items():
        folder = artifacts.empty(artifacts.PREPARED / split)
        stem, labels = folder / split_files.IMAGES, folder / "labels.npy"
        images = save_inputs(stem, selection.inputs, selection.rows, split)
        artifacts.save_rows(labels, selection.labels, selection.rows)
        parts[split] = images, artifacts.load_array(labels)
    if (names := selections["test"].group_names) is not None:
        artifacts.save_json(groups.OF_TEST, names)
    return parts


def save_inputs(stem: Path, inputs: Array, rows: Array, name: str) -> Array:
    """Writes `inputs[rows]` and returns them; photos as `preprocess.store` says. Raises UserError.

    `stem` is the path without its suffix, `name` what an interrupted decoding is found by.
    """
    pixels, photos = stem.with_suffix(".npy"), pictures.on_disk(inputs)
    if photos is None:
        artifacts.save_rows(pixels, inputs, rows)
    elif params.load().preprocess.store == "compressed":
        used = photos.subset(rows)
        picture_table.save(stem.with_suffix(".csv"), replace(used.rows, columns={}))
        return used.as_array()
    else:
        decoding.save(pixels, photos.subset(rows), name)
    return artifacts.load_array(pixels)


def prepare_others(settings: Params) -> dict[str, int]:
    """Writes the pictures of none of the classes, and returns how many train and test.

    Copies and near copies of a photo are in one split. No threshold is fitted on these pictures,
    so there is no part for validation.
    """
    parts = raw.others()
    if not parts:
        return {}
    if "test" in parts:
        rows = {name: np.arange(len(images)) for name, images in parts.items()}
    else:
        count = max(1, round(settings.dataset.test * len(parts["train"])))
        photos, alike = pictures.on_disk(parts["train"]), np.zeros(len(parts["train"]), np.int64)
        copies = None if photos is None else Groups(groups.together(photos.rows, None))
        kept, split = split_off(alike, count, "random", settings.preprocess.seed, copies)
        rows, parts = {"train": kept, "test": split}, {**parts, "test": parts["train"]}
    for split_name, images in parts.items():
        path = artifacts.PREPARED / split_name / split_files.OTHERS
        save_inputs(path, images, rows[split_name], f"other-{split_name}")
    return {name: len(numbers) for name, numbers in rows.items()}


def differently_labelled(
    copies: list[list[str]], selections: dict[str, Selection]
) -> list[list[str]]:
    """The groups of copies whose files have several labels; those of numbers differ anyway."""
    labels_of: dict[str, set[bytes]] = {file: set() for files in copies for file in files}
    for part in selections.values():
        if part.photos is None or np.issubdtype(part.labels.dtype, np.floating):
            continue
        for file, row in zip(part.photos.rows.files.tolist(), part.rows.tolist(), strict=True):
            if file in labels_of:
                labels_of[file].add(part.labels[row].tobytes())
    return [
        files
        for files in copies
        if all(len(labels_of[file]) == 1 for file in files)  # the boxes of a file may differ
        and len(set().union(*(labels_of[file] for file in files))) > 1
    ]


def together(selections: dict[str, Selection]) -> Together | None:
    """What was kept together; None for arrays without groups."""
    photos = [part.photos for part in selections.values() if part.photos is not None]
    copies = groups.of_copies(pictures.joined(photos)) if photos else []
    different = differently_labelled(copies, selections)
    names = {
        split: selection.group_names
        for split, selection in selections.items()
        if selection.group_names is not None
    }
    if not names:
        return Together(copies=copies, differently_labelled=different) if photos else None
    return Together(
        copies=copies,
        differently_labelled=different,
        groups={split: len(set(groups.distinct(part))) for split, part in names.items()},
        shared_groups=sorted(
            {
                name
                for first, second in itertools.combinations(map(set, names.values()), 2)
                for name in first & second
                if name
            }
        ),
    )
