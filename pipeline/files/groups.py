"""Which examples belong together, so that no two splits share them.

A group is what `preprocess.group` says: a camera, a day, an object. Copies of a picture belong
together anyway, exact ones and near ones, such as the frames of a burst. An example whose group has
no name is a group of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.files import artifacts
from pipeline.files.artifacts import Array
from pipeline.files.pictures import Picture
from pipeline.process.errors import UserError

# The name of each test example's group, if `preprocess.group` says what a group is
OF_TEST = artifacts.PREPARED / "test" / "groups.json"
# Bits of 256 that may differ between near copies. Of TrashNet's 2,527 photos 9 pairs are as near,
# and the correlation of their pixels, 16 x 16 in grey, is at least 0.97. At 16 bits it is 17 pairs,
# and two of them show different things.
NEAR = 12
WINDOW = 64  # neighbours that a hash is compared with, so that thousands of blank pictures are fast
MOST_PAIRS = 4
# Near copies that would be more than this share of the pictures are no burst, but pictures with
# little in them, which a hash cannot tell apart.
LARGEST_SHARE = 0.1


def names(pictures: Sequence[Picture], group: str) -> list[str]:
    """The name of each picture's group, as `of_files` says. Raises UserError."""
    names = list(pictures[0].columns) if pictures else []
    columns = {name: [row.columns[name] for row in pictures] for name in names}
    return of_files([row.file for row in pictures], columns, group)


def of_files(files: Sequence[str], columns: Mapping[str, list[str]], group: str) -> list[str]:
    """The name of each file's group. `group` is a column of the list, or a regular expression.

    The expression is searched in the path of the file. What its first parentheses match, or else
    all that it matches, is the name. It is empty where the cell is. Raises UserError.
    """
    if not files:
        return []
    if group in columns:
        return columns[group]
    try:
        pattern = re.compile(group)
    except re.error as error:
        raise UserError(
            f"preprocess.group {group!r} is neither a column ({', '.join(columns)}) nor a regular "
            f"expression: {error}"
        ) from None
    matches = [pattern.search(file) for file in files]
    missing = [file for file, match in zip(files, matches, strict=True) if not match]
    if missing:
        raise UserError(
            f"preprocess.group {group!r} is not a column ({', '.join(columns)}), and as a regular "
            f"expression it does not match {len(missing):,} of {len(matches):,} files, the first "
            f"of them {missing[0]}"
        )
    return [match[1 if pattern.groups else 0] or "" for match in matches if match]


def load_names() -> list[str]:
    """The name of each test example's group; nothing if there are no groups."""
    return list(artifacts.load_json(OF_TEST)) if OF_TEST.exists() else []


def distinct(group_names: Sequence[str]) -> list[str]:
    """The names, and one of its own for each example without a name."""
    return [name or f"\0{row}" for row, name in enumerate(group_names)]


def of_names(group_names: Sequence[str]) -> Array:
    """A number for each example (N,), equal in a group."""
    inverse: Array = np.unique(np.array(distinct(group_names)), return_inverse=True)[1]
    return inverse


def connected(*keys: Sequence[str]) -> Array:
    """A number for each example (N,), equal for those that share one of the `keys`."""
    return _components(len(keys[0]), [_same(key) for key in keys])


def together(pictures: Sequence[Picture], group_names: Sequence[str] | None) -> Array:
    """A number for each picture (N,); those that belong together have the same."""
    edges = [_same([row.sha256 for row in pictures])]
    if group_names is not None:
        edges.append(_same(distinct(group_names)))
    sure = _components(len(pictures), edges)
    likely = _components(len(pictures), [*edges, near_copies(pictures)])
    too_many = np.bincount(likely).max(initial=0) > max(
        LARGEST_SHARE * len(pictures), np.bincount(sure).max(initial=0)
    )
    return sure if too_many else likely


def _same(keys: Sequence[str] | Array) -> Array:
    """Pairs (P, 2) that connect each row with the first one of the same key."""
    _, first, inverse = np.unique(np.array(keys), return_index=True, return_inverse=True)
    return np.column_stack([np.arange(len(keys)), first[inverse]])


def _components(count: int, edges: Sequence[Array]) -> Array:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows, columns = np.concatenate(edges).T
    graph = coo_array((np.ones(len(rows), bool), (rows, columns)), (count, count))
    labels: Array = connected_components(graph, directed=False)[1]
    return labels


def near_copies(pictures: Sequence[Picture]) -> Array:
    """Pairs (P, 2) of rows whose hashes differ in at most NEAR bits, or that such pairs connect.

    Of NEAR + 1 bands of bits, two such hashes share one. So hashes that share a band are compared.
    If there are more than MOST_PAIRS for each picture, as of thousands of blank ones, each picture
    is paired with one of those that it is connected with, which takes less memory.
    """
    bits = np.array([list(bytes.fromhex(row.hash)) for row in pictures], np.uint8).reshape(
        len(pictures), -1
    )
    words = bits.view(np.uint64)
    pairs = [np.empty((0, 2), np.int64)]
    for band in np.array_split(np.unpackbits(bits, axis=1), NEAR + 1, axis=1):
        keys = np.packbits(band, axis=1).astype(np.uint64) @ (
            256 ** np.arange(-(-band.shape[1] // 8), dtype=np.uint64)
        )
        order = np.lexsort((*words.T, keys))
        pairs += _neighbours(words[order], keys[order], order)
        if sum(map(len, pairs)) > MOST_PAIRS * len(pictures):
            pairs = [_same(_components(len(pictures), pairs))]
    return np.concatenate(pairs)


def _neighbours(words: Array, keys: Array, rows: Array) -> list[Array]:
    """The near pairs among sorted hashes with the same key that are at most WINDOW apart."""
    pairs = []
    for step in range(1, WINDOW + 1):
        at = np.flatnonzero(keys[:-step] == keys[step:])
        if not len(at):
            break
        distances = np.bitwise_count(words[at] ^ words[at + step]).sum(1)
        near = at[distances <= NEAR]
        pairs.append(np.column_stack([rows[near], rows[near + step]]))
    return pairs


def of_copies(pictures: Sequence[Picture]) -> list[list[str]]:
    """The files of each group of copies, exact or near, the largest group first."""
    numbers = together(pictures, None)
    groups: dict[int, list[str]] = {}
    repeated = np.flatnonzero(np.bincount(numbers, minlength=1)[numbers] > 1)
    for row in repeated.tolist():
        groups.setdefault(int(numbers[row]), []).append(pictures[row].file)
    return sorted(map(sorted, groups.values()), key=lambda files: (-len(files), files))
