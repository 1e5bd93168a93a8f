"""Which examples belong together, so that no two splits share them.

A group is what `preprocess.group` says: a camera, a day, an object. Copies of a picture belong
together anyway, exact ones and near ones, such as the frames of a burst. An example whose group has
no name is a group of its own.
"""

from __future__ import annotations

import functools
import itertools
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from pipeline.files import artifacts
from pipeline.files.artifacts import Array
from pipeline.files.pictures.picture_table import TEXT, Table
from pipeline.process.errors import UserError

UNNAMED = "\1"  # begins no name in data
# The name of each test example's group, if `preprocess.group` says what a group is
OF_TEST = artifacts.PREPARED / "test" / "groups.json"
# Bits of 256, and of the 64 lowest frequencies, that may differ between near copies. Of TrashNet's
# 2,527 photos 28 pairs are as near: all show one object twice, and three of them are one photo in
# two classes. Of 1,890 photos of clothing no two are. Of photos that are moved by a hundredth of
# their width 92 and 84 % are near, and 52 and 38 % of those moved by one and a half.
NEAR, NEAR_LOWEST = 32, 6
# The bits of the lowest frequencies in bands, after the first bit of the hash, which is always 0
BANDS, BAND = 9, 7
EQUAL = BANDS - NEAR_LOWEST  # bands without a difference, at least
WINDOW = 64  # neighbours that a hash is compared with, so that thousands of blank pictures are fast
MOST_PAIRS = 4
COMPARED = 2**16  # pairs at a time
# Near copies that would be more than this share of the pictures are no burst, but pictures with
# little in them, which a hash cannot tell apart.
LARGEST_SHARE = 0.1


def names(pictures: Table, group: str) -> list[str]:
    """The name of each picture's group, as `of_files` says. Raises UserError."""
    return of_files(pictures.files, pictures.columns, group)


def of_files(
    files: Sequence[str] | Array, columns: Mapping[str, Iterable[str]], group: str
) -> list[str]:
    """The name of each file's group. `group` is a column of the list, or a regular expression.

    The expression is searched in the path of the file. What its first parentheses match, or else
    all that it matches, is the name. It is empty where the cell is. Raises UserError.
    """
    if not len(files):
        return []
    if group in columns:
        return list(map(sys.intern, columns[group]))  # many are equal
    try:
        pattern = re.compile(group)
    except re.error as error:
        raise UserError(
            f"preprocess.group {group!r} is neither a column ({', '.join(columns)}) nor a regular "
            f"expression: {error}"
        ) from None
    missing, names = list[str](), list[str]()
    for file in files:
        if match := pattern.search(file):
            names.append(sys.intern(match[1 if pattern.groups else 0] or ""))
        else:
            missing.append(file)
    if missing:
        raise UserError(
            f"preprocess.group {group!r} is not a column ({', '.join(columns)}), and as a regular "
            f"expression it does not match {len(missing):,} of {len(files):,} files, the first "
            f"of them {missing[0]}"
        )
    return names


def load_names() -> list[str]:
    """The name of each test example's group; nothing if there are no groups."""
    return list(artifacts.load_json(OF_TEST)) if OF_TEST.exists() else []


def distinct(group_names: Sequence[str]) -> list[str]:
    """The names, and one of its own for each example without a name."""
    return [name or f"{UNNAMED}{row}" for row, name in enumerate(group_names)]


def named(distinct_names: Iterable[str]) -> list[str]:
    """Those of `distinct` that the data have."""
    return sorted({name for name in distinct_names if not name.startswith(UNNAMED)})


def of_names(group_names: Sequence[str]) -> Array:
    """A number for each example (N,), equal in a group."""
    inverse: Array = np.unique(np.array(distinct(group_names), TEXT), return_inverse=True)[1]
    return inverse


def connected(*keys: Sequence[str]) -> Array:
    """A number for each example (N,), equal for those that share one of the `keys`."""
    return _components(len(keys[0]), [_edges(of_names(key)) for key in keys])


def together(pictures: Table, group_names: Sequence[str] | None) -> Array:
    """A number for each picture (N,); those that belong together have the same."""
    edges = [_edges(first_equal(pictures.sha256.view(np.uint64)))]
    if group_names is not None:
        edges.append(_edges(of_names(group_names)))
    sure = _components(len(pictures), edges)
    likely = _components(len(pictures), [*edges, near_copies(pictures)])
    too_many = np.bincount(likely).max(initial=0) > max(
        LARGEST_SHARE * len(pictures), np.bincount(sure).max(initial=0)
    )
    return sure if too_many else likely


def first_equal(rows: Array) -> Array:
    """For each of the rows (N, W) the first one that equals it (N,)."""
    order = np.lexsort(rows.T)
    starts = np.zeros(len(rows), bool)
    starts[:1] = True
    for column in rows.T:
        starts[1:] |= np.diff(column[order]) != 0
    result: Array = np.empty_like(order)
    result[order] = order[starts][np.cumsum(starts) - 1]
    return result


def _edges(numbers: Array) -> Array:
    """Pairs (P, 2) that connect each row with the first one of the same number (N,)."""
    _, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    rows = np.arange(len(numbers))
    pairs: Array = np.column_stack([rows, first[inverse]])[rows != first[inverse]]
    return pairs


def _components(count: int, edges: Sequence[Array]) -> Array:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows, columns = np.concatenate(edges).T
    graph = coo_array((np.ones(len(rows), bool), (rows, columns)), (count, count))
    labels: Array = connected_components(graph, directed=False)[1]
    return labels


def near_copies(pictures: Table) -> Array:
    """Pairs (P, 2) of rows that are near copies, or that such pairs connect.

    The hashes of near copies share EQUAL bands, so those that share as many are compared. If there
    are more than MOST_PAIRS for each picture, as of thousands of blank ones, each picture is paired
    with one of those that it is connected with, which takes less memory.
    """
    order = np.lexsort(pictures.hashes.view(np.uint64).T)
    words = pictures.hashes[order].view(np.uint64)
    lowest = words[:, 0].view(">u8").astype(np.uint64)  # the first bit of the hash is the highest
    bands = [lowest >> np.uint64(BAND * band) & np.uint64(2**BAND - 1) for band in range(BANDS)]
    pairs = [np.empty((0, 2), np.int64)]
    for shared in itertools.combinations(bands, EQUAL):
        keys = functools.reduce(lambda key, band: key << np.uint64(BAND) | band, shared)
        pairs += [order[near] for near in _neighbours(words, keys)]
        if sum(map(len, pairs)) > MOST_PAIRS * len(pictures):
            pairs = [_edges(_components(len(pictures), pairs))]
    return np.concatenate(pairs)


def _neighbours(words: Array, keys: Array) -> Iterator[Array]:
    """The near pairs (P, 2) among sorted hashes with the same key that are at most WINDOW apart.

    The words of the hashes are (N, W) uint64, and the keys (N,).
    """
    rows = np.argsort(keys, kind="stable")
    keys = keys[rows]
    for step in range(1, WINDOW + 1):
        same = np.flatnonzero(keys[:-step] == keys[step:])
        if not len(same):
            break
        for start, stop in artifacts.chunks(len(same), COMPARED):
            at = same[start:stop]
            pairs = np.column_stack([rows[at], rows[at + step]])
            distances = np.bitwise_count(words[pairs[:, 0]] ^ words[pairs[:, 1]])
            yield pairs[(distances.sum(1) <= NEAR) & (distances[:, 0] <= NEAR_LOWEST)]


def of_copies(pictures: Table) -> list[list[str]]:
    """The files of each group of copies, exact or near, the largest group first.

    Several boxes of one file belong together too, but are no copies. If all copies are boxes of
    one file, it is named once for each box.
    """
    numbers = together(pictures, None)
    groups: dict[int, list[tuple[str, bytes]]] = {}
    repeated = np.flatnonzero(np.bincount(numbers, minlength=1)[numbers] > 1)
    for row in repeated.tolist():
        excerpt = pictures.files[row], pictures.boxes[row].tobytes()
        groups.setdefault(int(numbers[row]), []).append(excerpt)
    copies = []
    for group in groups.values():
        files = sorted(file for file, _ in group)
        if files[0] != files[-1]:
            copies.append(sorted({*files}))
        elif len({*group}) < len(group):
            copies.append(files)
    return sorted(copies, key=lambda files: (-len(files), files))
