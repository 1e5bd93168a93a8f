"""What was true of predictions: the labels of a CSV."""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.config.parts import is_number, one_class_each
from pipeline.files import list_file
from pipeline.process.errors import UserError
from serving import InputError, ModelCard, logged_answers
from serving.errors import reason
from serving.logged_answers import Label, Stored

BETWEEN = ";|,"  # several labels of a cell, unless it is a JSON array


def read_labels(path: Path) -> dict[str, str]:
    """True answers by id or file, from a CSV with the columns `id,label` or `file,label`."""
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


def true_answer(cell: str, card: ModelCard, source: object) -> Stored:
    """A cell of the column `label`, as a log would hold it. Raises UserError."""
    try:
        return logged_answers.truth(_label(cell, card), card)
    except InputError as error:
        raise UserError(f"{source}: {error}") from None


def _label(cell: str, card: ModelCard) -> Label:
    if is_number(card.target):
        try:
            return float(cell)
        except ValueError:
            return cell
    return cell if one_class_each(card.target) else _separate(cell.strip(), card.class_names)


def _separate(cell: str, names: list[str]) -> Label:
    """Several labels, such as `a;b` or `["a", "b"]`; an empty cell is none of them."""
    if cell in names:
        return [cell]
    if cell.startswith("["):
        try:
            values: Label = json.loads(cell)
        except (ValueError, RecursionError):
            return cell
        return values
    between = next((mark for mark in BETWEEN if mark in cell), BETWEEN[0])
    return [part.strip() for part in cell.split(between) if part.strip()]
