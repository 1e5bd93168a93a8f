"""Runs and converts the network of a SavedModel, in a process of its own.

    python -m pipeline.formats._saved_model_program check FOLDER
    python -m pipeline.formats._saved_model_program float32 FOLDER OUTPUT
    python -m pipeline.formats._saved_model_program int8 FOLDER OUTPUT IMAGES
    python -m pipeline.formats._saved_model_program outputs FOLDER OUTPUT IMAGES

The images are raw pixels in an npy file, beside which the adapter lies, as JSON.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import trackable_object_graph_pb2
from tensorflow.python.eager import context

from pipeline.files.artifacts import Array
from pipeline.formats._saved_model import CALLS, SavedNetwork, read, reason
from pipeline.formats._saved_model_files import MOST_BYTES, WEIGHTS
from pipeline.process import limits
from pipeline.process.errors import UserError
from pipeline.runtimes.foreign import Adapter
from serving.errors import printable

BATCH = 100  # images that TensorFlow gets at a time
MOST_THREADS = 8  # of a pool: their stacks count as memory, which is limited


def _objects(graph: Any, saved: Any) -> dict[str, int]:
    """The object of each variable, by the name of its node: calls bind one to each argument."""
    result: dict[str, int] = {}
    for node in graph.node:
        if node.op in CALLS:
            bound = saved.concrete_functions[node.attr["f"].func.name].bound_inputs
            inputs = [name for name in node.input if not name.startswith("^")]
            result.update(zip(inputs[len(inputs) - len(bound) :], bound, strict=True))
    return result


def _weights(folder: Path, network: SavedNetwork) -> dict[str, Array]:
    """The value of each variable, by the name of its node. Raises UserError."""
    names = [node.name for node in network.graph.node if node.op == "VarHandleOp"]
    if not names:
        return {}
    try:
        with _checkpoint(folder) as reader:
            stored = trackable_object_graph_pb2.TrackableObjectGraph()
            stored.ParseFromString(reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"))
            same = _same_objects(network.saved, stored)
            objects = _objects(network.graph, network.saved)
            keys = {name: _key(stored.nodes[same[objects[name]]]) for name in names}
            _check_size(reader, keys.values())
            return {name: reader.get_tensor(key) for name, key in keys.items()}
    except Exception as error:  # a damaged checkpoint can make TensorFlow raise anything
        raise UserError(
            f"the weights in {folder / 'variables'} cannot be read ({reason(error)}); expected "
            "the whole folder, as TensorFlow 2 saves it"
        ) from None


@contextmanager
def _checkpoint(folder: Path) -> Iterator[Any]:
    """Its reader takes a path for a pattern, so it gets one without `*`, `?` or `[`."""
    with tempfile.TemporaryDirectory() as name:
        Path(name, WEIGHTS).parent.symlink_to((folder / WEIGHTS).parent.resolve())
        yield tf.compat.v1.train.NewCheckpointReader(str(Path(name, WEIGHTS)))


def _key(variable: Any) -> str:
    """Under which name the checkpoint has the value of a variable."""
    key: str = variable.attributes[0].checkpoint_key
    return key


def _check_size(reader: Any, keys: Iterable[str]) -> None:
    """Raises ValueError for tensors that are too large together, before they are allocated."""
    shapes, types = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    if sum(math.prod(shapes[key]) * types[key].size for key in keys) >= MOST_BYTES:
        raise ValueError("they have more than 2 GB")


def _same_objects(saved: Any, stored: Any) -> dict[int, int]:
    """For each object of the SavedModel its number in the checkpoint, by the names on the way."""
    same, todo = {0: 0}, [0]
    while todo:
        number = todo.pop()
        names = {child.local_name: child.node_id for child in stored.nodes[same[number]].children}
        for child in saved.nodes[number].children:
            if child.node_id not in same and child.local_name in names:
                same[child.node_id] = names[child.local_name]
                todo.append(child.node_id)
    return same


def function(folder: Path, batch: int | None) -> tuple[Any, tf.Module]:
    """The network as a concrete function, and the module that holds its variables.

    `batch` is how many images it takes at a time; None: as many as the SavedModel.
    """
    network = read(folder)
    module = tf.Module()
    module.weights = {name: tf.Variable(value) for name, value in _weights(folder, network).items()}
    for called in network.graph.library.function:
        context.context().add_function_def(called)
    # What `given` replaces must not stay: the converter takes it for variables without values.
    graph = tf.compat.v1.GraphDef(library=network.graph.library, versions=network.graph.versions)
    graph.node.extend(node for node in network.graph.node if node.name not in module.weights)
    image = tf.TensorSpec((batch or network.shape[0], *network.shape[1:]), tf.float32, name="image")

    @tf.function(input_signature=[image], autograph=False)  # type: ignore[untyped-decorator]
    def answer(image: Any) -> Any:
        capture = tf.compat.v1.get_default_graph().capture
        given = {f"{name}:0": capture(value.handle) for name, value in module.weights.items()}
        (result,) = tf.graph_util.import_graph_def(
            graph, {network.input: image, **given}, [network.output], name="theirs"
        )
        return result

    return answer.get_concrete_function(), module


def outputs(folder: Path, images: Array, adapter: Adapter) -> Array:
    """The probabilities (N, K) that TensorFlow computes for images (N, H, W, C)."""
    answer, _ = function(folder, None)
    size = answer.inputs[0].shape[0] or BATCH
    starts = range(0, len(images), size)
    batches = (adapter.inputs(images[start : start + size]) for start in starts)
    return np.concatenate([adapter.outputs(answer(tf.constant(batch))) for batch in batches])


def in_float32(folder: Path) -> bytes:
    answer, module = function(folder, 1)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([answer], module)
    return bytes(converter.convert())


def in_int8(folder: Path, images: Array, adapter: Adapter) -> bytes:
    """A .tflite file with int8 in and out, calibrated on images (N, H, W, C)."""
    answer, module = function(folder, 1)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([answer], module)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([adapter.inputs(each[None])] for each in images)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def main(task: str, folder: str, output: str = "", images: str = "") -> None:
    path = Path(folder)
    if task == "check":
        _weights(path, read(path))
    elif task == "float32":
        Path(output).write_bytes(in_float32(path))
    elif task == "int8":
        Path(output).write_bytes(in_int8(path, *_given(images)))
    else:
        np.save(output, outputs(path, *_given(images)))


def limit_threads() -> None:
    count = min(os.cpu_count() or 1, MOST_THREADS)
    tf.config.threading.set_intra_op_parallelism_threads(count)
    tf.config.threading.set_inter_op_parallelism_threads(count)


def _given(images: str) -> tuple[Array, Adapter]:
    return np.load(images, mmap_mode="r"), Adapter.beside(Path(images))


if __name__ == "__main__":
    limit_threads()
    limits.limit_memory()
    shown = printable(sys.argv[2])
    try:
        main(*sys.argv[1:])
    except UserError as error:
        raise SystemExit(printable(str(error))) from None
    except MemoryError:
        raise SystemExit(
            f"{shown} needs more than {limits.in_words()} of memory; expected a smaller model"
        ) from None
    except Exception as error:  # TensorFlow and its converter raise anything
        raise SystemExit(
            f"{shown} cannot be run or converted by TensorFlow ({reason(error)}); expected a "
            "network in float32, of operators that TensorFlow Lite has"
        ) from None
