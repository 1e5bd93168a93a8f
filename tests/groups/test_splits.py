"""No group is in two splits, and copies belong together."""

from __future__ import annotations

from dataclasses import replace

import hypothesis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from pipeline.files import groups, splits
from pipeline.files.pictures.picture_table import Picture
from pipeline.process.errors import UserError
from tests.groups.conftest import picture, scene, settings, table

NONE = "00" * 32  # a digest or hash that says nothing


def hashed(number: int, hash_: str) -> Picture:
    return Picture(str(number), f"{number:064x}", hash_)


@hypothesis.settings(max_examples=40)
@given(
    seed=st.integers(0, 1000),
    order=st.sampled_from(["stratified", "random", "first", "last"]),
    sizes=st.lists(st.integers(1, 8), min_size=30, max_size=60),
)
def test_no_group_is_in_two_splits_and_every_row_in_one(
    seed: int, order: str, sizes: list[int]
) -> None:
    rng = np.random.default_rng(seed)
    members = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    labels = rng.integers(0, 2, len(members))
    rows = splits.splits(
        labels, 0.2, settings(order=order, seed=seed), None, splits.Groups(members)
    )
    assert sorted(np.concatenate(list(rows.values()))) == list(range(len(members)))
    parts = [set(members[part]) for part in rows.values()]
    assert sum(map(len, parts)) == len(set(members))
    if order == "stratified":
        assert abs(len(rows["test"]) / len(members) - 0.2) < 0.1


def test_groups_are_split_off_with_the_classes_in_proportion() -> None:
    rng = np.random.default_rng(0)
    members = np.repeat(np.arange(250), 4)
    labels = np.repeat(rng.choice(3, 250, p=[0.6, 0.3, 0.1]), 4)
    rows = splits.splits(labels, None, settings(), None, splits.Groups(members))
    shares = np.bincount(labels[rows["validation"]]) / np.bincount(labels)
    assert np.abs(shares - 0.2).max() < 0.03


def test_of_four_cameras_one_is_the_test_set_and_one_validates() -> None:
    members, labels = np.repeat(np.arange(4), 50), np.tile([0, 1], 100)
    rows = splits.splits(labels, 0.2, settings(validation=0.1), None, splits.Groups(members))
    assert [len(set(members[rows[part]])) for part in ("train", "validation", "test")] == [2, 1, 1]


def test_a_rare_class_in_few_groups_is_in_every_split() -> None:
    """As in photos by many senders, three of whom have the class, among many others."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        members = rng.integers(0, 60, 1200)
        labels = rng.integers(0, 5, 1200)
        for group in rng.permutation(60)[:3]:
            labels[np.flatnonzero(members == group)[:2]] = 5
        groups = splits.Groups(members, one_of_each=True)
        rows = splits.splits(labels, 0.2, settings(validation=0.1, seed=seed), None, groups)
        assert all((np.bincount(labels[part], minlength=6) > 0).all() for part in rows.values())


def test_groups_that_cannot_be_split_are_refused() -> None:
    members, labels = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 0, 1, 1, 1])
    with pytest.raises(UserError, match="in 2 groups, none of which can be split off"):
        splits.splits(labels, None, settings(), None, splits.Groups(members, one_of_each=True))


@pytest.mark.parametrize("people", [5, 10, 20, 40, 100])
def test_people_with_one_number_each_are_split_by_their_count(people: int) -> None:
    members = np.repeat(np.arange(people), 6)
    tenths = members * 10 // people
    rows = splits.splits(tenths, 0.2, settings(validation=0.2), None, splits.Groups(members))
    assert len(set(members[rows["test"]])) == pytest.approx(0.2 * people, abs=1)
    assert len(set(members[rows["train"]])) > people / 2


def test_without_groups_the_split_is_as_it_was() -> None:
    labels = np.random.default_rng(0).integers(0, 3, 200)
    plain = splits.splits(labels, 0.2, settings())
    for each in (False, True):
        single = splits.Groups(np.arange(200), one_of_each=each)
        alone = splits.splits(labels, 0.2, settings(), None, single)
        for part in plain:
            np.testing.assert_array_equal(plain[part], alone[part])


def test_a_group_is_a_column_or_a_pattern_of_the_path() -> None:
    rows = table(
        [
            Picture("cat/camera1_7.png", NONE, NONE, None, {"label": "cat", "sender": "7"}),
            Picture("dog/camera2_7.png", NONE, NONE, None, {"label": "dog", "sender": ""}),
        ]
    )
    assert groups.names(rows, "sender")[0] == "7"
    without = groups.names(rows[np.array([0, 1, 1])], "sender")
    assert len(set(groups.of_names(without))) == 3  # an empty cell groups nothing
    assert groups.names(rows, r"(camera\d)_") == ["camera1", "camera2"]
    assert groups.names(rows, r"_\d+") == ["_7", "_7"]
    with pytest.raises(UserError, match=r"'camera1' is not a column \(label, sender\).* 1 of 2"):
        groups.names(rows, "camera1")
    with pytest.raises(UserError, match=r"neither a column .* nor a regular expression"):
        groups.names(rows, "(")


def test_copies_and_near_copies_belong_together_and_other_pictures_do_not() -> None:
    first = scene(0)
    photos = [
        picture("a", first),
        picture("a copy", first),
        picture("smaller", first.resize((60, 60))),
        picture("brighter", ImageEnhance.Brightness(first).enhance(1.1)),
        picture("shifted", first.transform(first.size, Image.Transform.AFFINE, (1, 0, 1, 0, 1, 0))),
        *(picture(f"other {seed}", scene(seed)) for seed in range(1, 200)),
    ]
    rows = table(photos)
    numbers = groups.together(rows, None)
    assert len(set(numbers[:5])) == 1
    assert len(set(numbers)) == 200
    assert groups.of_copies(rows) == [["a", "a copy", "brighter", "shifted", "smaller"]]


def test_the_boxes_of_one_photo_belong_together_and_are_no_copies() -> None:
    photo = picture("a", scene(0))
    boxes = [replace(photo, box=(0, 0, side, side)) for side in (10, 20, 30)]
    other = picture("b", scene(1))
    rows = table([*boxes, other])
    assert groups.together(rows, None).tolist() == [0, 0, 0, 1]
    assert groups.of_copies(rows) == []
    assert groups.of_copies(table([*boxes, boxes[0], other])) == [["a"] * 4]
    again = replace(photo, file="again")
    assert groups.of_copies(table([photo, again, other])) == [["a", "again"]]
    assert groups.of_copies(table([*boxes, boxes[0], again, other])) == [["a", "again"]]


def test_near_pairs_are_those_that_a_comparison_of_all_finds() -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (300, 256)).astype(np.uint8)
    bits[:, 0] = 0  # as in every hash
    for row in range(150):  # each differs from another in up to 9 low bits, and 49 others
        bits[150 + row] = bits[row]
        low, others = 1 + rng.permutation(63), 64 + rng.permutation(192)
        bits[150 + row, [*low[: row % 10], *others[: row % 50]]] ^= 1
    rows = table([hashed(n, np.packbits(b).tobytes().hex()) for n, b in enumerate(bits)])
    pairs = {tuple(sorted(pair)) for pair in groups.near_copies(rows).tolist()}
    differs = bits[:, None] != bits[None]
    near = (differs.sum(2) <= groups.NEAR) & (differs[..., :64].sum(2) <= groups.NEAR_LOWEST)
    expected = {(a, b) for a, b in np.argwhere(near).tolist() if a < b}
    assert pairs == expected
    assert 50 < len(pairs) < 150


def test_thousands_of_copies_have_few_pairs_that_connect_them_all() -> None:
    rows = table([hashed(n, (NONE, "ff" * 32)[n % 2]) for n in range(3000)])
    pairs = groups.near_copies(rows)
    assert len(pairs) <= groups.MOST_PAIRS * len(rows)
    numbers = groups._components(len(rows), [pairs])
    assert (numbers == numbers[:2][np.arange(3000) % 2]).all()
    assert numbers[0] != numbers[1]


def test_thousands_of_blank_pictures_are_not_one_group() -> None:
    blank = table([hashed(number, NONE) for number in range(3000)])
    assert len(set(groups.together(blank, None))) == 3000
