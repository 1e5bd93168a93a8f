"""The vocabulary of a model of ids, as a file of the bundle."""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.files.artifacts import Array, Description
from serving import text
from serving.model_card import ModelCard


def write(bundle: Path, card: ModelCard, data: Description, golden: Array) -> None:
    """Writes the vocabulary of the ids.

    If they are words, it also writes texts with their ids, to test a tokenizer in any language.
    """
    vocabulary = "".join(f"{word}\n" for word in data.vocabulary)
    (bundle / text.FILE).write_text(vocabulary, encoding="utf-8")
    if data.examples:
        ids = text.Vocabulary(data.vocabulary, data.input_shape[0]).ids(data.examples).tolist()
        examples = [
            {"text": example, "ids": row} for example, row in zip(data.examples, ids, strict=True)
        ]
        (bundle / "golden_texts.json").write_text(
            json.dumps(examples, indent=1) + "\n", encoding="utf-8"
        )
