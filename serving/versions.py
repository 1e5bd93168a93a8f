"""Which of two versions is older, for every version that params.yaml lets a model have.

Numbers are compared as numbers and words by the alphabet, one after the other: 1.9 is older than
1.10, 2024a than 2024b. Where one version ends, the other is newer if it goes on with a number above
0, and older if it goes on with a word: 1.0-rc1 and 1.0rc1 are older than 1.0, and 1.0 and 1.0.0 are
equal. A word is older than a number. What follows a + is a build: it decides between versions that
are equal before it, and a version without one is older than with one. Case does not matter.
"""

from __future__ import annotations

import re
from itertools import zip_longest
from typing import List, Tuple

Part = Tuple[int, int, str]
ZERO: Part = (1, 0, "")  # what a version goes on with where it ends


def older(version: str, than: str) -> bool:
    """Is `version` older than the version `than`?"""
    first, second = version.partition("+"), than.partition("+")
    return _order(first[0], second[0]) or (
        not _order(second[0], first[0])
        and (bool(first[1]), *_parts(first[2])) < (bool(second[1]), *_parts(second[2]))
    )


def _order(left: str, right: str) -> bool:
    pairs = zip_longest(_parts(left), _parts(right), fillvalue=ZERO)
    return next((one < other for one, other in pairs if one != other), False)


def _parts(text: str) -> List[Part]:
    """Its numbers and words; words come before numbers."""
    found = re.findall(r"[0-9]+|[a-z]+", text.lower())
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in found]
