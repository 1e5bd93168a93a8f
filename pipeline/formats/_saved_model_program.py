"""Runs and converts the network of a SavedModel, in a process of its own.

    python -m pipeline.formats._saved_model_program float32 FOLDER OUTPUT
    python -m pipeline.formats._saved_model_program int8 FOLDER OUTPUT IMAGES
    python -m pipeline.formats._saved_model_program outputs FOLDER OUTPUT IMAGES

The images are raw pixels in an npy file, beside which the adapter lies, as JSON.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import trackable_object_graph_pb2
from tensorflow.python.eager import context

from pipeline.files.artifacts import Array
from pipeline.formats._saved_model import CALLS, Network, read, reason
from pipeline.process.errors import UserError
from pipeline.runtimes.foreign import Adapter

WEIGHTS = "variables/variables"
BATCH = 100  # images that TensorFlow gets at a time


def _objects(graph: Any, saved: Any) -> dict[str, int]:
    """The object of each variable, by the name of its node: calls bind one to each argument."""
    result: dict[str, int] = {}
    for node in graph.node:
        if node.op in CALLS:
            bound = saved.concrete_functions[node.attr["f"].func.name].bound_inputs
            inputs = [name for name in node.input if not name.startswith("^")]
            result.update(zip(inputs[len(inputs) - len(bound) :], bound, strict=True))
    return result


def _weights(folder: Path, network: Network) -> dict[str, Array]:
    """The value of each variable, by the name of its node. Raises UserError."""
    try:
        reader = tf.train.load_checkpoint(str(folder / WEIGHTS))
        stored = trackable_object_graph_pb2.TrackableObjectGraph()
        stored.ParseFromString(reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"))
        same = _same_objects(network.saved, stored)
        objects = _objects(network.graph, network.saved)
        return {
            node.name: reader.get_tensor(
                stored.nodes[same[objects[node.name]]].attributes[0].checkpoint_key
            )
            for node in network.graph.node
            if node.op == "VarHandleOp"
        }
    except Exception as error:  # a damaged checkpoint can make TensorFlow raise anything
        raise UserError(
            f"the weights in {folder / 'variables'} cannot be read ({reason(error)}); expected "
            "the whole folder, as TensorFlow 2 saves it"
        ) from None


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
    """The network as a concrete function, and the module that holds its variables."""
    network = read(folder)
    module = tf.Module()
    module.weights = {name: tf.Variable(value) for name, value in _weights(folder, network).items()}
    for called in network.graph.library.function:
        context.context().add_function_def(called)
    # What `given` replaces must not stay: the converter takes it for variables without values.
    graph = tf.compat.v1.GraphDef(library=network.graph.library, versions=network.graph.versions)
    graph.node.extend(node for node in network.graph.node if node.name not in module.weights)
    image = tf.TensorSpec((batch, *network.shape), tf.float32, name="image")

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
    starts = range(0, len(images), BATCH)
    batches = (adapter.inputs(images[start : start + BATCH]) for start in starts)
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


def main(task: str, folder: str, output: str, images: str = "") -> None:
    path = Path(folder)
    if task == "float32":
        Path(output).write_bytes(in_float32(path))
        return
    given = np.load(images, mmap_mode="r"), Adapter.beside(Path(images))
    if task == "int8":
        Path(output).write_bytes(in_int8(path, *given))
    else:
        np.save(output, outputs(path, *given))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except UserError as error:
        raise SystemExit(str(error)) from None
    except Exception as error:  # TensorFlow and its converter raise anything
        raise SystemExit(
            f"TensorFlow cannot run or convert {sys.argv[2]} ({sys.argv[1]}): {reason(error)}"
        ) from None
