"""Splits the raw data into training, validation and test set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipeline.config.params import Preprocess
from pipeline.config.parts import is_number
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError
from pipeline.process.words import counted


@dataclass(frozen=True)
class Groups:
    """A number for each row (N,), equal in a group. `leave` groups of each class must remain.

    With `one_of_each`, a stratified order splits off at least one row of each class that has more.
    Groups of several rows are always split off so.
    """

    numbers: Array
    leave: int = 1
    one_of_each: bool = False

    def of(self, rows: Array) -> Groups:
        return replace(self, numbers=self.numbers[rows])


def has_one_of_each(target: str) -> bool:
    """Whether every part must have an example of each class or label."""
    return not is_number(target)


def split_off(
    strata: Array, count: int, order: str, seed: int, groups: Groups | None = None
) -> tuple[Array, Array]:
    """Row numbers (kept, split off), both sorted, with `count` rows split off.

    `order` says which rows are kept: the first or the last ones, random ones, or random ones that
    keep the proportions of the classes (stratified). Rows of one of the `groups` stay together, and
    with `one_of_each` both parts have each class, so there may be somewhat more or fewer than
    `count`.
    """
    if groups is not None and len(np.unique(groups.numbers)) < len(strata):
        return _split_off_groups(strata, groups, count, order, seed)
    if not 0 < count < len(strata):
        raise UserError(
            f"{counted(count, 'example')} cannot be split off from {len(strata)}; "
            f"expected 1 to {len(strata) - 1}"
        )
    if order == "first":
        rows = np.arange(len(strata))
        return rows[:-count], rows[-count:]
    if order == "last":
        rows = np.arange(len(strata))
        return rows[count:], rows[:count]
    shuffled = np.random.default_rng(seed).permutation(len(strata))
    if order == "stratified":
        shuffled = shuffled[stratified(strata[shuffled])]
        if groups is not None and groups.one_of_each:
            shuffled, fewest = _one_of_each_first(strata, shuffled, groups.leave)
            count = max(count, fewest)
    return np.sort(shuffled[count:]), np.sort(shuffled[:count])


def _one_of_each_first(strata: Array, order: Array, leave: int) -> tuple[Array, int]:
    """The rows (N,) in `order`, but for one of each stratum first, and `leave` of each last.

    Also how many are first: a stratum has none there if it has no more than `leave` rows.
    """
    place, sizes = np.empty(len(order), int), np.empty(len(order), int)
    for stratum in np.unique(strata):
        rows = np.flatnonzero(strata[order] == stratum)
        place[rows], sizes[rows] = np.arange(len(rows)), len(rows)
    is_last = place >= sizes - leave
    is_first = (place == 0) & ~is_last
    return order[np.argsort(is_last.astype(int) - is_first, kind="stable")], int(is_first.sum())


def _split_off_groups(
    strata: Array, groups: Groups, count: int, order: str, seed: int
) -> tuple[Array, Array]:
    if order in ("first", "last"):
        selected = _groups_at_the_end(groups.numbers, count, order)
    else:
        is_kept = order == "stratified" and (
            groups.one_of_each or _have_shares(strata, groups.numbers, count)
        )
        weights = strata if is_kept else np.zeros_like(strata)
        selected = _choose_groups(weights, groups, count, seed)
    taken = np.isin(groups.numbers, selected)
    if not taken.any() or taken.all():
        in_groups = f"in {counted(len(np.unique(groups.numbers)), 'group')}"
        raise UserError(
            f"the {len(strata):,} examples are {in_groups}, none of which can be split off; "
            f"expected groups smaller than {count:,} examples, with each class in several of them"
        )
    return np.flatnonzero(~taken), np.flatnonzero(taken)


def _have_shares(strata: Array, groups: Array, count: int) -> bool:
    """Whether each stratum has enough groups that splitting off one does not exceed its share.

    If each person has one age, few people have no proportions of ages to keep.
    """
    pairs = np.unique(np.stack([strata, groups]), axis=1)
    fewest = np.unique(pairs[0], return_counts=True)[1].min()
    return bool(fewest * count >= len(strata))


def _groups_at_the_end(groups: Array, count: int, order: str) -> Array:
    """Groups with about `count` rows, at the end of the rows by their mean row, or at the start."""
    names, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    place = np.bincount(group, np.arange(len(groups))) / sizes
    ranked = np.argsort(-place if order == "first" else place, kind="stable")
    number = np.searchsorted(sizes[ranked].cumsum(), count, side="right")
    return names[ranked[: max(number, 1)]]


@dataclass
class _Choice:
    """Which groups are split off, of how many rows of each class.

    `counts`, a sparse array (G, K), are the rows of each group and class, `target` (K,) those to
    split off. At least `leave` groups of every class remain.
    """

    counts: Any
    target: Array
    leave: int

    def __post_init__(self) -> None:
        self.taken = np.zeros(self.counts.shape[0], bool)
        self.part = np.zeros(len(self.target))
        self.remaining = np.bincount(self.counts.indices, minlength=len(self.target))

    def classes(self, group: int) -> tuple[Array, Array]:
        """The classes (C,) of a group, and its rows of each."""
        start, stop = self.counts.indptr[group : group + 2]
        return self.counts.indices[start:stop], self.counts.data[start:stop]

    def possible(self, groups: Array) -> Array:
        """Whether each of these may be taken."""
        last = (self.remaining <= self.leave).astype(float)
        result: Array = ~self.taken[groups] & (self.counts[groups] @ last == 0)
        return result

    def distance(self, more: Array | float = 0.0) -> Array:
        """How far the classes are from their target, by chi-square, with `more` rows (..., K)."""
        result: Array = ((self.part + more - self.target) ** 2 / self.target).sum(-1)
        return result

    def is_nearer_with(self, group: int) -> bool:
        """Whether a group that is not taken may be, and brings the classes nearer to their target.

        As `possible` and `distance` say, but some times as fast for a single one.
        """
        classes, rows = self.classes(group)
        if (self.remaining[classes] <= self.leave).any():
            return False
        more = np.zeros(len(self.target))
        more[classes] = rows
        return bool(self.distance(more) < self.distance())

    def take(self, group: int) -> None:
        classes, rows = self.classes(group)
        self.taken[group] = True
        self.part[classes] += rows
        self.remaining[classes] -= 1


def _choose_groups(strata: Array, groups: Groups, count: int, seed: int) -> Array:
    """Groups with about `count` rows, in which the classes have their proportions.

    Each class, the rarest first, gets the group that brings all nearest to their target; then
    each other group, in random order, is taken if it brings them nearer.
    """
    from scipy.sparse import coo_array

    names, group = np.unique(groups.numbers, return_inverse=True)
    classes, label = np.unique(strata, return_inverse=True)
    shape = len(names), len(classes)
    counts = coo_array((np.ones(len(strata)), (group, label)), shape).tocsr()
    choice = _Choice(counts, np.bincount(label) * count / len(strata), groups.leave)
    order = np.random.default_rng(seed).permutation(len(names))
    of_class, place = counts.tocsc(), np.argsort(order)
    for index in np.argsort(choice.target, kind="stable"):
        having = of_class.indices[of_class.indptr[index] : of_class.indptr[index + 1]]
        candidates = having[np.argsort(place[having])]
        candidates = candidates[choice.possible(candidates)]
        if not choice.part[index] and len(candidates):
            choice.take(int(candidates[choice.distance(counts[candidates].toarray()).argmin()]))
    _fill(choice, order)
    return names[choice.taken]


def _fill(choice: _Choice, order: Array) -> None:
    """Takes each group, in this order, that brings the classes nearer to their target."""
    refused = set[bytes]()  # what is refused stays so until a group is taken
    for group in order[~choice.taken[order]].tolist():
        kind = b"".join(array.tobytes() for array in choice.classes(group))
        if kind in refused:
            continue
        if choice.is_nearer_with(group):
            choice.take(group)
            refused.clear()
        else:
            refused.add(kind)


def stratified(strata: Array) -> Array:
    """The rows (N,) in an order whose first ones hold each stratum in proportion.

    They are sorted by the fraction of their stratum that precedes them.
    """
    preceding = np.empty(len(strata))
    for stratum in np.unique(strata):
        rows = np.flatnonzero(strata == stratum)
        preceding[rows] = (np.arange(len(rows)) + 0.5) / len(rows)
    order: Array = np.argsort(preceding, kind="stable")
    return order


def validation_count(validation: float, available: int) -> int:
    return int(validation) if validation >= 1 else round(validation * available)


def splits(
    strata: Array,
    test_fraction: float | None,
    settings: Preprocess,
    validation: Array | None = None,
    groups: Groups | None = None,
) -> dict[str, Array]:
    """Row numbers of the raw training part for train and validation.

    If `test_fraction` is not None, the test set is split off from it too. `validation` are the rows
    that the data themselves name for it; otherwise they are split off. Rows of one of the `groups`
    are split off together.
    """
    groups = groups or Groups(np.arange(len(strata)))
    rows, result = np.arange(len(strata)), {}
    if validation is not None:
        rows = np.setdiff1d(rows, validation)
    if test_fraction is not None:
        count = round(test_fraction * len(rows))
        independent = replace(groups.of(rows), leave=2 if validation is None else 1)
        rest, test = split_off(strata[rows], count, "stratified", settings.seed, independent)
        rows, result["test"] = rows[rest], rows[test]
    rows = rows[: settings.subset]
    if validation is not None:
        return {"train": rows, "validation": validation, **result}
    count = validation_count(settings.validation, len(rows))
    rest, held_out = split_off(strata[rows], count, settings.order, settings.seed, groups.of(rows))
    return {"train": rows[rest], "validation": rows[held_out], **result}
