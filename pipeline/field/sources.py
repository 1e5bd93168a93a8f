"""Where observations come from: a log, or a folder of pictures; and the labels of a CSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.progress import track

from pipeline.config.parts import one_class_each
from pipeline.field.logged import from_log
from pipeline.field.observations import Observations, as_array
from pipeline.field.true_answers import read_labels, true_answer
from pipeline.process.errors import UserError
from serving import Classifier, InputError, ModelCard, ServingError, framing, logged_answers, photo
from serving import inputs as kinds
from serving.logged_answers import Stored


def read(
    source: Path, labels: Path | None, bundle: Path, replace: bool = False
) -> list[Observations]:
    """The observations of each model in a log, or of the bundle's model on a folder of pictures.

    With `replace` the CSV's labels take precedence over the log's. Raises UserError.
    """
    csv_labels = read_labels(labels) if labels else {}
    try:
        if source.is_dir():
            return [from_folder(source, csv_labels, bundle)]
        observations = from_log(source, csv_labels, replace)
    except ServingError as error:
        raise UserError(str(error)) from None
    if not observations:
        raise UserError(f"{source} contains no predictions yet")
    return observations


def from_folder(folder: Path, csv_labels: dict[str, str], bundle: Path) -> Observations:
    """The predictions that the bundle's best file for this machine makes for pictures.

    Labels come from `csv_labels` or from the names of the subfolders.
    """
    classifier = Classifier.load(bundle)
    card = classifier.card
    files = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in framing.SUFFIXES]
    labels = {path: label_for(path, folder, csv_labels, card) for path in files}
    unreadable, readable, images = [], [], []
    for path in track(files, f"reading {folder}", transient=True):
        try:
            images.append(photo.read(path, card))
        except InputError as error:
            unreadable.append(str(error))
        else:
            readable.append(path)
    if not readable:
        raise UserError(
            f"{folder} contains no readable picture; expected {', '.join(framing.SUFFIXES)}"
        )
    inputs = np.stack(images)
    answers, confidences = logged_answers.answers(card, classifier.file, classifier.predict(inputs))
    return Observations(
        card,
        classifier.file,
        classifier.runtime,
        [str(path.relative_to(folder)) for path in readable],
        as_array(answers, card),
        np.array(confidences),
        as_array([labels[path] for path in readable], card),
        kinds.statistics(inputs),
        lambda row: inputs[row],
        unreadable,
    )


def label_for(
    path: Path, folder: Path, csv_labels: dict[str, str], card: ModelCard
) -> Stored | None:
    """The label in the CSV, if there is one, or else the name of the picture's subfolder.

    None for a picture directly in `folder`, and without a CSV for what no folder is named after:
    several labels, or a number.
    """
    parts: Sequence[str] = path.relative_to(folder).parts
    if csv_labels:
        label = csv_labels.get(str(path.relative_to(folder)), csv_labels.get(str(path)))
        return None if label is None else true_answer(label, card, "the CSV")
    named = len(parts) > 1 and one_class_each(card.target)
    return true_answer(parts[0], card, folder) if named else None
