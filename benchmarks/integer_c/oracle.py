"""Compares the integer C with TensorFlow Lite Micro, layer by layer."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.embedded import _integer_c, _zig
from pipeline.embedded._integer_c import Code
from pipeline.embedded._integer_c.network import Network, Operator, read
from pipeline.files.artifacts import Array
from pipeline.runtimes import environments

HERE = ("-target", "x86_64-linux-musl", *_zig.C99)
# network.c calls this after each layer.
TAP = """
void emit(const void *values, int count);
#define AFTER_LAYER(number, values, count) emit(values, count)
"""
# A file for each network, so that several fit into one program.
UNIT = """
#define network_run network_{number}
#include "{number}/network.c"
int take(void *values, int count);
void run_{number}(void)
{{
    static union {{ unsigned char bytes[{bytes}]; float measurements; }} input;
    static signed char output[NETWORK_OUTPUTS];
    while (take(input.bytes, sizeof input.bytes))
        network_{number}((void *)input.bytes, (void *)output);
}}
"""
MAIN = """
{declarations}
static void (*const run[])(void) = {{{names}}};
int main(int count, char **arguments)
{{
    int number = 0;
    for (const char *digit = count > 1 ? arguments[1] : ""; *digit; digit++)
        number = 10 * number + *digit - '0';
    run[number]();
    return 0;
}}
"""
HOSTED = """
#include <stdio.h>
int take(void *values, int count) { return fread(values, 1, count, stdin) == (size_t)count; }
void emit(const void *values, int count) { fwrite(values, 1, count, stdout); }
"""


@dataclass(frozen=True)
class Difference:
    """How many values of one layer differ, of how many."""

    layer: int
    operator: str
    differing: int
    total: int


class Micro:
    """TensorFlow Lite Micro in a process of its own, which keeps all tensors of a model."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("micro_tensors.py")
        self.process = subprocess.Popen(
            [environments.python("tflite_micro"), script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def tensors(self, model: bytes, inputs: Array, indices: Sequence[int]) -> dict[int, Array]:
        """The values (N, ...) of the tensors for `inputs` (N, ...)."""
        assert self.process.stdin
        assert self.process.stdout
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "model").write_bytes(model)
            np.save(folder / "inputs.npy", inputs)
            job: dict[str, Any] = {
                "model": str(folder / "model"),
                "inputs": str(folder / "inputs.npy"),
                "outputs": str(folder / "outputs.npz"),
                "tensors": list(indices),
            }
            self.process.stdin.write(json.dumps(job) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
            assert answer == "\n", f"TensorFlow Lite Micro: {answer or 'its process died'}"
            with np.load(folder / "outputs.npz") as tensors:
                return {index: tensors[str(index)] for index in indices}

    def close(self) -> None:
        self.process.communicate()


def write(codes: Sequence[Code], folder: Path, system: str = HOSTED) -> list[str]:
    """Writes a program that prints the values of every layer; returns its sources.

    Its argument is the number of the network. It reads inputs from standard input. `system` is the
    C code that reads and writes.
    """
    numbers = range(len(codes))
    names = [f"run_{number}" for number in numbers]
    declarations = "".join(f"void {name}(void);\n" for name in names)
    main = MAIN.format(declarations=declarations, names=", ".join(names))
    files = {"tap.h": TAP, "main.c": main, "system.c": system}
    for number, code in enumerate(codes):
        is_float = "(const float *input" in code.files["network.h"]
        size = "NETWORK_INPUTS * sizeof(float)" if is_float else "NETWORK_INPUTS"
        files[f"unit_{number}.c"] = UNIT.format(number=number, bytes=size)
        for name, text in code.files.items():
            files[name if name.startswith("layers/") else f"{number}/{name}"] = text
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    layers = sorted(name for name in files if name.startswith("layers/") and name.endswith(".c"))
    return [*layers, *(f"unit_{number}.c" for number in numbers), "main.c", "system.c"]


def compiled(
    codes: Sequence[Code], folder: Path, options: Sequence[str] = HERE, system: str = HOSTED
) -> Path:
    """The program of `write`, by Zig."""
    sources = write(codes, folder, system)
    _zig.build(folder, sources, folder / "program", *options, "-I.", "-include", "tap.h")
    return folder / "program"


def layer_outputs(
    command: Sequence[str | Path], network: Network, inputs: Array
) -> list[tuple[Operator, Array]]:
    """Every operator with its outputs (N, size) int8, by the program of `write`."""
    process = subprocess.run(command, input=inputs.tobytes(), capture_output=True, check=True)
    values = np.frombuffer(process.stdout, np.int8).reshape(len(inputs), -1)
    ends = np.cumsum([operator.output.size for operator in network.operators])
    return list(zip(network.operators, np.split(values, ends[:-1], 1), strict=True))


def differences(
    micro: Micro, model: bytes, inputs: Array, command: Sequence[str | Path]
) -> list[Difference]:
    """A row for each layer: how its values compare with TensorFlow Lite Micro's."""
    network = read(model)
    expected = micro.tensors(model, inputs, [entry.output.index for entry in network.operators])
    rows = []
    for index, (operator, values) in enumerate(layer_outputs(command, network, inputs)):
        right = expected[operator.output.index].reshape(len(inputs), -1).view(np.int8)
        differing = int((values != right).sum())
        rows.append(Difference(index, operator.name, differing, values.size))
    return rows


def compare(
    micro: Micro,
    models: Sequence[bytes],
    count: int,
    folder: Path,
    change: tuple[str, str] = ("", ""),
) -> list[Difference]:
    """The rows of several networks, each for `count` inputs; `change` replaces text in their C."""
    codes = [_integer_c.translate(model, "a network") for model in models]
    changed = [
        replace(code, files={name: text.replace(*change) for name, text in code.files.items()})
        for code in codes
    ]
    program = compiled(changed, folder)
    return [
        row
        for number, model in enumerate(models)
        for row in differences(micro, model, inputs(read(model), count), [program, str(number)])
    ]


def inputs(network: Network, count: int, seed: int = 0) -> Array:
    """Random inputs (N, ...), the first three extreme: all least, all largest, both mixed.

    Measurements are from a normal distribution, beyond what the network was calibrated on.
    """
    dtype = np.dtype(network.input.dtype)
    dice = np.random.default_rng(seed)
    shape = (count, *network.input.shape[1:])
    if dtype == np.float32:
        return dice.normal(0, 2, shape).astype(np.float32)
    limits = np.iinfo(dtype)
    values = dice.integers(limits.min, limits.max + 1, shape, dtype)
    if count > 3:
        values[0], values[1] = limits.min, limits.max
        values[2] = dice.choice([limits.min, limits.max], shape[1:])
    return values
