"""What the data of a user are: a folder or zip file of pictures, with or without a list, or an npz.

All files are counted, but at most SAMPLE pictures are opened, of every class in turn. For a folder
of sounds see `sounds.py`, for recordings of sensors `sensors.py`.
"""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from statistics import median
from typing import NamedTuple

import numpy as np
from PIL import Image

from pipeline.config.params import Dataset, Params
from pipeline.config.parts import is_number, one_class_each
from pipeline.datasets import audio_folder, image_folder, image_list
from pipeline.datasets.reading import (
    file_tree,
    label_meaning,
    photo_list,
    recording_files,
    sound_list,
)
from pipeline.datasets.reading.file_tree import Tree
from pipeline.datasets.reading.photo_list import Candidate, Listed
from pipeline.files import pictures, s3
from pipeline.files.pictures import picture_file
from pipeline.files.pictures.picture_table import Picture, Table
from pipeline.planning import (
    arrays,
    copies,
    lists,
    media_files,
    named_folders,
    sensors,
    sounds,
    speakers,
    unlike_classes,
    unreadable,
)
from pipeline.planning.data import NOTHING, Given, NumberRange, Survey
from pipeline.planning.parts import folds
from pipeline.process import imports
from pipeline.process.errors import UserError
from pipeline.process.progress import followed
from pipeline.process.words import counted

SAMPLE = 2000  # pictures that are opened
GREY = 8  # levels that the channels of a grey picture may differ, after JPEG
TINY = 16  # pixels of each side at which colours are compared


def of_params(settings: Params) -> Survey:
    """The data of params.yaml. Raises UserError."""
    dataset = settings.dataset
    given = Given(other=dataset.other, unit=settings.problem.unit, group=settings.preprocess.group)
    if dataset.name in ("image_list", "audio_folder", "series_folder"):
        listed = dataset.options(image_list.Options)
        given = replace(given, number=listed.number, labels=listed.labels)
    data = survey(Path(dataset.path), given, dataset)
    return data if settings.preprocess.group is None else replace(data, ungrouped=[])


def survey(path: Path, given: Given = NOTHING, dataset: Dataset | None = None) -> Survey:
    """Looks at data as `dataset` says, or finds out. Raises UserError for what is not data."""
    if not path.exists() and not s3.is_address(path):
        raise UserError(
            f"{path} does not exist; name a folder or zip file of pictures or sounds, or an npz"
        )
    if dataset and dataset.name == "series_folder":
        return sensors.survey(path, given, dataset)
    is_csv = path.is_file() and path.suffix.lower() in (".csv", ".tsv")
    if is_csv and lists.is_of_sensors(path, given.number):
        return sensors.survey(path, given)
    if path.is_file() and path.suffix.lower() == ".npz":
        look = sensors.survey if _is_of_sensors(path) else arrays.survey
        return look(path, given)
    if path.is_file() and not is_csv and not zipfile.is_zipfile(path):
        raise UserError(
            f"{path} is neither a folder, a zip file, a CSV nor an npz{unreadable.cure_of(path)}"
        )
    path, named = lists.folder_of(path) if is_csv else (path, None)
    tree = file_tree.read(path)
    media = _beside_recordings(tree)
    if media and not (dataset or named or given.number):
        data = sensors.survey(path, given)
        left_out = counted(len(media), "picture or sound", "pictures or sounds")
        note = f"left out {left_out}, such as {media[0]}: there are more recordings of sensors"
        return replace(data, remarks=[*data.remarks, note])
    survey_files = _pictures if _are_pictures(tree, dataset) else _recorded
    return survey_files(path, tree, given, dataset, named)


def _are_pictures(tree: Tree, dataset: Dataset | None) -> bool:
    """Whether the pictures of a tree are the data, and not a few beside more sounds."""
    if dataset:
        return len(tree.files) > 0 and dataset.name != "audio_folder"
    return len(tree.files) > sum(
        name.lower().endswith(sound_list.SUFFIXES) for name in tree.left_out
    )


def _beside_recordings(tree: Tree) -> list[str]:
    """The pictures and sounds, if recordings of sensors are more, else none.

    A table that is called like a picture or a sound describes it.
    """
    unread = [name for name, reason in tree.left_out.items() if reason == tree.lacks_suffix]
    sounds_there = [name for name in unread if name.lower().endswith(sound_list.SUFFIXES)]
    media = [*tree.files, *sounds_there]
    described = {PurePosixPath(name).stem for name in media}
    recordings = [
        name
        for name in unread
        if name.lower().endswith(recording_files.SUFFIXES)
        and PurePosixPath(name).stem not in described
    ]
    return media if len(recordings) > len(media) else []


def _recorded(
    path: Path, tree: Tree, given: Given, dataset: Dataset | None, named: str | None
) -> Survey:
    """Sounds or recordings of sensors, beside which there are no pictures. Raises UserError."""
    if named:
        lists.check_pictures(path / named)
    recorded = file_tree.read(path, suffixes=sound_list.SUFFIXES, noun="sound")
    if recorded.files:
        labels = dataset.options(audio_folder.Options).labels if dataset else named
        labels = labels or lists.find(path, recorded)
        if given.number and labels is None:
            raise UserError(lists.lacks_number(path, given.number))
        return sounds.survey(path, recorded, labels, given)
    if recording_files.tree(path).files:
        return sensors.survey(path, replace(given, labels=named) if named else given)
    raise UserError(unreadable.why(path, tree))


def _pictures(
    path: Path, tree: Tree, given: Given, dataset: Dataset | None, named: str | None
) -> Survey:
    if dataset is None:
        labels = named or lists.find(path, tree)
    else:
        is_list = dataset.name == "image_list"
        labels = dataset.options(image_list.Options).labels if is_list else None
    values: dict[str, object] = {
        "name": "image_folder",
        "path": s3.shown(path),
        "other": given.other,
    }
    if labels is None:
        if given.number:
            raise UserError(lists.lacks_number(path, given.number))
        listed = image_folder.listed(Dataset.model_validate(values))
        return _photographs(path, values, listed, given)
    values |= {"name": "image_list", "labels": labels}
    if given.number:
        values["number"] = given.number
    listed = image_list.listed(Dataset.model_validate(values))
    return _photographs(path, values, listed, given)


def _is_of_sensors(path: Path) -> bool:
    """Whether an npz holds recordings, and not examples."""
    try:
        with zipfile.ZipFile(path) as archive:
            return "signal.npy" in archive.namelist()
    except zipfile.BadZipFile:
        return False  # whoever reads it says so


class _Look(NamedTuple):
    """What one picture is: its size is width and height."""

    picture: Picture
    size: tuple[int, int]
    has_colour: bool
    label: str


def _photographs(path: Path, values: dict[str, object], listed: Listed, given: Given) -> Survey:
    candidates, class_names, left_out, target = listed
    looks, faults = _looks(path, listed)
    readable = [candidate for candidate in candidates if candidate.file not in faults]
    train = [candidate for candidate in readable if candidate.part != "test"]
    texts = [candidate.label for candidate in train]
    labels = label_meaning.array(target, texts, class_names)
    counts = label_meaning.counts(target, labels, class_names)
    if one_class_each(target):
        media_files.check_classes(path, counts, "picture", faults)
    if not is_number(target):
        media_files.check_own_parts(listed)
    examples = Counter(candidate.part for candidate in readable)
    columns = {name: [row.columns[name] for row in train] for name in candidates[0].columns}
    names_of_files = [row.file for row in train]
    group, names, too_few = media_files.held_apart(names_of_files, columns, examples, given.group)
    one_each = one_class_each(target)
    classes = texts if one_each else [""] * len(texts)
    files = [(row.file, row.label) for row in train]
    ungrouped = speakers.possible(files if one_each and group is None else [])
    all_opened = len(looks) + len(faults) == len(candidates)
    table = Table.of((look.picture for look in looks), len(looks))
    sides = [(look.label, min(look.size)) for look in looks if look.picture.box is None]
    return Survey(
        values=values,
        class_names=list(class_names),
        examples=examples,
        counts=counts,
        target=target,
        number=NumberRange.of(labels, given.unit) if is_number(target) else None,
        side=round(median(min(look.size) for look in looks)),
        colour=sum(look.has_colour for look in looks) * 20 > len(looks),  # one in twenty: a stray
        opened=len(looks),
        group=group,
        groups=len(set(names)),
        groups_of_class=media_files.groups_of_class(zip(names, classes, strict=False)),
        folds=folds(names, classes, examples["test"] > 0),
        remarks=[
            *media_files.left_out(left_out, faults, "picture"),
            *(copies.remarks(table, readable, not is_number(target)) if all_opened else []),
            *_shapes(looks),
            *([] if ungrouped else named_folders.remarks(files)),
            *unlike_classes.of_pictures(sides if one_each else []),
            *too_few,
        ],
        ungrouped=ungrouped,
    )


def _looks(path: Path, listed: Listed) -> tuple[list[_Look], dict[str, str]]:
    """SAMPLE pictures, and of each class more until one can be read; and why others cannot."""
    source, order = pictures.source(path), media_files.of_every_class_in_turn(listed.candidates)

    def look(candidate: Candidate) -> _Look | str:
        try:
            data = source.read(candidate.file)
            picture = photo_list.opened(candidate, data)[0]
            return _Look(picture, *_size_and_colour(data), candidate.label)
        except Exception as error:  # on damaged files Pillow raises anything
            return picture_file.reason(error)

    with imports.quiet():
        results = pictures.in_threads(look, order[:SAMPLE])
        results = followed(results, min(len(order), SAMPLE), "looking at pictures")
        pairs = list(zip(order, results, strict=False))
        readable = {candidate.label for candidate, result in pairs if isinstance(result, _Look)}
        for candidate in order[SAMPLE:] if one_class_each(listed.target) else ():
            if candidate.label not in readable:
                result = look(candidate)
                pairs.append((candidate, result))
                if isinstance(result, _Look):
                    readable.add(candidate.label)
    faults = {candidate.file: result for candidate, result in pairs if isinstance(result, str)}
    return [result for _, result in pairs if isinstance(result, _Look)], faults


def _size_and_colour(data: bytes) -> tuple[tuple[int, int], bool]:
    """The width and height of a picture, and whether it has colours."""
    with Image.open(io.BytesIO(data)) as opened:
        size = opened.size
        opened.draft("RGB", (TINY, TINY))
        pixels = np.asarray(opened.convert("RGB").resize((TINY, TINY)), np.int16)
    return size, int(np.ptp(pixels, axis=2).max()) > GREY


def _shapes(looks: Sequence[_Look]) -> list[str]:
    """Shapes that resizing would distort."""
    shapes = np.array([width / height for width, height in (look.size for look in looks)])
    low, high = np.quantile(shapes, (0.05, 0.95))
    if high > 2 * low:
        return [
            f"the shapes differ: width to height is {low:.2f} to {high:.2f}, and resizing ignores "
            "it; if that matters, set dataset.framing to letterbox or centre_crop"
        ]
    return []
