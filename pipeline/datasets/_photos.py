"""From a list of picture files to a dataset: each is read once to see that it can be decoded."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from pydantic import PositiveInt

from pipeline.config import section
from pipeline.config.params import Dataset
from pipeline.datasets import Raw, _labels
from pipeline.files import picture_file, pictures
from pipeline.files.artifacts import Array
from pipeline.files.picture_file import Box
from pipeline.files.pictures import Picture, Pictures, Source
from pipeline.files.splits import position_in_stratum
from pipeline.process import imports
from pipeline.process.errors import UserError
from pipeline.process.progress import followed
from pipeline.process.words import counted
from serving import photo

SHOWN = 3  # names in a sentence
DEEP, USED = 16, 12  # grey levels of 16 bits that use no more than 12 look black


class Options(section.Options):
    """What becomes of every photo."""

    height: PositiveInt = 28
    width: PositiveInt = 28
    channels: Literal[1, 3] = 1


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file below dataset.path that may be a picture, its class and its part of the data."""

    file: str
    label: str
    part: str = "train"
    box: Box | None = None
    columns: dict[str, str] = field(default_factory=dict)


class Listed(NamedTuple):
    """The files of a dataset, the names of its classes, and what is left out, with reasons.

    `target` is that of `Raw`; several labels of a candidate are one text, by `_labels.joined`.
    """

    candidates: Sequence[Candidate]
    class_names: Sequence[str]
    left_out: dict[str, str]
    target: str = "classes"


def shape(params: Dataset) -> tuple[int, int, int]:
    """Of the input that a photo becomes. Raises UserError for a wrong option."""
    options = params.options(Options)
    return options.height, options.width, options.channels


def dataset(params: Dataset, listed: Listed) -> Raw:
    """Reads the pictures. Those that cannot be read are left out, and named in the terminal.

    Rows are interleaved: any first ones hold the classes in proportion, each in the given order.
    Raises UserError.
    """
    candidates, class_names, left_out, target = listed
    root, input_shape = Path(params.path), shape(params)
    unreadable: dict[str, str] = {}
    dark: list[str] = []
    readable: dict[str, list[tuple[Picture, str]]] = defaultdict(list)
    for candidate, result in inspected(pictures.source(root), candidates):
        if isinstance(result, str):
            unreadable[candidate.file] = result
            continue
        picture, bits = result
        readable[candidate.part].append((picture, candidate.label))
        if 8 < bits <= USED:
            dark.append(candidate.file)

    def labels_of(rows: Sequence[tuple[Picture, str]]) -> Array:
        return _labels.array(target, [label for _, label in rows], class_names)

    train = [*readable["train"], *readable["validation"]]
    labels = labels_of(train)
    noun = "label" if target == "labels" else "class"
    _check_classes(f"{params.path}: {noun}", _labels.counts(target, labels, class_names))
    order = np.argsort(position_in_stratum(_labels.strata(target, labels)), kind="stable")
    train, labels = [train[row] for row in order], labels[order]
    validation = np.flatnonzero(order >= len(readable["train"]))

    def on_disk(rows: Sequence[tuple[Picture, str]]) -> Array:
        return Pictures(root, [row for row, _ in rows], input_shape, params.framing).as_array()

    say_what_is_left_out(len(candidates), unreadable, left_out)
    _say_what_is_odd(train, dark)
    return Raw(
        on_disk(train),
        labels,
        on_disk(readable["test"]),
        labels_of(readable["test"]),
        list(class_names),
        sorted(unreadable),
        target=target,
        validation=validation if len(validation) else None,
        left_out={**left_out, **unreadable},
    )


def inspected(
    source: Source, candidates: Sequence[Candidate]
) -> Iterator[tuple[Candidate, tuple[Picture, int] | str]]:
    """Each candidate with its picture and the bits of its grey levels, or why it is left out."""

    by_label: dict[str, dict[str, str]] = {}

    def inspect(candidate: Candidate) -> tuple[Picture, int] | str:
        try:
            picture, bits = opened(candidate, source.read(candidate.file))
        except Exception as error:  # on damaged files Pillow raises anything
            return picture_file.reason(error)
        if not candidate.columns:  # one for all of a class, as there may be a million pictures
            picture = replace(
                picture, columns=by_label.setdefault(candidate.label, picture.columns)
            )
        return picture, bits

    results = pictures.in_threads(inspect, candidates)
    with imports.quiet():  # libtiff says on stderr what our reason says already
        yield from zip(
            candidates, followed(results, len(candidates), "reading pictures"), strict=True
        )


def opened(candidate: Candidate, data: bytes) -> tuple[Picture, int]:
    """The picture in the file `data`, and the bits of its grey levels, as `inspect` gives them."""
    hash_, bits = picture_file.inspect(data, candidate.box)
    sha256 = hashlib.sha256(data).hexdigest()
    columns = {"label": " + ".join(_labels.separate(candidate.label)), **candidate.columns}
    return Picture(candidate.file, sha256, hash_, candidate.box, columns), bits


def _check_classes(where: str, counts: dict[str, int]) -> None:
    """Raises UserError, which begins with `where`, if one has no picture."""
    for name, count in counts.items():
        if not count:
            raise UserError(
                f"{where} {name} holds no readable picture for training; expected files "
                f"that end in {', '.join(photo.SUFFIXES)}"
            )


def say_what_is_left_out(
    count: int, unreadable: dict[str, str], left_out: dict[str, str], noun: str = "picture"
) -> None:
    if unreadable:
        reason = next(iter(unreadable.values()))
        print(
            f"warning: {len(unreadable):,} of {counted(count, noun)} could not be read: "
            f"{shown(list(unreadable))}; the first {reason}"
        )
    by_reason: dict[str, list[str]] = defaultdict(list)
    for name, reason in left_out.items():
        by_reason[reason].append(name)
    for reason, names in by_reason.items():
        which = "it" if len(names) == 1 else "each"
        print(f"left out {len(names):,} ({shown(names)}): {which} {reason}")
    if unreadable or left_out:
        print("data/raw/left_out.csv lists them all, with the reasons")


def _say_what_is_odd(train: Sequence[tuple[Picture, str]], dark: Sequence[str]) -> None:
    if dark:
        print(
            f"warning: nearly black, as {USED} bits or fewer of {DEEP} are used, "
            f"{counted(len(dark), 'picture')}: {shown(dark)}; "
            f"multiply the grey levels by {2 ** (DEEP - USED)}"
        )
    labels: dict[tuple[str, Box | None], set[str]] = defaultdict(set)
    for picture, label in train:
        labels[picture.sha256, picture.box].add(label)
    torn = [row.file for row, _ in train if len(labels[row.sha256, row.box]) > 1]
    if torn:
        print(
            f"warning: {counted(len(torn), 'file')} with an exact copy that has another label: "
            f"{shown(torn)}; one of the two must be wrong"
        )


def shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
