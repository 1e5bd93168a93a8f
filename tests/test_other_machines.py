"""A machine for which a runtime has no wheel, as 64-bit Arm for TensorFlow Lite Micro."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import processors
from pipeline.runtimes import emulation
from tests.conftest import Project
from tests.reports import report

pytestmark = pytest.mark.slow

ARM = "from pipeline.config import processors; processors.HERE = 'aarch64'; "


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A finished one. Its runtimes on this processor stand for those of Arm."""
    copy = finished.copy(tmp_path / "project")
    copy.change({"verify.processors": ["native"], "embed.targets": ["c", "microcontroller"]})
    return copy


def run(project: Project, module: str) -> str:
    """What a program of the pipeline prints on such a machine."""
    code = f"{ARM}from {module} import main; main()"
    return project.run(sys.executable, "-c", code)


def test_its_environment_is_not_made(project: Project) -> None:
    pythons = run(project, "pipeline.runtimes.environments").splitlines()
    names = [Path(path).parts[-3] for path in pythons]
    assert names == ["tflite_runtime", "litert", "onnxruntime", "embedded"]


def test_its_pair_could_not_run_and_the_others_are_proven(project: Project) -> None:
    run(project, "pipeline.verify")
    states = {
        pair["runtime"]: (pair["state"], pair.get("reason"))
        for pair in report(project, "verify")["pairs"]
        if pair["format"] == "tflite_int8"
    }
    assert states == {
        "tflite_runtime": ("proven", None),
        "litert": ("proven", None),
        "tflite_micro": ("could not run", "tflite_micro has no wheel for aarch64"),
    }


def test_an_emulated_x86_64_gives_the_arena_and_the_answers_that_c_must_have(
    finished: Project, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (processors, emulation):
        monkeypatch.setattr(module, "HERE", "aarch64")
    try:
        interpreter = emulation.here_or_emulated("tflite_micro")
    except OSError as error:
        pytest.skip(str(error))
    assert "qemu" in Path(interpreter.command[0]).name
    run(project, "pipeline.embed")
    assert list(exact(project)) == list(exact(finished))


def exact(project: Project) -> Iterator[dict[str, Any]]:
    """What was measured of the C, except for times."""
    for row in report(project, "embed")["targets"]:
        if row["target"] in ("c", "microcontroller"):
            yield {name: value for name, value in row["measured"].items() if "second" not in name}
