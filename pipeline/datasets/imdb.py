"""IMDB: 25,000 + 25,000 film reviews, negative or positive (Maas et al., 2011, ACL).

A review is encoded as the ids of its distinct words, out of the most frequent words of the training
part. The reviews are published in the order of their labels, so they are shuffled here, with a
fixed seed.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Sequence

import numpy as np
from pydantic import PositiveInt

from pipeline.config import section
from pipeline.config.params import Dataset
from pipeline.datasets import Raw
from pipeline.datasets.reading import published
from pipeline.files import fetch
from pipeline.files.fetch import SourceError
from serving import words

ADDRESS = "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz"
SHA256 = "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe"
# the same reviews as one CSV file with the columns split,label,id,rating,text
TABLE_SHA256 = "880ee18ff5ba494dc6ef7689cd8614733cffcac71c40237487515f51f6b71a37"
CLASS_NAMES = ["negative", "positive"]
EXAMPLES = 8

Reviews = dict[str, list[tuple[int, str]]]  # label and text of each review, for train and test


class Options(section.Options):
    vocabulary: PositiveInt = 10_000  # most frequent words to use
    length: PositiveInt = 512  # different words of a review


def load(params: Dataset) -> Raw:
    options = params.options(Options)
    *mirrored, publisher = published.sources(ADDRESS, SHA256)
    tables = published.mirror("imdb.csv.gz", TABLE_SHA256)
    sources = [
        *(source.then(archive) for source in mirrored),
        *(source.then(table) for source in tables),
        publisher.then(archive),
    ]
    return encode(fetch.first(sources, ADDRESS), options)


def encode(reviews: Reviews, options: Options) -> Raw:
    """Ids and labels of both parts, each shuffled."""
    rng = np.random.default_rng(0)
    train, test = (
        [part[row] for row in rng.permutation(len(part))]
        for part in (reviews["train"], reviews["test"])
    )
    train_texts, test_texts = ([text for _, text in part] for part in (train, test))
    train_labels, test_labels = (np.array([label for label, _ in part]) for part in (train, test))
    vocabulary = most_frequent(train_texts, options.vocabulary)
    id_of = words.numbered(vocabulary)
    return Raw(
        words.ids(train_texts, id_of, options.length),
        train_labels,
        words.ids(test_texts, id_of, options.length),
        test_labels,
        CLASS_NAMES,
        kind="ids",
        highest=len(vocabulary),
        vocabulary=vocabulary,
        examples=test_texts[:EXAMPLES],
    )


def most_frequent(texts: Sequence[str], count: int) -> list[str]:
    """The `count` most frequent words; equally frequent ones in alphabetical order."""
    counts = Counter(word for text in texts for word in words.words(text))
    return sorted(counts, key=lambda word: (-counts[word], word))[:count]


def archive(data: bytes) -> Reviews:
    """The publisher's tar.gz: aclImdb/<split>/<neg or pos>/<id>_<rating>.txt."""
    rows = []
    for path, content in published.members(data):
        parts = path.split("/")
        if len(parts) == 4 and parts[1] in ("train", "test") and parts[2] in ("neg", "pos"):
            label, number = int(parts[2] == "pos"), int(parts[3].split("_")[0])
            rows.append((parts[1], label, number, content.decode("utf-8")))
    return by_split(rows)


def table(data: bytes) -> Reviews:
    """The reviews from a gzipped CSV file."""
    try:
        text = gzip.decompress(data).decode("utf-8")
        rows = [
            (row["split"], int(row["label"]), int(row["id"]), row["text"])
            for row in csv.DictReader(io.StringIO(text, newline=""))
        ]
    except (OSError, EOFError, ValueError, KeyError, zlib.error) as error:
        raise SourceError(
            f"not a gzipped CSV file with the columns split, label, id and text ({error})"
        ) from None
    return by_split(rows)


def by_split(rows: list[tuple[str, int, int, str]]) -> Reviews:
    """Groups rows of split, label, id and text, and sorts them by label and id."""
    reviews: Reviews = {"train": [], "test": []}
    for split, label, _, text in sorted(rows):
        reviews[split].append((label, text))
    if not reviews["train"] or not reviews["test"]:
        raise SourceError("lacks reviews; expected some for train and some for test")
    return reviews
