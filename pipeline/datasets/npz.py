"""Your own arrays: an npz file with x_train and y_train, and optionally x_test and y_test.

Inputs are of any kind in serving/inputs.py, recognized by their type and dimensions. Labels that
are texts name classes, and floats are numbers. Optional arrays: `class_names`, of a number its
name; for ids `vocabulary`, which names them; and any NAME_train and NAME_test with an entry for
each example, which `preprocess.group` may name.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from pipeline.config.params import Dataset
from pipeline.config.parts import declared
from pipeline.datasets import Raw
from pipeline.datasets.reading import doubtful_names, image_arrays, label_meaning
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError
from serving.inputs import KINDS, InputKind

FLOATS = "if they are a number to predict, such as an age, store y_train.astype(float)"


def load(params: Dataset) -> Raw:
    path = Path(params.path)
    arrays = _arrays(path)
    test = ("x_test", "y_test")
    for key in ("x_train", "y_train", *(test if arrays.keys() & set(test) else ())):
        if key not in arrays:
            others = [repr(name) for name in arrays if name not in ("x_train", "y_train", *test)]
            held = f", but {', '.join(others)}" if others else ""
            raise UserError(
                f"{path} has no array {key}{held}; expected x_train and y_train, and optionally "
                "both x_test and y_test"
            )
    return _raw(path, _with_numbers(path, arrays))


def _with_numbers(path: Path, arrays: dict[str, Array]) -> dict[str, Array]:
    """Labels that are text become numbers of classes, and their texts `class_names`.

    Raises UserError for a text that is not in `class_names`.
    """
    labels = {key: arrays[key] for key in ("y_train", "y_test") if key in arrays}
    if any(array.dtype.kind not in "US" or array.ndim != 1 for array in labels.values()):
        return arrays
    texts = {key: np.array(_names(array)) for key, array in labels.items()}
    for key, array in texts.items():
        if (array == "").any():
            raise UserError(
                f"{path}: {key} has an empty text in number {(array == '').argmax()}, counted from "
                "0; expected the name of a class, such as none"
            )
    names = arrays.get("class_names", np.unique(np.concatenate([*texts.values()])))
    doubtful_names.print_doubtful(_names(names))
    numbers = {name: number for number, name in enumerate(_names(names))}
    numbered: dict[str, Array] = {}
    for key, array in texts.items():
        if unknown := set(array.tolist()) - set(numbers):
            raise UserError(
                f"{path}: {key} has the label {min(unknown)!r}, which is not in class_names; add "
                "it, or leave class_names out"
            )
        numbered[key] = np.array([numbers[text] for text in array.tolist()], np.int64)
    return {**arrays, **numbered, "class_names": names}


def _arrays(path: Path) -> dict[str, Array]:
    """The arrays of the file by name, in this machine's byte order. Raises UserError."""
    try:
        file = np.load(path, allow_pickle=False)
        if isinstance(file, np.ndarray):
            raise UserError(
                f"dataset.path {path} holds a single array; expected an npz file with x_train and "
                "y_train, as np.savez writes it"
            )
        with file:
            arrays = {key: file[key] for key in file.files}
        for key, array in arrays.items():
            if not isinstance(array, np.ndarray):  # NumPy returns other members as bytes
                raise UserError(f"dataset.path {path} holds {key}, which is not an array")
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"dataset.path {path} does not exist; name an npz file") from None
    except Exception as error:  # NumPy and zipfile raise anything on a damaged file
        reason = str(error) or type(error).__name__
        if "allow_pickle" in str(error):  # NumPy's message advises to trust the file
            reason = "it holds Python objects, or is not an npz file"
        raise UserError(
            f"dataset.path {path} is not a readable npz file of arrays ({reason})"
        ) from None
    result: dict[str, Array] = {}
    for key, array in arrays.items():
        name = f"x{key[1:]}" if key.startswith("X_t") else key
        if name in result:
            raise UserError(f"dataset.path {path} holds X{name[1:]} and {name}; expected one")
        result[name] = array.astype(array.dtype.newbyteorder("="), copy=False)
    return result


def _names(array: Array) -> list[str]:
    """The names of classes, without blanks around them."""
    return [text.strip() for text in _texts(array)]


def _texts(array: Array) -> list[str]:
    """The entries as text; bytes are taken for UTF-8."""
    values = array.ravel().tolist()
    return [
        value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        for value in values
    ]


def _raw(path: Path, arrays: dict[str, Array]) -> Raw:
    kind, train = _inputs(path, "x_train", arrays["x_train"])
    _, test = _inputs(path, "x_test", arrays.get("x_test", arrays["x_train"][:0]))
    if (test.dtype, test.shape[1:]) != (train.dtype, train.shape[1:]):
        raise UserError(
            f"{path}: x_test is {test.dtype} of shape {test.shape} and x_train {train.dtype} of "
            f"shape {train.shape}; expected the same type and, but for the count N, the same shape"
        )
    train_labels = _labels(path, "y_train", arrays["y_train"])
    test_labels = _labels(path, "y_test", arrays.get("y_test", arrays["y_train"][:0]))
    names = _class_names(path, arrays, train_labels, test_labels)
    target = "classes" if train_labels.ndim == 1 else "labels"
    if train_labels.dtype.kind == "f":
        target = "number"
    if train_labels.ndim == 2 and _one_hot(train_labels) and _one_hot(test_labels):
        target, train_labels, test_labels = "classes", train_labels.argmax(1), test_labels.argmax(1)
    takes_words = declared("inputs", kind.name)["VOCABULARY"]
    vocabulary = _vocabulary(path, arrays, (train, test)) if takes_words else []
    return Raw(
        train,
        train_labels,
        test,
        test_labels,
        names,
        kind=kind.name,
        highest=len(vocabulary) or Raw.highest,
        vocabulary=vocabulary,
        target=target,
        train_columns=_columns(arrays, "train", len(train)),
        test_columns=_columns(arrays, "test", len(test)),
    )


def _columns(arrays: dict[str, Array], part: str, count: int) -> dict[str, list[str]]:
    """The arrays NAME_<part> (N,) beside x and y, by NAME, as text."""
    return {
        key.removesuffix(f"_{part}"): _texts(array)
        for key, array in arrays.items()
        if key.endswith(f"_{part}") and array.shape == (count,) and key != f"y_{part}"
    }


def _inputs(path: Path, key: str, array: Array) -> tuple[InputKind, Array]:
    """The kind of an array, and the array with an axis for channels. Raises UserError."""
    for kind in KINDS.values():
        channels = declared("inputs", kind.name)["CHANNELS"]
        left_out = 1 in channels and array.ndim == kind.dimensions
        fits = array.dtype == kind.type or _holds(kind.type, array)
        if fits and (left_out or array.ndim == kind.dimensions + 1):
            with np.errstate(over="ignore"):
                inputs = (array[..., None] if left_out else array).astype(kind.type, copy=False)
            _check(path, key, inputs, kind)
            return kind, inputs
    hint = image_arrays.cure(key, array) if array.dtype.kind in "biuf" else ""
    if array.dtype.kind == "f" and array.ndim == 2:
        hint += f"; if it holds series of one channel, store {key}[..., None]"
    expected = ", or ".join(declared("inputs", kind.name)["ARRAYS"] for kind in KINDS.values())
    raise UserError(
        f"{path}: {key} is {array.dtype} of shape {array.shape}; expected {expected}{hint}"
    )


def _holds(name: str, array: Array) -> bool:
    """Whether the type of this name holds the values of an array of another one."""
    if array.dtype.kind == "f":  # what float32 cannot hold becomes infinite, and is refused
        return np.dtype(name).kind == "f"
    if array.dtype.kind not in "iu" or np.dtype(name).kind not in "iu":
        return False
    limits = np.iinfo(name)
    return bool(limits.min <= array.min(initial=0) and array.max(initial=0) <= limits.max)


def _check(path: Path, key: str, array: Array, kind: InputKind) -> None:
    """Raises UserError for a number of channels, or for values, that the model cannot take."""
    channels = declared("inputs", kind.name)["CHANNELS"]
    if channels and array.shape[-1] not in channels:
        raise UserError(
            f"{path}: {key} has {array.shape[-1]} channels; expected "
            f"{' or '.join(map(str, channels))}{image_arrays.cure(key, array)}"
        )
    if fault := kind.fault(array):
        raise UserError(f"{path}: {key} {fault}")


def _vocabulary(path: Path, arrays: dict[str, Array], parts: tuple[Array, ...]) -> list[str]:
    """The names of the ids: `vocabulary`, or else their numbers. Raises UserError."""
    highest = int(max(part.max(initial=1) for part in parts))
    vocabulary = _texts(arrays.get("vocabulary", np.arange(1, highest + 1)))
    if len(vocabulary) < highest or min(part.min(initial=0) for part in parts) < 0:
        raise UserError(
            f"{path} has ids up to {highest} and a vocabulary of {len(vocabulary)}; expected ids "
            "from 0 to its length"
        )
    return vocabulary


def _labels(path: Path, key: str, labels: Array) -> Array:
    """Classes (N,), several labels (N, K), or numbers (N,) float32. Raises UserError."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 1 and labels.dtype.kind == "f":
        return _numbers(path, key, labels)
    if labels.ndim == 2 and labels.dtype.kind == "f" and np.isin(labels, (0, 1)).all():
        return labels.astype(np.int64)  # as Keras's to_categorical gives them
    others = labels[~np.isin(labels, (0, 1))] if labels.ndim == 2 else labels[:0]
    if labels.dtype.kind in "iu" and len(others):
        raise UserError(
            f"{path}: {key} holds {others[0]}; expected 0 and 1, a column for each of several "
            f"labels: if what is above 0 holds, store ({key} > 0).astype(int)"
        )
    types = "iu" if labels.ndim == 1 else "iub"
    if labels.ndim not in (1, 2) or labels.dtype.kind not in types:
        raise UserError(
            f"{path}: {key} is {labels.dtype} of shape {labels.shape}; expected integers or texts "
            "of shape (N,), or 0 and 1 of shape (N, K) for several labels at once, or floats of "
            "shape (N,) for one number"
        )
    return labels.astype(np.int64)


def _numbers(path: Path, key: str, labels: Array) -> Array:
    """The labels as float32. Raises UserError if that cannot hold them."""
    with np.errstate(over="ignore"):
        numbers = labels.astype(np.float32)
    if not np.isfinite(numbers).all():
        row = int(np.isfinite(numbers).argmin())
        raise UserError(
            f"{path}: {key} has {labels[row]} in number {row}, counted from 0; expected finite "
            "numbers that float32 holds"
        )
    return label_meaning.as_float32(labels.astype(np.float64))


def _one_hot(labels: Array) -> bool:
    """Whether each row has exactly one of the labels, which is then its class."""
    return bool(np.isin(labels, (0, 1)).all() and (labels.sum(1) == 1).all())


def _class_names(path: Path, arrays: dict[str, Array], *labels: Array) -> list[str]:
    """`class_names`, or else the numbers of the labels. Raises UserError."""
    if labels[0].shape[1:] != labels[1].shape[1:]:
        raise UserError(
            f"{path}: y_test is of shape {labels[1].shape} and y_train of {labels[0].shape}; "
            "expected the same shape but for the count N"
        )
    if labels[0].dtype.kind != labels[1].dtype.kind:
        raise UserError(
            f"{path}: one of y_train and y_test holds floats, a number, and the other integers, "
            "classes; expected the same type"
        )
    if labels[0].dtype.kind == "f":
        return _texts(arrays.get("class_names", np.array(["number"])))[:1]
    if "class_names" in arrays:
        names = _names(arrays["class_names"])
        repeated = [name for name, count in Counter(names).items() if count > 1]
        if repeated:
            raise UserError(
                f"{path}: class_names has {repeated[0]!r} more than once; expected unique names"
            )
        return names
    if labels[0].ndim == 2:
        return [str(label) for label in range(labels[0].shape[1])]
    highest, examples = max(int(part.max(initial=0)) for part in labels), sum(map(len, labels))
    if highest >= max(examples, 1):
        raise UserError(
            f"{path} has labels up to {highest} and {examples} examples; "
            f"expected labels that number the classes from 0; {FLOATS}"
        )
    return [str(label) for label in range(highest + 1)]
