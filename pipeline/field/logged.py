"""A log of predictions: the observations of each model in it."""

from __future__ import annotations

import sqlite3
import sys
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.field.observations import Observations, as_array
from pipeline.field.true_answers import true_answer
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError
from pipeline.process.words import counted, verb
from serving import ModelCard
from serving import inputs as kinds
from serving.log_file import APPLICATION_ID, VERSIONS
from serving.logged_answers import Stored
from serving.model_file import ModelFile

COLUMNS = "id, source, time, predicted, confidence, statistics, label"


def from_log(path: Path, csv_labels: dict[str, str], replace: bool) -> list[Observations]:
    """The observations of each model in a log.

    If `csv_labels` and the log both have a label for a prediction, the log's counts, unless
    `replace` is set.
    """
    with open_log(path) as connection:
        (state,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if state != "ok":
            raise sqlite3.DatabaseError(state)
        models = connection.execute(
            "SELECT number, file_sha256, runtime, card FROM models ORDER BY number"
        ).fetchall()
        query = f"SELECT {COLUMNS} FROM predictions WHERE model = ? ORDER BY number"
        rows = {number: connection.execute(query, (number,)).fetchall() for number, *_ in models}
    _check_all_found(path, csv_labels, rows)
    observations = []
    for number, sha256, runtime, card_json in models:
        if rows[number]:
            card = ModelCard.parse(card_json.encode())
            file = next((file for file in card.files if file.sha256 == sha256), None)
            if file is None:
                raise UserError(
                    f"{path} is damaged: the card of {card.name} does not list the file "
                    "that made the predictions"
                )
            if runtime not in [proof.runtime for proof in file.proofs]:
                raise UserError(
                    f"{path} is damaged: the card of {card.name} has no proof on the runtime "
                    f"{str(runtime)[:40]!r} that made the predictions"
                )
            labels = _merge_labels(path, card, rows[number], csv_labels, replace)
            observations.append(_from_rows(path, (card, file, runtime), rows[number], labels))
    return observations


def _check_all_found(path: Path, csv_labels: dict[str, str], rows: dict[int, list[Any]]) -> None:
    """Warns of labels for predictions that the log lacks; raises UserError if it lacks them all."""
    missing = set(csv_labels).difference(*(row[:2] for group in rows.values() for row in group))
    if not missing:
        return
    sentence = (
        f"{path} lacks {len(missing)} of the {len(csv_labels)} labelled predictions, "
        f"such as {min(missing)!r}"
    )
    if len(missing) == len(csv_labels):
        raise UserError(sentence)
    print(f"warning: {sentence}; a log drops its oldest predictions", file=sys.stderr)


def _merge_labels(
    path: Path, card: ModelCard, rows: list[Any], csv_labels: dict[str, str], replace: bool
) -> list[Stored | None]:
    """The true answer of each row, None for unlabelled ones."""
    labels: list[Stored | None] = []
    conflicts = 0
    for id_, source, *_, logged in rows:
        cell = csv_labels.get(id_, csv_labels.get(source))
        label = None if cell is None else true_answer(cell, card, path)
        if logged is None or (replace and cell is not None):
            labels.append(label)
        else:
            conflicts += label not in (None, logged)
            labels.append(logged)
    if conflicts:
        print(
            f"warning: {counted(conflicts, 'prediction')} in {path} already "
            f"{verb(conflicts, 'has', 'have')} a different label, "
            "which was kept; --replace uses the CSV's instead",
            file=sys.stderr,
        )
    return labels


def _from_rows(
    path: Path,
    model: tuple[ModelCard, ModelFile, str],
    rows: list[Any],
    labels: list[Stored | None],
) -> Observations:
    card, file, runtime = model
    ids, sources, times, predicted, confidence, statistics, _ = zip(*rows, strict=True)
    columns = len(kinds.statistic_names(card.input_shape, card.input.type))
    try:
        answers, true = as_array(predicted, card), as_array(labels, card)
        numbers = np.frombuffer(b"".join(statistics), "<f4").reshape(len(rows), columns)
    except (ValueError, TypeError):
        raise UserError(
            f"{path} is damaged: its predictions do not fit the card of {card.name}"
        ) from None
    return Observations(
        card,
        file,
        runtime,
        [source or id_ for id_, source in zip(ids, sources, strict=True)],
        answers,
        np.array(confidence),
        true,
        numbers,
        lambda row: _logged_picture(path, card, ids[row]),
        [],
        np.array(times),
    )


def _logged_picture(path: Path, card: ModelCard, id_: str) -> Array | None:
    with open_log(path) as connection:
        (data,) = connection.execute(
            "SELECT image FROM predictions WHERE id = ?", (id_,)
        ).fetchone()
    if data is None:
        return None
    size = int(np.prod(card.input_shape)) * np.dtype(card.input.type).itemsize
    pixels = zlib.decompressobj().decompress(data, size)
    return np.frombuffer(pixels, card.input.type).reshape(card.input_shape)


@contextmanager
def open_log(path: Path) -> Iterator[sqlite3.Connection]:
    """The log, read-only. Raises UserError if the file is damaged or not a log."""
    if not path.is_file():
        raise UserError(
            f"{path} is neither a log nor a folder; expected a file that `--log` wrote, "
            "or a folder with one subfolder per class"
        )
    with_journal = path.with_name(f"{path.name}-wal").exists()
    # Immutable reads need no write access to the folder, but would ignore a journal.
    mode = "mode=ro" if with_journal else "immutable=1"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)) as connection:
            identity = [
                connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("application_id", "user_version")
            ]
            if identity[0] != APPLICATION_ID or identity[1] not in VERSIONS:
                raise UserError(
                    f"{path} is a SQLite file, but not a prediction log of version "
                    f"{' or '.join(map(str, VERSIONS))}; "
                    "expected a file that `--log` wrote"
                )
            yield connection
    except (sqlite3.Error, UnicodeDecodeError, zlib.error) as error:
        raise UserError(
            f"{path} is damaged or not a log ({' '.join(str(error).split())}); "
            "copy it again, preferably while no server is writing to it"
        ) from None
