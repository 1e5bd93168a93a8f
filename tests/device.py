"""Devices: environments made from nothing but the bundle, by its own hash-pinned requirements."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import pytest
import uv

from pipeline.files import artifacts, atomic
from pipeline.runtimes.process import Interpreter
from tests.conftest import ROOT

RUNTIMES = ("litert", "onnxruntime", "tflite_runtime")
Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]
IN_BOTH_REPORTS = (
    "state",
    "images",
    "accuracy",
    "lost",
    "gained",
    "mcnemar_p_value",
    "accuracy_lost_bound",
    "agreement",
    "largest_difference",
)


def call(*command: object, **options: Any) -> Done:
    """Runs a command and captures its output."""
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, check=False, **options)


def written_to(output: int | IO[str], *command: object) -> Done:
    """Runs a command with its output there: short output is written at its end, as by default."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        env=environment,
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )


def serving(interpreter: Interpreter, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs the command line on a device, which has one runtime and numpy."""
    variables = interpreter.environment
    paths = ":".join(filter(None, [str(ROOT), variables.get("PYTHONPATH")]))
    command = [*interpreter.command, "-m", "serving", *map(str, arguments)]
    return subprocess.run(
        command, env={**variables, "PYTHONPATH": paths}, capture_output=True, text=True, check=False
    )


def verified(project: Path, **facts: str) -> dict[str, Any]:
    """The pair with these facts in the verification of a project."""
    pairs = artifacts.load_json(project / "reports/verify.json")["pairs"]
    (pair,) = (pair for pair in pairs if facts.items() <= pair.items())
    return dict(pair)


def assert_same(proved: Mapping[str, Any], pair: Mapping[str, Any]) -> None:
    """What a device proved is what `verify` found."""
    assert {name: proved[name] for name in IN_BOTH_REPORTS} == pytest.approx(
        {name: pair[name] for name in IN_BOTH_REPORTS}, abs=1e-12
    )


def install(device: Path, bundle: Path, runtime: str, python: str = sys.executable) -> None:
    """Makes an environment as the bundle's MODEL_CARD.md says."""
    subprocess.run(
        [uv.find_uv_bin(), "venv", "--quiet", "--python", python, str(device)], check=True
    )
    command = [uv.find_uv_bin(), "pip", "install", "--quiet", "--require-hashes"]
    command += ["--compile-bytecode", "--python", str(device)]
    command += ["--requirement", f"requirements/{runtime}.txt"]
    subprocess.run(command, cwd=bundle, check=True)


@pytest.fixture(scope="session")
def devices(
    archive: Path, tmp_path_factory: pytest.TempPathFactory, testrun_uid: str
) -> dict[str, Path]:
    """The folder with the programs of each device, installed once for all workers."""
    folder = tmp_path_factory.getbasetemp().parent / f"devices-{testrun_uid}"
    with atomic.alone(folder.with_suffix(".lock")):
        if not folder.exists():
            unpacked = tmp_path_factory.mktemp("bundle")
            subprocess.run(["tar", "-xzf", archive, "-C", unpacked], check=True)
            bundle = unpacked / archive.name.removesuffix(".tar.gz")
            for runtime in RUNTIMES:
                install(folder / runtime, bundle, runtime)
    return {runtime: folder / runtime / "bin" for runtime in RUNTIMES}


@pytest.fixture(params=RUNTIMES)
def run(request: pytest.FixtureRequest, devices: dict[str, Path], tmp_path: Path) -> Run:
    """Runs a program of one device, away from this project."""
    programs = devices[request.param]

    def run_program(program: str, *arguments: object) -> Done:
        return call(programs / program, *arguments, cwd=tmp_path)

    return run_program
