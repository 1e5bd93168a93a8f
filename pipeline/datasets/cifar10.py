"""CIFAR-10: 50,000 + 10,000 photographs in 10 classes, 32 x 32 colour (Krizhevsky, 2009)."""

from __future__ import annotations

from functools import partial

from pipeline.config.params import Dataset
from pipeline.datasets import Raw
from pipeline.datasets.reading import cifar, published
from pipeline.files import fetch

ADDRESS = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
PART_SHA256 = "5e8f16c65ba9e287b9b42628e1f69ebc2e97e563ef1e6f0c29d1c3731301843e"


def load(params: Dataset) -> Raw:
    """The whole set; 5,000 + 1,000 of its images if only DATA_MIRROR's subset is available."""
    train = [f"data_batch_{number}.bin" for number in range(1, 6)]
    read = partial(
        cifar.archive, train=train, test="test_batch.bin", names="batches.meta.txt", label_bytes=1
    )
    whole = [source.then(read) for source in published.sources(ADDRESS, SHA256)]
    parts = published.mirror("cifar10_small.npz", PART_SHA256)
    part = [source.then(cifar.part) for source in parts]
    return fetch.first([*whole, *part], ADDRESS)
