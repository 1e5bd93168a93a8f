"""A damaged or hostile SavedModel ends in one sentence, in bounded time and memory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf
from keras import layers
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import saved_model_pb2

from pipeline.formats import _saved_model, _saved_model_files, _saved_model_process
from pipeline.planning import prove as planning
from pipeline.process.errors import UserError

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")

Change = Callable[[Any], object]  # of the graph and its signatures, or of the folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SavedModel of a small network, which nobody has changed yet."""
    path = tmp_path_factory.mktemp("saved") / "theirs"
    model = keras.Sequential([keras.Input((4, 4, 1)), layers.Flatten(), layers.Dense(3)])
    model.export(path, verbose=False)
    return path


@pytest.fixture
def theirs(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "theirs"))


def edit(folder: Path, change: Change) -> None:
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    change(saved.meta_graphs[0])
    (folder / "saved_model.pb").write_bytes(saved.SerializeToString())


def signature(meta: Any) -> Any:
    return meta.signature_def["serving_default"]


def entry(meta: Any) -> Any:
    return next(iter(signature(meta).inputs.values()))


def end(meta: Any) -> Any:
    return next(iter(signature(meta).outputs.values()))


def another(tensors: Any) -> None:
    tensors["another"].CopyFrom(next(iter(tensors.values())))


def called(meta: Any) -> Any:
    """The function that gives the output."""
    name = end(meta).name.partition(":")[0]
    (node,) = (node for node in meta.graph_def.node if node.name == name)
    library = meta.graph_def.library.function
    (function,) = (part for part in library if part.signature.name == node.attr["f"].func.name)
    return function


def call(function: Any, other: str, times: int = 1) -> None:
    for number in range(times):
        node = function.node_def.add(name=f"call_{other}_{number}", op="PartitionedCall")
        node.attr["f"].func.name = other


def doubling(meta: Any) -> None:
    """Functions of which each calls the next one twice, 64 times: 2^64 operators."""
    library = meta.graph_def.library
    for number in range(64):
        function = library.function.add()
        function.signature.name = f"f{number}"
        function.node_def.add(name="value", op="Const")
        if number:
            call(function, f"f{number - 1}", 2)
    call(called(meta), "f63")


def branches(meta: Any) -> None:
    """An operator that chooses a function, one of which writes a file."""
    function = meta.graph_def.library.function.add()
    function.signature.name = "branch"
    function.node_def.add(name="write", op="WriteFile")
    node = called(meta).node_def.add(name="choose", op="PartitionedCall")
    node.attr["branches"].list.func.add(name="branch")


FAULTS: dict[str, tuple[Change, str]] = {
    "two inputs": (lambda meta: another(signature(meta).inputs), "has 2 inputs; expected one"),
    "two outputs": (lambda meta: another(signature(meta).outputs), "has 2 outputs; expected one"),
    "none": (lambda meta: signature(meta).outputs.clear(), "has 0 outputs; expected one"),
    "no signature": (lambda meta: meta.signature_def.clear(), "has no signature serving_default"),
    "no tag": (lambda meta: meta.meta_info_def.tags.pop(), "has no graph with the tag 'serve'"),
    "strings": (
        lambda meta: setattr(entry(meta), "dtype", types_pb2.DT_STRING),
        "takes values of type string; expected float32",
    ),
    "no type": (lambda meta: setattr(entry(meta), "dtype", 9999), "takes values of type 9999"),
    "any rank": (
        lambda meta: entry(meta).tensor_shape.CopyFrom(tf.TensorShape(None).as_proto()),
        "takes inputs whose shape is unknown",
    ),
    "batch of 32": (
        lambda meta: setattr(entry(meta).tensor_shape.dim[0], "size", 32),
        r"shape is \(32, 4, 4, 1\), .* expected one image or any number",
    ),
    "any size": (
        lambda meta: setattr(entry(meta).tensor_shape.dim[1], "size", -1),
        r"shape is \(-1, -1, 4, 1\)",
    ),
    "no such node": (
        lambda meta: setattr(end(meta), "name", "missing:0"),
        "has an output that nothing in it computes",
    ),
    "not of the input": (
        lambda meta: setattr(entry(meta), "name", "missing:0"),
        "has an output that does not depend on its input",
    ),
    "itself": (
        lambda meta: call(called(meta), called(meta).signature.name),
        "has a function that calls itself",
    ),
    "2^64": (doubling, "has more than 100,000 operators"),
    "no such function": (
        lambda meta: call(called(meta), "missing"),
        "has an output that nothing in it computes",
    ),
    "in a branch": (branches, "has the operator WriteFile, which is not among"),
    "While": (
        lambda meta: called(meta).node_def.add(name="loop", op="While"),
        "has the operator While, which is not among",
    ),
    "custom": (
        lambda meta: called(meta).node_def.add(name="own", op="TheirOwn\x1b[31m"),
        r"has the operator TheirOwn.x1b.31m, which is not among",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_graph_that_cannot_be_taken_is_refused_before_tensorflow_gets_it(
    fault: str, theirs: Path
) -> None:
    change, message = FAULTS[fault]
    _saved_model.read(theirs)
    edit(theirs, change)
    with pytest.raises(UserError, match=message):
        _saved_model.read(theirs)


def linked(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def sparse(path: Path) -> None:
    """A file that claims a terabyte and has none of it."""
    with path.open("r+b") as file:
        file.truncate(2**40)


GRAPH, INDEX = "saved_model.pb", "variables/variables.index"
SHARD = "variables/variables.data-00000-of-00001"


@pytest.mark.parametrize("name", [GRAPH, INDEX, SHARD])
@pytest.mark.parametrize(
    "change",
    [
        fifo,
        as_folder,
        sparse,
        lambda path: linked(path, path.name),  # endless
        lambda path: linked(path, "/dev/zero"),
    ],
    ids=["fifo", "folder", "sparse", "endless", "device"],
)
def test_what_is_no_file_of_a_fair_size_is_never_opened(
    name: str, change: Callable[[Path], None], theirs: Path
) -> None:
    change(theirs / name)
    expected = r"without the file|is not a file; expected|has more than 2 GB; expected"
    with pytest.raises(UserError, match=expected):
        planning.check_folder(theirs, {})


def test_a_link_is_followed_and_what_it_leads_to_counts_for_the_digest(
    theirs: Path, tmp_path: Path
) -> None:
    """As in the caches of model hubs, whose snapshots are links."""
    before = _saved_model_files.sha256(theirs)
    (theirs / "variables").rename(tmp_path / "elsewhere")
    (theirs / "variables").symlink_to(tmp_path / "elsewhere")
    (theirs / "assets").mkdir(exist_ok=True)
    linked_asset = theirs / "assets" / "words.txt"
    linked_asset.symlink_to("/dev/zero")  # which nobody reads
    planning.check_folder(theirs, {})
    assert _saved_model_files.sha256(theirs) == before
    with (tmp_path / "elsewhere" / "variables.index").open("ab") as file:
        file.write(b"more")
    assert _saved_model_files.sha256(theirs) != before


def many_nothings(folder: Path) -> None:
    """A graph of 200 million empty nodes, each in two bytes."""
    (folder / GRAPH).write_bytes(b"\x12\x00" * 200_000_000)


def cut(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])

    return change


def garbled(folder: Path) -> None:
    data = bytearray((folder / INDEX).read_bytes())
    data[20:60] = bytes(range(40))
    (folder / INDEX).write_bytes(data)


def giant_constant(folder: Path) -> None:
    """A constant of 10^12 numbers, of which the file has one."""
    value = tf.make_tensor_proto(1.0, tf.float32, (1, 3))
    value.tensor_shape.dim[0].size = 10**12

    def change(meta: Any) -> None:
        for function in meta.graph_def.library.function:
            for node in [node for node in function.node_def if node.op in ("AddV2", "BiasAdd")]:
                node.op, node.input[1] = "AddV2", "giant:output:0"
                giant = function.node_def.add(name="giant", op="Const")
                giant.attr["value"].tensor.CopyFrom(value)
                giant.attr["dtype"].type = types_pb2.DT_FLOAT

    edit(folder, change)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(many_nothings, "Arena alloc failed", marks=pytest.mark.long),
        (cut(GRAPH), "is damaged, or a part of it is missing"),
        (cut(INDEX), "the weights in .* cannot be read"),
        (cut(SHARD), "the weights in .* cannot be read"),
        (garbled, "the weights in .* cannot be read"),
        (lambda folder: (folder / SHARD).unlink(), "the weights in .* cannot be read"),
        (giant_constant, r"needs more than 8 GB|cannot be run or converted|die with signal"),
    ],
    ids=["nothings", "graph", "index", "shard", "garbled", "no shard", "constant"],
)
def test_damage_and_claims_of_memory_end_in_a_sentence(
    change: Callable[[Path], None], message: str, theirs: Path, tmp_path: Path
) -> None:
    change(theirs)
    with pytest.raises(UserError, match=message) as refused:
        _saved_model_process.convert(theirs, tmp_path / "theirs.tflite")
    assert str(theirs) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "theirs.tflite").exists()
