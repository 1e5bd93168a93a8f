"""A prediction log in one SQLite file, to judge a model in the field: each prediction with its
confidence, statistics of its input and, later, the truth. Pixels are stored only on request.

from serving.prediction_log import PredictionLog

with PredictionLog("field.sqlite") as log:
    probabilities = classifier.predict(images)
    (first, *_) = log.add(classifier, images, probabilities)  # an id for each image
    log.label({first: "7"})  # today or next month; the first label is kept

At the limit the oldest predictions are deleted, so the file stops growing. Processes may share it.
"""

from __future__ import annotations

import itertools
import json
import secrets
import time
import zlib
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from serving import inputs, logged_answers
from serving.classifier import Classifier
from serving.log_file import OF_ANY_TARGET, LogFile
from serving.logged_answers import Label
from serving.model_card import ModelCard

LIMIT = 100_000  # predictions, about 15 MB without pixels
ID_BYTES = 16


class Entry(NamedTuple):
    """Images (N, H, W, C), or ids (N, L), predicted together, with probabilities (N, K)."""

    ids: Sequence[str]
    time: float
    classifier: Classifier
    images: Any
    probabilities: Any
    source: Optional[str] = None


class LoggedModel(NamedTuple):
    """What labels are checked against."""

    name: str
    version: str
    target: str
    class_names: List[str]


class Labelled(NamedTuple):
    """A prediction whose truth is known; `right` is that of `logged_answers.is_right`.

    `kept`: an earlier, different label stays. `changed`: the log now holds a new label.
    """

    model: str
    version: str
    right: Optional[bool]
    id: str
    kept: bool
    changed: bool


class PredictionLog:
    """One log file, for one thread at a time. A failure raises LogError and changes nothing."""

    def __init__(self, path: Union[str, Path], limit: int = LIMIT, images: bool = False) -> None:
        """Opens or creates the log at `path`, for the last `limit` predictions.

        `images` also stores their pixels.
        """
        self.path, self.limit, self.images = Path(path), limit, images
        self._file = LogFile(path)
        self._forget_models()

    def __enter__(self) -> PredictionLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Brings everything into the one file."""
        self._file.close()

    def checkpoint(self) -> None:
        """Brings everything into the one file, so that a copy of it is complete."""
        self._file.checkpoint()

    def _forget_models(self) -> None:
        self._models: Dict[Tuple[str, ...], Tuple[ModelCard, int]] = {}
        self._described: Dict[int, LoggedModel] = {}

    def _reopen_if_gone(self) -> None:
        if self._file.reopen_if_gone():
            self._forget_models()

    def new_ids(self, images: int) -> List[str]:
        """Unguessable ids, because an id allows to label; ID.0, ID.1, ... for several images."""
        id_ = secrets.token_hex(ID_BYTES)
        return [id_] if images == 1 else [f"{id_}.{index}" for index in range(images)]

    def add(
        self, classifier: Classifier, images: Any, probabilities: Any, source: Optional[str] = None
    ) -> List[str]:
        """Logs the predictions for images (N, H, W, C), or ids (N, L); returns an id for each."""
        ids = self.new_ids(len(images))
        self.write([Entry(ids, time.time(), classifier, images, probabilities, source)])
        return ids

    def write(self, entries: Sequence[Entry]) -> None:
        """Writes all entries or none."""
        rows: List[Tuple[Any, ...]] = []
        with self._file.errors("written"):
            self._reopen_if_gone()
            classifiers = {id(entry.classifier): entry.classifier for entry in entries}
            for classifier in classifiers.values():
                own = [entry for entry in entries if entry.classifier is classifier]
                rows += self._rows(classifier, own)
            with self._file.transaction():
                self._file.connection.executemany(
                    "INSERT INTO predictions (id, time, model, source, predicted, confidence, "
                    "statistics, image) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    rows,
                )
                self._file.connection.execute(
                    "DELETE FROM predictions "
                    "WHERE number <= (SELECT max(number) FROM predictions) - ?",
                    (self.limit,),
                )

    def _rows(self, classifier: Classifier, entries: List[Entry]) -> Iterator[Tuple[Any, ...]]:
        model = self._model(classifier)
        images = np.concatenate([entry.images for entry in entries])
        probabilities = np.concatenate([entry.probabilities for entry in entries])
        ids = [(id_, entry.time, model, entry.source) for entry in entries for id_ in entry.ids]
        answers = logged_answers.answers(classifier.card, classifier.file, probabilities)
        statistics = inputs.statistics(images).astype("<f4")
        pixels: Iterator[Optional[bytes]] = itertools.repeat(None)
        if self.images:
            pixels = (zlib.compress(image.tobytes(), 1) for image in images)
        for head, *values, numbers, image in zip(ids, *answers, statistics, pixels):
            yield (*head, *values, numbers.tobytes(), image)

    def label(
        self, labels: Mapping[str, Label], replace: bool = False
    ) -> Tuple[List[Labelled], List[str]]:
        """Stores true classes, lists of labels or numbers by id.

        Returns the labelled predictions and the unknown ids. The first label of a prediction stays
        unless `replace` is true. Raises InputError for one that is not the model's.
        """
        predictions: List[Labelled] = []
        unknown: List[str] = []
        with self._file.errors("written"):
            self._reopen_if_gone()
            with self._file.transaction():
                for id_, label in labels.items():
                    labelled = self._label(id_, label, replace)
                    if labelled:
                        predictions.append(labelled)
                    else:
                        unknown.append(id_)
        return predictions, unknown

    def _label(self, id_: str, label: Label, replace: bool) -> Optional[Labelled]:
        select = "SELECT number, model, predicted, confidence, label FROM predictions WHERE id = ?"
        row = self._file.connection.execute(select, (id_,)).fetchone()
        if row is None:
            return None
        number, model_number, predicted, confidence, earlier = row
        model = self._description(model_number)
        new = logged_answers.truth(label, model)
        kept = earlier not in (None, new) and not replace
        changed = earlier != new and not kept
        if changed:
            self._file.connection.execute(
                "UPDATE predictions SET label = ? WHERE number = ?", (new, number)
            )
        true = earlier if kept else new
        right = logged_answers.is_right(predicted, true, confidence, model.target)
        return Labelled(model.name, model.version, right, id_, kept, changed)

    def _model(self, classifier: Classifier) -> int:
        """The model's number in the log, which stores its latest card."""
        card, file = classifier.card, classifier.file
        key = (card.name, card.version, file.sha256, classifier.runtime)
        stored, number = self._models.get(key, (None, 0))
        if stored is not card:
            names = "name, version, file_sha256, runtime"
            insert = (
                f"INSERT INTO models ({names}, format, card) VALUES (?, ?, ?, ?, ?, ?) "
                f"ON CONFLICT ({names}) DO UPDATE SET card = excluded.card"
            )
            select = f"SELECT number FROM models WHERE ({names}) = (?, ?, ?, ?)"
            if card.target != "classes":
                self._file.connection.execute(f"PRAGMA user_version = {OF_ANY_TARGET}")
            self._file.connection.execute(insert, (*key, file.format, card.dump().decode()))
            number = self._file.connection.execute(select, key).fetchone()[0]
            self._models[key] = card, number
        return number

    def _description(self, model: int) -> LoggedModel:
        if model not in self._described:
            name, version, card = self._file.connection.execute(
                "SELECT name, version, card FROM models WHERE number = ?", (model,)
            ).fetchone()
            values = json.loads(card)
            target = values.get("target", "classes")
            self._described[model] = LoggedModel(name, version, target, values["class_names"])
        return self._described[model]
