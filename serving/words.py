"""Texts as words, and words as ids: the same where data are prepared and on a device."""

from __future__ import annotations

import re
from typing import Any, Dict, Sequence

import numpy as np

BREAK = re.compile(r"<br\s*/?>")
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


def words(text: str) -> list[str]:
    """Letters and digits in lower case, with apostrophes inside a word; a line break of HTML is none."""
    return WORD.findall(BREAK.sub(" ", text).lower())


def numbered(known: Sequence[str]) -> Dict[str, int]:
    """The id of each word: its line in vocabulary.txt, from 1; 0 is padding."""
    return {word: number for number, word in enumerate(known, 1)}


def ids(texts: Sequence[str], id_of: Dict[str, int], length: int) -> Any:
    """(N, L) int32: the different known words of each text in the order they first appear, at most L of them."""
    result = np.zeros((len(texts), length), np.int32)
    for row, text in enumerate(texts):
        found = dict.fromkeys(id_of[word] for word in words(text) if word in id_of)
        first = list(found)[:length]
        result[row, : len(first)] = first
    return result
