"""Texts as the ids that a text model takes. It stands outside the model, because no device runtime knows strings.

from serving.text import Vocabulary

ids = Vocabulary.load("bundle").ids(["what a fine film"])       # (1, L) int32, as Classifier.predict takes them
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Sequence, Union

from serving import words
from serving.bundle import Bundle
from serving.errors import BundleError

FILE = "vocabulary.txt"


class Vocabulary:
    """The words that a model knows. A word's id is its line in vocabulary.txt, from 1; 0 is padding."""

    def __init__(self, known: Sequence[str], length: int) -> None:
        self.length = length
        self.id_of = words.numbered(known)

    @classmethod
    def load(cls, bundle: Union[str, Path, Bundle]) -> Vocabulary:
        """The vocabulary of the bundle. Raises BundleError where it has none."""
        opened = bundle if isinstance(bundle, Bundle) else Bundle(bundle)
        if FILE not in opened.digests:
            raise BundleError(
                f"{opened.path} has no {FILE}, because its model takes no texts; name the bundle of a text model"
            )
        try:
            known = opened.read(FILE).decode().splitlines()
        except UnicodeDecodeError as error:
            raise BundleError(
                f"{opened.path}: {FILE} is not UTF-8 ({error}); make the bundle again"
            ) from None
        return cls(known, opened.card.input_shape[0])

    def ids(self, texts: Sequence[str]) -> Any:
        """(N, L) int32: the different known words of each text in the order they first appear, at most L of them."""
        return words.ids(texts, self.id_of, self.length)
