"""The C text of a network: network.c, network.h and weights.h; layers/ is copied as it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.embedded._integer_c import convert, storage
from pipeline.embedded._integer_c.answers import Answers
from pipeline.embedded._integer_c.layer import Layer
from pipeline.embedded._integer_c.network import NORMALIZE, Network, Tensor, read
from pipeline.embedded._integer_c.storage import Storage
from pipeline.files.artifacts import Array

TEMPLATES = Path(__file__).parent / "layers"
HEADERS = ("dot_product.h", "fixed_point.h", "grid.h", "layers.h", "sums.h")
NORMALIZATION = "normalization.h"
VALUES_IN_A_LINE = {"int8": 16, "int32": 7, "float32": 5}
TYPES = {"int8": "int8_t", "uint8": "uint8_t", "int32": "int32_t", "float32": "float"}


@dataclass(frozen=True)
class Code:
    """The C files of a network by their path, and the bytes of its arena and of its constants.

    `least_arena_bytes` is what the busiest layer needs; no arena can be smaller.
    """

    files: dict[str, str]
    arena_bytes: int
    least_arena_bytes: int
    constant_bytes: int

    @property
    def sources(self) -> list[str]:
        """The files to compile."""
        return sorted(name for name in self.files if name.endswith(".c"))


def translate(
    data: bytes,
    origin: str,
    accept_from: float | None = None,
    holds_from: Sequence[float] | None = None,
) -> Code:
    """The C code of the TensorFlow Lite file `data`, whose name `origin` stands in comments.

    It rejects an input if no output stands for `accept_from` or more. Of several labels at once,
    each holds if its output stands for its `holds_from` or more. Equal files give equal code.
    Raises UserError for a network that cannot be translated.
    """
    network = read(data)
    answers = Answers.of(network.output, accept_from, holds_from)
    layers = convert.layers(network)
    placed = storage.assign(network, layers)
    arrays = dict(constants(layers))
    files = {
        "network.h": header(placed, origin, answers),
        "network.c": source(placed, layers, origin, answers),
        "weights.h": weights(arrays, origin),
        **library(layers),
    }
    constant_bytes = sum(values.nbytes for values in arrays.values())
    return Code(files, placed.arena_bytes, placed.least_arena_bytes, constant_bytes)


def library(layers: list[Layer]) -> dict[str, str]:
    """The files in `layers/` that the network needs."""
    used = {call.source for layer in layers for call in layer.calls}
    used |= {NORMALIZATION} if computes_in_float(layers) else set()
    return {
        f"layers/{name}": (TEMPLATES / name).read_text(encoding="utf-8")
        for name in sorted({*HEADERS, *used})
    }


def computes_in_float(layers: list[Layer]) -> bool:
    """Whether the inputs are measurements, which are scaled in floating point."""
    return any(layer.operator.name == NORMALIZE for layer in layers)


def header(placed: Storage, origin: str, answers: Answers) -> str:
    output, none = placed.network.output, ""
    if answers.accept_from is not None:
        none = (
            " * Returns -1, for none of the classes, if the largest is below NETWORK_ACCEPT_FROM.\n"
        )
    scaled = ""
    if placed.network.input.dtype == "float32":
        scaled = " * But inputs are measurements, which are scaled in floating point.\n"
    return (
        f"/* The network of {origin} in integers. Generated. */\n"
        "#ifndef NETWORK_H\n"
        "#define NETWORK_H\n\n"
        "#include <stdint.h>\n\n"
        "#ifdef __cplusplus\n"
        'extern "C" {\n'
        "#endif\n\n"
        f"#define NETWORK_INPUTS {placed.network.input.size}\n"
        f"#define NETWORK_OUTPUTS {output.size}\n\n"
        "/* RAM for the values between layers: a static array in network.c. */\n"
        f"#define NETWORK_ARENA_BYTES {placed.arena_bytes}\n\n"
        "/* An output q stands for the real number SCALE * (q - ZERO_POINT). */\n"
        f"#define NETWORK_OUTPUT_SCALE {output.scale:.8e}f\n"
        f"#define NETWORK_OUTPUT_ZERO_POINT ({output.zero_point})\n\n"
        f"{answers.definitions}"
        "/*\n"
        " * Writes NETWORK_OUTPUTS outputs for NETWORK_INPUTS inputs. Returns the index of the\n"
        " * largest: of one class of several, that is the answer. Uses integers only, and no\n"
        " * library. Two calls must not overlap, because they share the arena.\n"
        f"{scaled}"
        f"{none}"
        " */\n"
        f"{prototype(placed.network)};\n\n"
        "#ifdef __cplusplus\n"
        "}\n"
        "#endif\n\n"
        "#endif\n"
    )


def prototype(network: Network) -> str:
    source, output = TYPES[network.input.dtype], TYPES[network.output.dtype]
    return f"int network_run(const {source} *input, {output} *output)"


def source(placed: Storage, layers: list[Layer], origin: str, answers: Answers) -> str:
    answer = "largest"
    if answers.accept_from is not None:
        answer = "output[largest] < NETWORK_ACCEPT_FROM ? -1 : largest"
    arena = (
        "/* int16_t for its alignment */\n"
        "static int16_t memory[NETWORK_ARENA_BYTES / 2];\n"
        "static int8_t *const arena = (int8_t *)memory;\n\n"
    )
    scaling = f'#include "layers/{NORMALIZATION}"\n' if computes_in_float(layers) else ""
    structs = "".join(
        struct for index, layer in enumerate(layers) for struct in definitions(index, layer)
    )
    return (
        f"/* The network of {origin}, layer by layer. Generated. */\n"
        '#include "network.h"\n\n'
        '#include "layers/layers.h"\n'
        f"{scaling}"
        '#include "weights.h"\n\n'
        "/* A program that wants to look at the values between layers defines this. */\n"
        "#ifndef AFTER_LAYER\n"
        "#define AFTER_LAYER(number, values, count)\n"
        "#endif\n\n"
        f"{structs}"
        f"{arena if placed.arena_bytes else ''}"
        f"{prototype(placed.network)}\n"
        "{\n"
        "    int largest = 0;\n"
        f"{''.join(statements(placed, layers))}"
        "    for (int index = 1; index < NETWORK_OUTPUTS; index++)\n"
        "        if (output[index] > output[largest])\n"
        "            largest = index;\n"
        f"    return {answer};\n"
        "}\n"
    )


def title(index: int, layer: Layer) -> str:
    """The number of a layer, its operator, and the shapes of its inputs and its output."""
    operator = layer.operator
    inputs = " and ".join(shape(tensor) for tensor in operator.variable)
    return f"/* {index}: {operator.name}, {inputs} to {shape(operator.output)} */\n"


def shape(tensor: Tensor) -> str:
    sizes = tensor.shape[1:] if tensor.shape[:1] == (1,) and len(tensor.shape) > 1 else tensor.shape
    return " x ".join(map(str, sizes)) or "1"


def definitions(index: int, layer: Layer) -> Iterator[str]:
    """The constant structs of a layer."""
    for part, call in enumerate(layer.calls):
        heading = title(index, layer) if not part else ""
        name = struct_name(index, part, layer)
        values = braced(call.fields, name)
        yield f"{heading}static const struct {call.struct} {name} = {values};\n\n"


def struct_name(index: int, part: int, layer: Layer) -> str:
    return f"layer_{index}" + (f"_part_{part}" if len(layer.calls) > 1 else "")


def braced(fields: dict[str, Any], name: str, indent: str = "    ") -> str:
    """The initializer of a struct, a line for each field."""
    lines = (
        f"{indent}.{key} = {initializer(value, f'{name}_{key}', indent)},\n"
        for key, value in fields.items()
    )
    return f"{{\n{''.join(lines)}{indent[4:]}}}"


def initializer(value: Any, name: str, indent: str) -> str:
    """A value in C; an array is a constant called `name` in weights.h."""
    if isinstance(value, np.ndarray):
        return name
    if isinstance(value, dict):
        return braced(value, name, indent + "    ")
    if isinstance(value, tuple):
        return f"{{{', '.join(map(str, value))}}}"
    return literal(value)


def literal(value: Any) -> str:
    """A number in C; nine digits represent a float32 exactly."""
    return f"{value:.8e}f" if isinstance(value, np.float32) else str(value)


def statements(placed: Storage, layers: list[Layer]) -> Iterator[str]:
    """The body of network_run."""
    for index, layer in enumerate(layers):
        output = placed.address(layer.operator.output)
        if not layer.calls:
            yield f"    {title(index, layer)}"
        for part, call in enumerate(layer.calls):
            addresses = [placed.address(tensor) for tensor in call.inputs]
            scratch = [placed.scratch(index)] if layer.scratch else []
            constants_of_it = f"&{struct_name(index, part, layer)}"
            arguments = ", ".join([constants_of_it, *addresses, *scratch, output])
            yield f"    layer_{call.function}({arguments});\n"
        yield f"    AFTER_LAYER({index}, {output}, {layer.operator.output.size});\n"


def constants(layers: list[Layer]) -> Iterator[tuple[str, Array]]:
    """Every constant array by its name: weights, and constant inputs of elementwise layers."""
    for index, layer in enumerate(layers):
        for part, call in enumerate(layer.calls):
            yield from arrays(call.fields, struct_name(index, part, layer))
            for tensor in call.inputs:
                if tensor.values is not None:
                    yield storage.constant(tensor), tensor.values.reshape(-1)


def arrays(fields: dict[str, Any], name: str) -> Iterator[tuple[str, Array]]:
    for key, value in fields.items():
        if isinstance(value, np.ndarray):
            yield f"{name}_{key}", value
        elif isinstance(value, dict):
            yield from arrays(value, f"{name}_{key}")


def weights(arrays_by_name: dict[str, Array], origin: str) -> str:
    definitions_of_arrays = "".join(
        f"static const {TYPES[values.dtype.name]} {name}[{values.size}] = {{\n{rows(values)}}};\n\n"
        for name, values in arrays_by_name.items()
    )
    return (
        f"/* The constants of {origin}. Generated. */\n"
        "#ifndef WEIGHTS_H\n"
        "#define WEIGHTS_H\n\n"
        "#include <stdint.h>\n\n"
        f"{definitions_of_arrays}"
        "#endif\n"
    )


def rows(values: Array) -> str:
    count, numbers = VALUES_IN_A_LINE[values.dtype.name], [literal(value) for value in values]
    return "".join(
        f"    {', '.join(numbers[start : start + count])},\n"
        for start in range(0, len(numbers), count)
    )
