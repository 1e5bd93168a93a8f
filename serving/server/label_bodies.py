"""The bodies of requests to /feedback: what was true of earlier predictions."""

from __future__ import annotations

from typing import Any, Dict, Tuple

from serving.errors import RequestError
from serving.logged_answers import Label
from serving.server.json_body import (
    SPARE_VALUES,
    as_object,
    count_values,
    is_text,
    kind,
    parse_strictly,
)

MAX_LABEL_LENGTH = 1000  # characters of an id or a class name
VALUES_OF_ONE = 64  # JSON values of an entry, which may have many labels at once


def decode_labels(body: bytes, limit: int) -> Dict[str, Label]:
    """True answers by id, from {"id": ..., "label": ...} or an array of these.

    Which of the forms of a label fits, only the log knows. Raises RequestError.
    """
    most = VALUES_OF_ONE * limit + SPARE_VALUES
    if count_values(body) > most:
        raise RequestError(413, f"the JSON has more than {most:,} values; send fewer at a time")
    value = parse_strictly(body)
    entries = value if isinstance(value, list) else [value]
    if not 1 <= len(entries) <= limit:
        raise RequestError(400, f"the request has {len(entries)} labels; expected 1 to {limit}")
    labels: Dict[str, Label] = {}
    for entry in entries:
        id_, label = _label(entry)
        if labels.setdefault(id_, label) != label:
            raise RequestError(400, f"the prediction {id_[:80]!r} has two labels; send one")
    return labels


def _label(entry: Any) -> Tuple[str, Label]:
    """The id and the label of {"id": ..., "label": ...}."""
    fields = as_object(entry, "an entry of the labels")
    for name in ("id", "label"):
        if name not in fields:
            expected = '{"id": "...", "label": "..."}'
            raise RequestError(400, f"the {name} is missing; expected {expected}")
    unknown = sorted(set(fields) - {"id", "label"})
    if unknown:
        sentence = f"a label has the field {unknown[0][:80]!r}; expected id and label alone"
        raise RequestError(400, sentence)
    id_, label = fields["id"], fields["label"]
    _check_text("id", id_)
    if isinstance(label, list):
        for part in label:
            _check_text("label", part)
    elif type(label) not in (int, float):
        _check_text("label", label, "a string, an array of strings, or a number")
    return id_, label


def _check_text(name: str, value: Any, expected: str = "a string") -> None:
    if not isinstance(value, str):
        raise RequestError(400, f"the {name} is {kind(value)}; expected {expected}")
    if len(value) > MAX_LABEL_LENGTH or not is_text(value):
        raise RequestError(400, f"the {name} is not text of at most {MAX_LABEL_LENGTH} characters")
