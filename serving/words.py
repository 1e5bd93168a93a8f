"""Splits texts into words and numbers them, with the same code in training and on a device."""

from __future__ import annotations

import re
from typing import Any, Dict, Sequence

import numpy as np

BREAK = re.compile(r"<br\s*/?>")
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


def words(text: str) -> list[str]:
    """Letters and digits in lower case, with inner apostrophes; HTML line breaks are dropped."""
    return WORD.findall(BREAK.sub(" ", text).lower())


def numbered(vocabulary: Sequence[str]) -> Dict[str, int]:
    """The id of each word: its line in vocabulary.txt, from 1; 0 is padding."""
    return {word: number for number, word in enumerate(vocabulary, 1)}


def ids(texts: Sequence[str], id_of: Dict[str, int], length: int) -> Any:
    """(N, L) int32: the first L distinct known words of each text, in order of appearance."""
    result = np.zeros((len(texts), length), np.int32)
    for row, text in enumerate(texts):
        distinct = dict.fromkeys(id_of[word] for word in words(text) if word in id_of)
        first = list(distinct)[:length]
        result[row, : len(first)] = first
    return result
