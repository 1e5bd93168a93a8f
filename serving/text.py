"""Turns texts into the ids that a text model takes, outside the model: no runtime knows strings.

from serving.text import Vocabulary

ids = Vocabulary.load("bundle").ids(["what a fine film"])  # (1, L) int32, for Classifier.predict
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Sequence, Union

from serving import words
from serving.bundle import Bundle
from serving.errors import BundleError

FILE = "vocabulary.txt"


class Vocabulary:
    """The words that a model knows. Ids are lines of vocabulary.txt, from 1; 0 is padding."""

    def __init__(self, vocabulary: Sequence[str], length: int) -> None:
        self.length = length
        self.id_of = words.numbered(vocabulary)

    @classmethod
    def load(cls, bundle: Union[str, Path, Bundle]) -> Vocabulary:
        """The vocabulary of the bundle. Raises BundleError if it has none."""
        opened = bundle if isinstance(bundle, Bundle) else Bundle(bundle)
        if FILE not in opened.digests:
            raise BundleError(
                f"{opened.path} has no {FILE}, because its model takes no texts; "
                "name the bundle of a text model"
            )
        try:
            vocabulary = opened.read(FILE).decode().splitlines()
        except UnicodeDecodeError as error:
            raise BundleError(
                f"{opened.path}: {FILE} is not UTF-8 ({error}); make the bundle again"
            ) from None
        return cls(vocabulary, opened.card.input_shape[0])

    def ids(self, texts: Sequence[str]) -> Any:
        """(N, L) int32, of each text as `words.ids` says."""
        return words.ids(texts, self.id_of, self.length)
