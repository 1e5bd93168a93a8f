"""CIFAR-100 with its fine labels: 50,000 + 10,000 photographs in 100 classes (Krizhevsky, 2009).

Images are 32 x 32, in colour.
"""

from __future__ import annotations

from functools import partial

from pipeline.config.params import Dataset
from pipeline.datasets import Raw
from pipeline.datasets.reading import cifar, published
from pipeline.files import fetch

ADDRESS = "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"
SHA256 = "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"
PART_SHA256 = "89c4ebe35cf7cb90e8ae5fcee77e7494fd99bf019ffa4a7fcee90363a57b8609"


def load(params: Dataset) -> Raw:
    """The whole set; 5,000 + 1,000 of its images if only DATA_MIRROR's subset is available."""
    read = partial(
        cifar.archive,
        train=["train.bin"],
        test="test.bin",
        names="fine_label_names.txt",
        label_bytes=2,
    )
    whole = [source.then(read) for source in published.sources(ADDRESS, SHA256)]
    parts = published.mirror("cifar100_small.npz", PART_SHA256)
    part = [source.then(cifar.part) for source in parts]
    return fetch.first([*whole, *part], ADDRESS)
