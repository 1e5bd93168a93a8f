"""Where observations come from: a log, or a folder of pictures; and the labels of a CSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.progress import track

from pipeline.field.logged import from_log
from pipeline.field.observations import UNKNOWN, Observations, check_target, class_index
from pipeline.files import list_file
from pipeline.process.errors import UserError
from serving import Classifier, InputError, ModelCard, ServingError, photo
from serving import inputs as kinds
from serving.errors import reason


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


def read_labels(path: Path) -> dict[str, str]:
    """True classes by id or file, from a CSV with the columns `id,label` or `file,label`."""
    try:
        table = list_file.read(path, path.read_bytes())
    except OSError as error:
        raise UserError(f"{path} cannot be read: {reason(error)}") from None
    columns = table.columns
    key = next((name for name in ("id", "file") if name in columns), None)
    if key is None or "label" not in columns:
        raise UserError(
            f"{path} has the columns {', '.join(columns)}; expected id,label or file,label"
        )
    labels: dict[str, str] = {}
    for row in table.rows:
        name, label = row[columns.index(key)], row[columns.index("label")]
        if labels.setdefault(name, label) != label:
            raise UserError(
                f"{path} has the labels {labels[name]!r} and {label!r} for {name!r}; "
                "keep one of them"
            )
    return labels


def from_folder(folder: Path, csv_labels: dict[str, str], bundle: Path) -> Observations:
    """The predictions that the bundle's best file for this machine makes for pictures.

    Labels come from `csv_labels` or from the names of the subfolders.
    """
    classifier = Classifier.load(bundle)
    card = classifier.card
    check_target(card)
    files = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in photo.SUFFIXES]
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
            f"{folder} contains no readable picture; expected {', '.join(photo.SUFFIXES)}"
        )
    inputs = np.stack(images)
    probabilities = classifier.predict(inputs)
    return Observations(
        card,
        classifier.file,
        classifier.runtime,
        [str(path.relative_to(folder)) for path in readable],
        probabilities.argmax(1),
        probabilities.max(1),
        np.array([labels[path] for path in readable]),
        kinds.statistics(inputs),
        lambda row: inputs[row],
        unreadable,
    )


def label_for(path: Path, folder: Path, csv_labels: dict[str, str], card: ModelCard) -> int:
    """The label in the CSV, if there is one, or else the name of the picture's subfolder.

    UNKNOWN for a picture directly in `folder`.
    """
    parts: Sequence[str] = path.relative_to(folder).parts
    if csv_labels:
        label = csv_labels.get(str(path.relative_to(folder)), csv_labels.get(str(path)))
        return UNKNOWN if label is None else class_index(label, card, "the CSV")
    return class_index(parts[0], card, folder) if len(parts) > 1 else UNKNOWN
