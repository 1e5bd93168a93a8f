"""MovieLens 100k: how many stars, 1 to 5, a user gave an item. A number; see movielens_100k.py."""

from __future__ import annotations

from pipeline.config.params import Dataset
from pipeline.datasets import Raw, movielens_100k


def load(params: Dataset) -> Raw:
    return movielens_100k.published_table(movielens_100k.stars)
