"""Fashion-MNIST: 60,000 + 10,000 articles of clothing, 28 x 28 grey, under the MIT licence.

Source: Xiao, Rasul and Vollgraf, 2017.
"""

from __future__ import annotations

from pipeline.config.params import Dataset
from pipeline.datasets import Raw
from pipeline.files import fetch

SHA256 = (
    "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012",
    "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7",
    "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a",
    "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9",
)
CLASS_NAMES = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
]
IDX = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets",
)


def load(params: Dataset) -> Raw:
    x_train, y_train, x_test, y_test = fetch.first_arrays(sources(), SHA256)
    return Raw(x_train[..., None], y_train, x_test[..., None], y_test, CLASS_NAMES)


def sources() -> list[fetch.Source[fetch.Arrays]]:
    return [
        *fetch.mirror("fashion_mnist"),
        *[fetch.Source(address, lambda address=address: fetch.idx(address)) for address in IDX],  # type: ignore[misc]
        fetch.Source("Debian's dataset-fashion-mnist", debian),
    ]


def debian() -> fetch.Arrays:
    files = fetch.debian_files("dataset-fashion-mnist", "usr/share/datasets/fashion-mnist")
    try:
        x_train, y_train, x_test, y_test = (
            fetch.parse_idx(files[f"{name}-ubyte.gz"]) for name in fetch.IDX_FILES
        )
    except KeyError as error:
        raise fetch.SourceError(f"the package lacks {error}") from None
    return x_train, y_train, x_test, y_test
