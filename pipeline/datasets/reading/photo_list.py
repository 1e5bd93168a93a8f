"""From a list of picture files to a dataset: each is read once to see that it can be decoded."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, overload

import numpy as np
from pydantic import PositiveInt

from pipeline.config import section
from pipeline.config.params import Dataset
from pipeline.config.parts import one_class_each
from pipeline.datasets import Raw
from pipeline.datasets.reading import label_meaning
from pipeline.files import groups, pictures
from pipeline.files.artifacts import Array
from pipeline.files.pictures import Pictures, Source, picture_file
from pipeline.files.pictures.picture_file import Box
from pipeline.files.pictures.picture_table import TEXT, Picture, Table
from pipeline.files.splits import stratified
from pipeline.process import imports
from pipeline.process.errors import UserError
from pipeline.process.progress import followed
from pipeline.process.words import counted, verb
from serving import framing

SHOWN = 3  # names in a sentence
LOOKED_AT = 1000  # pictures that may be of one colour
DEEP, USED = 16, 12  # grey levels of 16 bits that use no more than 12 look black


class Options(section.Options):
    """What becomes of every photo."""

    height: PositiveInt = 28
    width: PositiveInt = 28
    channels: Literal[1, 3] = 1


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file below dataset.path that may be a picture, its class and its part of the data.

    Of a picture the `box` in pixels is used, and of a sound what is between two `seconds`.
    """

    file: str
    label: str
    part: str = "train"
    box: Box | None = None
    columns: dict[str, str] = field(default_factory=dict)
    seconds: tuple[float, float] | None = None

    @property
    def excerpt(self) -> tuple[object, ...]:
        """What is used of the file: rows of a list with an equal one are of one example."""
        return self.file, self.box, self.seconds


class Candidates(Sequence[Candidate]):
    """Made of their files when they are asked for, as there may be a million."""

    def __init__(self, files: Sequence[str], make: Callable[[str], Candidate]) -> None:
        self._files, self._make = files, make

    def __len__(self) -> int:
        return len(self._files)

    @overload
    def __getitem__(self, key: int) -> Candidate: ...
    @overload
    def __getitem__(self, key: slice) -> list[Candidate]: ...
    def __getitem__(self, key: int | slice) -> Candidate | list[Candidate]:
        if isinstance(key, slice):
            return list(map(self._make, self._files[key]))
        return self._make(self._files[key])


class Listed(NamedTuple):
    """The files of a dataset, the names of its classes, and what is left out, with reasons.

    `target` is that of `Raw`; several labels of a candidate are one text, by
    `label_meaning.joined`.
    """

    candidates: Sequence[Candidate]
    class_names: Sequence[str]
    left_out: dict[str, str]
    target: str = "classes"


def each_once(path: str, rows: Sequence[Candidate]) -> list[Candidate]:
    """Those of the list `path`; of rows that give an example the same label again, the first."""
    first: dict[tuple[object, ...], Candidate] = {}
    for row in rows:
        first.setdefault((row.excerpt, row.part, row.label), row)
    if repeated := len(rows) - len(first):
        name = verb(repeated, "names", "name")
        print(
            f"note: {counted(repeated, 'row')} of {path} {name} an example and its label again; "
            "each example counts once"
        )
    return list(first.values())


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
    root, reading = Path(params.path), Reading()
    table = Table.of(reading.pictures(pictures.source(root), candidates), len(candidates))
    images = Pictures(root, table, shape(params), params.framing)
    labels = label_meaning.array(target, reading.labels, class_names)
    parts = np.array(reading.parts, TEXT)
    test, named = (np.flatnonzero(parts == part) for part in ("test", "validation"))
    train = np.append(np.delete(np.arange(len(table)), np.append(test, named)), named)
    noun = "class" if one_class_each(target) else "label"
    counts = label_meaning.counts(target, labels[train], class_names)
    say_what_is_left_out(len(candidates), reading.unreadable, left_out)
    check_classes(f"{params.path}: {noun}", counts, "picture", framing.SUFFIXES)
    order = stratified(label_meaning.strata(target, labels[train]))
    validation = np.flatnonzero(order >= len(train) - len(named))
    train = train[order]
    _say_what_is_odd(table, train, labels, reading.dark)
    _say_what_is_blank(images)
    return Raw(
        images.subset(train).as_array(),
        labels[train],
        images.subset(test).as_array(),
        labels[test],
        list(class_names),
        sorted(reading.unreadable),
        target=target,
        validation=validation if len(validation) else None,
        left_out={**left_out, **reading.unreadable},
    )


@dataclass
class Reading:
    """What becomes of the files: the part and label of each picture, and why others have none.

    `dark` pictures have grey levels of 16 bits and use few of these.
    """

    parts: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    dark: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)

    def pictures(self, source: Source, candidates: Sequence[Candidate]) -> Iterator[Picture]:
        """Those that can be read."""
        for candidate, result in inspected(source, candidates):
            if isinstance(result, str):
                self.unreadable[candidate.file] = result
                continue
            picture, bits = result
            self.parts.append(candidate.part)
            self.labels.append(candidate.label)
            if 8 < bits <= USED:
                self.dark.append(candidate.file)
            yield picture


def inspected(
    source: Source, candidates: Sequence[Candidate]
) -> Iterator[tuple[Candidate, tuple[Picture, int] | str]]:
    """Each candidate with its picture and the bits of its grey levels, or why it is left out."""

    def inspect(candidate: Candidate) -> tuple[Picture, int] | str:
        try:
            return opened(candidate, source.read(candidate.file))
        except UserError:  # the bucket cannot be reached
            raise
        except Exception as error:  # on damaged files Pillow raises anything
            return picture_file.reason(error)

    results = pictures.in_threads(inspect, candidates, source.readers)
    with imports.quiet():  # libtiff says on stderr what our reason says already
        yield from zip(
            candidates, followed(results, len(candidates), "reading pictures"), strict=True
        )


def opened(candidate: Candidate, data: bytes) -> tuple[Picture, int]:
    """The picture in the file `data`, and the bits of its grey levels, as `inspect` gives them."""
    hash_, bits = picture_file.inspect(data, candidate.box)
    sha256 = hashlib.sha256(data).hexdigest()
    columns = {"label": " + ".join(label_meaning.separate(candidate.label)), **candidate.columns}
    return Picture(candidate.file, sha256, hash_, candidate.box, columns), bits


def check_classes(where: str, counts: dict[str, int], noun: str, suffixes: Sequence[str]) -> None:
    """Raises UserError, which begins with `where`, if one has no file, which is a `noun`."""
    for name, count in counts.items():
        if not count:
            raise UserError(
                f"{where} {name} holds no readable {noun} for training; expected files "
                f"that end in {', '.join(suffixes)}"
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
    for line in left_out_by_reason(left_out):
        print(line)


def left_out_by_reason(left_out: Mapping[str, str]) -> list[str]:
    """A sentence for each reason, which names the first files."""
    by_reason: dict[str, list[str]] = defaultdict(list)
    for name, reason in left_out.items():
        by_reason[reason].append(name)
    return [
        f"left out {len(names):,} ({shown(names)}): {'it' if len(names) == 1 else 'each'} {reason}"
        for reason, names in by_reason.items()
    ]


def _say_what_is_odd(table: Table, train: Array, labels: Array, dark: Sequence[str]) -> None:
    """`train` are rows of the table, and labels (N, ...) those of all its rows."""
    if dark:
        print(
            f"warning: nearly black, as {USED} bits or fewer of {DEEP} are used, "
            f"{counted(len(dark), 'picture')}: {shown(dark)}; "
            f"multiply the grey levels by {2 ** (DEEP - USED)}"
        )
    digests = table.sha256.view(np.uint64)[:, 0][train]
    _, inverse, counts = np.unique(digests, return_inverse=True, return_counts=True)
    rows = train[counts[inverse] > 1]  # the exact copies, and by chance hardly any other
    facts = np.append(table.sha256[rows].view(np.int32), table.boxes[rows], axis=1)
    first = rows[groups.first_equal(facts)]
    differs = (labels[rows] != labels[first]).any(axis=tuple(range(1, labels.ndim)))
    torn = rows[np.isin(first, first[differs])]
    if len(torn):
        print(
            f"warning: {counted(len(torn), 'file')} with an exact copy that has another label: "
            f"{shown(table.files[torn].tolist())}; one of the two must be wrong"
        )


def _say_what_is_blank(images: Pictures) -> None:
    """Names pictures of one colour, as the model sees them; their hash has no difference."""
    possible = np.flatnonzero(~images.table.hashes.any(axis=1))[:LOOKED_AT]
    blank = [row for row in possible.tolist() if np.ptp(images[row]) == 0]
    if blank:
        print(
            f"warning: of one colour, as the model sees them, {counted(len(blank), 'picture')}: "
            f"{shown(images.table.files[blank].tolist())}; if they are white on a transparent "
            "ground, give them a dark one, as what is transparent becomes white"
        )


def shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
