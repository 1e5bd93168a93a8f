"""Which of two versions is older."""

from __future__ import annotations

import re
from itertools import zip_longest
from typing import List, Tuple


def older(version: str, than: str) -> bool:
    """Is `version` older than `than`, for every version that a card may have?

    Numbers are compared as numbers and words alphabetically, part by part: 1.9 is older than 1.10,
    2024a than 2024b. If one version ends first, the other is newer if it continues with a number
    above 0, and older if it continues with a word: 1.0-rc1 and 1.0rc1 are older than 1.0, and 1.0
    equals 1.0.0. A word is older than a number. The build after a + only breaks ties; no build is
    older than any. Case does not matter.
    """
    first, second = version.partition("+"), than.partition("+")
    return _order(first[0], second[0]) or (
        not _order(second[0], first[0])
        and (bool(first[1]), *_parts(first[2])) < (bool(second[1]), *_parts(second[2]))
    )


def _order(left: str, right: str) -> bool:
    pairs = zip_longest(_parts(left), _parts(right), fillvalue=(1, 0, ""))
    return next((first < second for first, second in pairs if first != second), False)


def _parts(text: str) -> List[Tuple[int, int, str]]:
    """Its numbers and words; words come before numbers."""
    parts = re.findall(r"[0-9]+|[a-z]+", text.lower())
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]
