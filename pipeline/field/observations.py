"""What a model met in the field: from the log that a device kept, or from a folder of pictures."""

from __future__ import annotations

import csv
import sqlite3
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError
from serving import Classifier, InputError, ModelCard, ServingError, input_statistics, photo
from serving.model_file import ModelFile
from serving.prediction_log import APPLICATION_ID, VERSION

UNKNOWN = -1  # the label of a prediction that has none
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"}
COLUMNS = "id, source, time, predicted, confidence, statistics, label"


@dataclass(frozen=True)
class Observations:
    """N predictions of one file on one runtime; `labels` (N,) are UNKNOWN where nobody has told."""

    card: ModelCard
    file: ModelFile
    runtime: str
    names: list[str]
    predicted: Array
    confidence: Array
    labels: Array
    statistics: Array  # (N, S), as serving.input_statistics.names orders them
    picture: Callable[[int], Array | None]  # the input of a prediction, where it was kept
    unreadable: list[str]


def read(
    source: Path, labels: Path | None, bundle: Path, replace: bool = False
) -> list[Observations]:
    """One for each model that the log tells of, or that of the folder; `replace` prefers the CSV's labels to the log's.

    Raises UserError.
    """
    told = read_labels(labels) if labels else {}
    try:
        found = (
            [from_folder(source, told, bundle)]
            if source.is_dir()
            else from_log(source, told, replace)
        )
    except ServingError as error:
        raise UserError(str(error)) from None
    if not found:
        raise UserError(f"{source} holds no prediction yet")
    return found


def read_labels(path: Path) -> dict[str, str]:
    """True classes by id or file, from a CSV with the columns `id,label` or `file,label`."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            key = next((name for name in ("id", "file") if name in (rows.fieldnames or ())), None)
            if key is None or "label" not in (rows.fieldnames or ()):
                raise UserError(
                    f"{path} has the columns {rows.fieldnames}; allowed are id,label or file,label"
                )
            return _labels(path, [(row[key], row["label"]) for row in rows])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{path} is no readable CSV ({error}); allowed are the columns id,label or file,label"
        ) from None


def _labels(path: Path, rows: list[tuple[str, str]]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for line, (name, label) in enumerate(rows, 2):
        if name is None or label is None:
            raise UserError(
                f"{path} has fewer cells than columns in row {line}; expected id,label or file,label"
            )
        if labels.setdefault(name, label) != label:
            raise UserError(
                f"{path} has the labels {labels[name]!r} and {label!r} for {name!r}; keep one of them"
            )
    return labels


def number_of(label: str, card: ModelCard, where: object) -> int:
    if label not in card.class_names:
        raise UserError(
            f"{where} has the label {label!r}, which {card.name} does not know; allowed are {', '.join(card.class_names[:20])}"
        )
    return card.class_names.index(label)


def from_log(path: Path, told: dict[str, str], replace: bool = False) -> list[Observations]:
    """The models of a log. `told` brings further labels; of two for one prediction the log's is kept, unless `replace`."""
    with opened(path) as connection:
        (state,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if state != "ok":
            raise sqlite3.DatabaseError(state)
        models = connection.execute(
            "SELECT number, file_sha256, runtime, card FROM models ORDER BY number"
        ).fetchall()
        query = f"SELECT {COLUMNS} FROM predictions WHERE model = ? ORDER BY number"
        rows = {number: connection.execute(query, (number,)).fetchall() for number, *_ in models}
    missing = set(told).difference(*(row[:2] for found in rows.values() for row in found))
    if missing:
        sentence = f"{path} holds no prediction {min(missing)!r}, which is one of {len(missing)} unknown ones of {len(told)} labels"
        if len(missing) == len(told):
            raise UserError(sentence)
        print(f"warning: {sentence}; the oldest fall out of a log", file=sys.stderr)
    found = []
    for number, sha256, runtime, card in models:
        if rows[number]:
            parsed = ModelCard.parse(card.encode())
            file = next((file for file in parsed.files if file.sha256 == sha256), None)
            if file is None:
                raise UserError(
                    f"{path} is damaged: the card of {parsed.name} does not know the file that answered"
                )
            labelled = _labelled(path, parsed, rows[number], told, replace)
            found.append(_of_rows(path, (parsed, file, runtime), rows[number], labelled))
    return found


def _labelled(
    path: Path, card: ModelCard, rows: list[Any], told: dict[str, str], replace: bool
) -> list[int]:
    """The true class of each row, UNKNOWN where nobody has told."""
    known, kept = [], 0
    for id_, source, *_, logged in rows:
        label = told.get(id_, told.get(source))
        number = UNKNOWN if label is None else number_of(label, card, path)
        if logged is None or (replace and label is not None):
            known.append(number)
        else:
            kept += number not in (UNKNOWN, logged)
            known.append(logged)
    if kept:
        sentence = f"{kept} predictions of {path} have another label already, which was kept; --replace takes the CSV's"
        print(f"warning: {sentence}", file=sys.stderr)
    return known


def _of_rows(
    path: Path, model: tuple[ModelCard, ModelFile, str], rows: list[Any], known: list[int]
) -> Observations:
    card, file, runtime = model
    ids, sources, _, predicted, confidence, statistics, _ = zip(*rows, strict=True)
    kinds, classes = (
        len(input_statistics.names(card.input_shape, card.input.type)),
        len(card.class_names),
    )
    if {len(blob) for blob in statistics} != {4 * kinds} or not 0 <= min(predicted) <= max(
        [*predicted, *known]
    ) < classes:
        raise UserError(f"{path} is damaged: what it tells of {card.name} does not fit its card")
    return Observations(
        card,
        file,
        runtime,
        [source or id_ for id_, source in zip(ids, sources, strict=True)],
        np.array(predicted),
        np.array(confidence),
        np.array(known),
        np.frombuffer(b"".join(statistics), "<f4").reshape(-1, kinds),
        lambda row: _logged_picture(path, card, ids[row]),
        [],
    )


def _logged_picture(path: Path, card: ModelCard, id_: str) -> Array | None:
    with opened(path) as connection:
        (data,) = connection.execute(
            "SELECT image FROM predictions WHERE id = ?", (id_,)
        ).fetchone()
    if data is None:
        return None
    size = int(np.prod(card.input_shape)) * np.dtype(card.input.type).itemsize
    return np.frombuffer(zlib.decompressobj().decompress(data, size), card.input.type).reshape(
        card.input_shape
    )


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The log, read-only and whole. Raises UserError for what is none."""
    if not path.is_file():
        raise UserError(
            f"{path} is neither a log nor a folder; name what `--log` wrote, or a folder with one folder for each class"
        )
    with_journal = path.with_name(f"{path.name}-wal").exists()
    try:
        with closing(
            sqlite3.connect(
                f"{path.absolute().as_uri()}?{'mode=ro' if with_journal else 'immutable=1'}",
                uri=True,
            )
        ) as connection:
            identity = [
                connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("application_id", "user_version")
            ]
            if identity != [APPLICATION_ID, VERSION]:
                raise UserError(
                    f"{path} is a SQLite file, but no log of predictions of version {VERSION}; name one that `--log` wrote"
                )
            yield connection
    except (sqlite3.Error, UnicodeDecodeError, zlib.error) as error:
        raise UserError(
            f"{path} is damaged or no log ({' '.join(str(error).split())}); copy it again, at best while no server writes"
        ) from None


def from_folder(folder: Path, told: dict[str, str], bundle: Path) -> Observations:
    """Pictures, each in the folder of its class or named by `told`, as the bundle's best file for this machine sees them."""
    classifier = Classifier.load(bundle)
    card = classifier.card
    files = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES]
    labels = {path: label_of(path, folder, told, card) for path in files}
    unreadable, kept, images = [], [], []
    for path in track(files, f"reading {folder}", transient=True):
        try:
            images.append(photo.read(path, card))
        except InputError as error:
            unreadable.append(str(error))
        else:
            kept.append(path)
    if not kept:
        raise UserError(
            f"{folder} holds no readable picture; allowed are {', '.join(sorted(SUFFIXES))}"
        )
    inputs = np.stack(images)
    probabilities = classifier.predict(inputs)
    return Observations(
        card,
        classifier.file,
        classifier.runtime,
        [str(path.relative_to(folder)) for path in kept],
        probabilities.argmax(1),
        probabilities.max(1),
        np.array([labels[path] for path in kept]),
        input_statistics.compute(inputs),
        lambda row: inputs[row],
        unreadable,
    )


def label_of(path: Path, folder: Path, told: dict[str, str], card: ModelCard) -> int:
    """By the CSV, where there is one, or else by the folder in which the picture lies; UNKNOWN directly in `folder`."""
    parts: Sequence[str] = path.relative_to(folder).parts
    if told:
        label = told.get(str(path.relative_to(folder)), told.get(str(path)))
        return UNKNOWN if label is None else number_of(label, card, "the CSV")
    return number_of(parts[0], card, folder) if len(parts) > 1 else UNKNOWN
