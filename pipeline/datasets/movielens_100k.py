"""MovieLens 100k: did a user rate an item with 4 or 5? 100,000 ratings, 943 users, 1,682 items (Harper and Konstan, 2015).

Its licence forbids passing the data on, so they are downloaded from the publisher and nothing of them, not even a title,
goes into a bundle. An input is two ids: the user's number, and 943 plus the item's.
"""

from __future__ import annotations

import io
import zipfile
import zlib

import numpy as np

from pipeline.datasets import Raw
from pipeline.datasets import _fetch as fetch
from pipeline.datasets import _published as published
from pipeline.datasets._fetch import SourceError
from pipeline.params import Dataset

ADDRESS = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
SHA256 = "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229"
USERS, ITEMS = 943, 1682
LIKED = 4
CLASS_NAMES = ["rated below 4", "rated 4 or 5"]


def load(params: Dataset) -> Raw:
    return fetch.first([source.then(ratings) for source in published.sources(ADDRESS, SHA256)], ADDRESS)


def ratings(data: bytes) -> Raw:
    """The rows of u.data (user, item, rating, time), in their order; there is no test part."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            table = np.loadtxt(io.BytesIO(archive.read("ml-100k/u.data")), dtype=np.int64, delimiter="\t", ndmin=2)
        users, items, stars, _ = table.T
    except (zipfile.BadZipFile, KeyError, ValueError, zlib.error) as error:
        raise SourceError(f"not a zip file with ratings in ml-100k/u.data ({error})") from None
    if not (1 <= users.min() <= users.max() <= USERS and 1 <= items.min() <= items.max() <= ITEMS):
        raise SourceError(f"names users or items outside 1 to {USERS} and 1 to {ITEMS}")
    ids = np.stack([users, USERS + items], 1).astype(np.int32)
    names = [*(f"user {number}" for number in range(1, USERS + 1)), *(f"item {number}" for number in range(1, ITEMS + 1))]
    return Raw(ids, (stars >= LIKED).astype(np.int64), ids[:0], stars[:0], CLASS_NAMES, highest=USERS + ITEMS, vocabulary=names)
