"""Reads a Keras model that somebody else saved, and runs nothing that the file brings.

A Keras file names the classes of its layers, and may hold code of its own: Lambda layers are
marshalled Python, custom objects are looked up by any name. So the config is read as JSON first,
and Keras sees the file only if every class in it is one of Keras's own.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import keras

from pipeline.process import git_lfs, imports
from pipeline.process.errors import UserError

ENTRIES = {"metadata.json", "config.json", "model.weights.h5"}  # of a .keras file
MOST_CONFIG, MOST_BYTES = 2**26, 2**31  # bytes of the config, and of the unpacked file
# Layers that run code, or read files that their config names.
REFUSED = {
    *("Lambda", "TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper"),
    *("TextVectorization", "StringLookup", "IntegerLookup", "IndexLookup"),
}
CONTAINERS = {"Functional", "Model", "Sequential"}
# Where Keras says that these classes are.
MODULES = {
    *("keras", "keras.layers", "keras.initializers", "keras.regularizers", "keras.constraints"),
    *("keras.dtype_policies", "keras.src.models.functional", "keras.src.models.sequential"),
    *("keras.models", "keras.src.models.model"),
}
VALUES = {"__keras_tensor__", "__tuple__", "__numpy__"}  # not classes, but data in a config


class _DepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """Reads the layer as Keras 2 saved it, with `groups`, which never had an effect."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> keras.layers.DepthwiseConv2D:
        if config.get("groups") == 1:
            config = {name: value for name, value in config.items() if name != "groups"}
        return keras.layers.DepthwiseConv2D(**config)


def load(path: Path) -> keras.Model:
    """The model in `path`, a .keras or .h5 file, without its optimizer. Raises UserError."""
    check(path)
    try:
        with imports.quiet():
            model: keras.Model = keras.saving.load_model(
                path,
                custom_objects={"DepthwiseConv2D": _DepthwiseConv2D},
                compile=False,
                safe_mode=True,
            )
    except Exception as error:  # a damaged file can make Keras raise anything
        raise UserError(f"{path} is not a model that Keras can read: {_reason(error)}") from None
    return model


def check(path: Path) -> None:
    """Raises UserError unless `path` is a Keras model of Keras's own classes."""
    git_lfs.refuse(path)
    config = _zip_config(path) if path.suffix == ".keras" else _h5_config(path)
    if not isinstance(config, dict) or "class_name" not in config:
        raise UserError(f"the config of {path} does not describe a Keras model")
    for part in _parts({name: config[name] for name in config if name != "compile_config"}):
        name = str(part["class_name"])
        if name in REFUSED or name == "__lambda__":
            raise UserError(
                f"{path} has a {name} layer, which runs code or reads files that its maker chose; "
                "expected a model of Keras's other layers: rebuild it with those"
            )
        if not _is_own(part, name):
            raise UserError(
                f"{path} has an object of class {name}, which is not one of Keras's own layers, so "
                "its code would have to run here; expected a model of Keras's layers alone"
            )


def _zip_config(path: Path) -> Any:
    """The config in a .keras file. Raises UserError."""
    try:
        with zipfile.ZipFile(path) as file:
            entries = file.infolist()
            names = {entry.filename for entry in entries}
            if names != ENTRIES or len(entries) > len(ENTRIES):
                other = sorted(names - ENTRIES)
                fault = f"holds {other[0]!r}" if other else "is incomplete"
                raise UserError(f"{path} {fault}; expected exactly {', '.join(sorted(ENTRIES))}")
            if sum(entry.file_size for entry in entries) > MOST_BYTES:
                raise UserError(f"{path} unpacks to more than 2 GB; expected a smaller model")
            if file.getinfo("config.json").file_size > MOST_CONFIG:
                raise UserError(f"the config of {path} has more than 64 MB")
            return json.loads(file.read("config.json"))
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, NotImplementedError) as error:
        raise UserError(
            f"{path} is not a whole .keras file ({_reason(error)}); expected the zip file that "
            "`model.save` of Keras 3 writes"
        ) from None


def _h5_config(path: Path) -> Any:
    """The config in an HDF5 file. Raises UserError."""
    try:
        with h5py.File(path, "r") as file:
            config = file.attrs.get("model_config")
            return json.loads(config) if config is not None else _refuse_weights(path)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise UserError(
            f"{path} is not a whole HDF5 file ({_reason(error)}); expected the file that "
            "`model.save` of Keras writes"
        ) from None


def _refuse_weights(path: Path) -> None:
    raise UserError(
        f"{path} holds weights without their layers; expected a whole model, as `model.save` "
        "writes it, and not `save_weights`"
    )


def _parts(value: Any) -> Iterator[dict[str, Any]]:
    """Every description of an object in a config."""
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, dict):
            if "class_name" in item:
                yield item
            todo.extend(item.values())
        elif isinstance(item, list):
            todo.extend(item)


def _is_own(part: dict[str, Any], name: str) -> bool:
    """Whether Keras finds the class among its own, and not among those that code registered."""
    module = str(part.get("module") or "keras")
    registered = str(part.get("registered_name") or "")
    return module in MODULES and ">" not in registered and name in _own_classes()


@cache
def _own_classes() -> frozenset[str]:
    """The names of Keras's layers, and of what a layer's config may hold."""
    kinds = {
        keras.layers: keras.Layer,
        keras.initializers: keras.Initializer,
        keras.regularizers: keras.Regularizer,
        keras.constraints: keras.constraints.Constraint,
        keras.dtype_policies: keras.DTypePolicy,
    }
    names = {
        name
        for module, base in kinds.items()
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, base)
    }
    return frozenset((names - REFUSED) | CONTAINERS | VALUES)


def _reason(error: Exception) -> str:
    """Keras's or HDF5's message on one line, without the time and addresses that HDF5 adds."""
    return " ".join(str(error).split()).partition(", errno")[0].partition(": time")[0][:200]
