"""The integer C equals that of BakeNN, another generator, for the files that BakeNN takes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import bakenn
import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from benchmarks.integer_c import oracle
from pipeline.architectures import edge
from pipeline.config.params import Network
from pipeline.embedded import _integer_c, _zig
from pipeline.embedded._integer_c.network import read
from pipeline.files.artifacts import Array, Inputs
from pipeline.formats import tflite_int8

MIRROR = Path(os.environ.get("DATA_MIRROR", "")) / "mlperf_tiny"
PUBLISHED = ("pretrainedResnet_quant", "vww_96_int8", "kws_ref_model", "ad01_int8")
Operators = schema.BuiltinOperator
MAIN = """
#include <stdio.h>
#include "bknn_net.h"
int main(void)
{
    static int8_t input[BKNN_NET_INPUT_SIZE], output[BKNN_NET_OUTPUT_SIZE];
    static _Alignas(BKNN_NET_ARENA_ALIGNMENT) uint8_t arena[BKNN_NET_ARENA_SIZE];
    while (fread(input, 1, sizeof input, stdin) == sizeof input) {
        bknn_net_infer(arena, input, output);
        fwrite(output, 1, sizeof output, stdout);
    }
    return 0;
}
"""


def as_bakenn_takes_it(model: bytes) -> bytes:
    """The file without QUANTIZE at its beginning, or SOFTMAX at its end, which BakeNN lacks.

    Nor does it take batches of unknown size, or a RESHAPE without options.
    """
    tree = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(model, 0))
    (graph,) = tree.subgraphs
    tree.signatureDefs = []  # they name the tensors that are inputs and outputs now
    for tensor in graph.tensors:
        tensor.shapeSignature = None

    def kind(operator: schema.OperatorT) -> int:
        code = tree.operatorCodes[operator.opcodeIndex]
        return int(max(code.builtinCode, code.deprecatedBuiltinCode))

    if kind(graph.operators[0]) == Operators.QUANTIZE:
        graph.inputs = graph.operators.pop(0).outputs
    while kind(graph.operators[-1]) in (Operators.SOFTMAX, Operators.DEQUANTIZE):
        graph.outputs = graph.operators.pop().inputs[:1]
    for operator in graph.operators:
        if kind(operator) == Operators.RESHAPE and operator.builtinOptions is None:
            operator.builtinOptionsType = schema.BuiltinOptions.ReshapeOptions
            operator.builtinOptions = schema.ReshapeOptionsT()
            operator.builtinOptions.newShape = graph.tensors[operator.outputs[0]].shape
    builder = flatbuffers.Builder(len(model))
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def by_bakenn(model: Path, inputs: Array, folder: Path) -> Array:
    """The outputs (N, size) int8 of its C."""
    bakenn.compile_tflite(model, folder, name="net")
    (folder / "main.c").write_text(MAIN)
    sources = sorted(path.name for path in folder.glob("*.c"))
    _zig.build(folder, sources, folder / "program", "-target", "x86_64-linux-musl", "-std=c11")
    done = subprocess.run(
        [folder / "program"], input=inputs.tobytes(), capture_output=True, check=True
    )
    return np.frombuffer(done.stdout, np.int8).reshape(len(inputs), -1)


def by_us(model: bytes, inputs: Array, folder: Path) -> Array:
    """The outputs (N, size) int8 of ours."""
    program = oracle.compiled([_integer_c.translate(model, "a network")], folder)
    _, outputs = oracle.layer_outputs([program, "0"], read(model), inputs)[-1]
    return outputs


def differing(model: bytes, tmp_path: Path) -> int:
    """How many bytes differ for 100 inputs, random and extreme ones."""
    converted = as_bakenn_takes_it(model)
    (tmp_path / "model.tflite").write_bytes(converted)
    inputs = oracle.inputs(read(converted), 100)
    theirs = by_bakenn(tmp_path / "model.tflite", inputs, tmp_path / "bakenn")
    (tmp_path / "ours").mkdir()
    ours = by_us(converted, inputs, tmp_path / "ours")
    assert len(np.unique(ours)) > 10  # so that equal bytes mean something
    return int((theirs != ours).sum())


@pytest.mark.skipif(not MIRROR.is_dir(), reason="the mirror has no models of MLPerf Tiny")
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_model_gives_the_bytes_of_bakenn(name: str, tmp_path: Path) -> None:
    assert differing((MIRROR / f"{name}.tflite").read_bytes(), tmp_path) == 0


@pytest.mark.filterwarnings("ignore:[^a-z]*Warning. tf.lite.Interpreter is deprecated")
def test_edge_gives_the_bytes_of_bakenn(tmp_path: Path) -> None:
    """With untrained weights; a bias of zeros would be left out, which BakeNN does not take."""
    network = edge.build(Inputs((28, 28, 1)), 10, Network())
    network.layers[-1].bias.assign(np.linspace(-0.1, 0.1, 10))
    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28, 1), np.uint8)
    assert differing(tflite_int8.convert(network, images), tmp_path) == 0
