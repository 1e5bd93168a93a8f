"""The table at the end of the line, also where the line stops before: of this run, or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.reporting import summary
from tests.conftest import EDGEPROOF, Project


@pytest.fixture
def line(finished: Project, tmp_path: Path) -> Project:
    """A finished line of one's own, with what DVC knows of it."""
    folder = shutil.copytree(finished.folder, tmp_path / "project", symlinks=True)
    return Project(folder, Path(finished.environment["DATA_MIRROR"]))


def printed(project: Project) -> str:
    return project.run(*EDGEPROOF, "report")


@pytest.mark.slow
def test_make_run_ends_with_the_table_and_its_status_also_where_a_gate_fails(line: Project) -> None:
    line.change({"problem.target": 1.0})
    done = line.attempt("make", "--old-file=env", "run", "RUN=")  # in the environment of the tests
    assert done.returncode != 0
    assert "error: no bundle: test accuracy 0." in done.stderr
    (keras,) = (text for text in done.stdout.splitlines() if text.startswith("| Keras "))
    assert keras.rstrip(" |").endswith("| failed")
    assert "| onnx_int8 " in done.stdout
    drafted = line.attempt("make", "--old-file=env", "draft", "RUN=")
    assert drafted.returncode == 0, drafted.stderr
    assert "NOT-PROVEN.tar.gz: NOT PROVEN" in drafted.stdout
    assert keras in drafted.stdout


@pytest.mark.slow
def test_figures_of_an_earlier_run_are_not_printed(line: Project) -> None:
    whole = printed(line)
    assert all(f"| {name} " in whole for name in ("baseline: nearest", "Keras", "onnx_int8"))
    assert "Not shown" not in whole

    line.change({"verify.micro_images": 40})
    partly = printed(line)
    assert "| Keras " in partly
    assert "| onnx_int8 " not in partly
    assert partly.endswith("Not shown, as missing or of an earlier run: verify.\n")

    (line.folder / "model/model.keras").unlink()  # as a training that fails leaves it
    assert "| baseline: nearest" in printed(line)
    assert "Keras" not in printed(line)

    line.change({"preprocess.subset": 3000})
    assert (
        printed(line)
        == "Not shown, as missing or of an earlier run: baseline, evaluate, verify, diagnose.\n"
    )
    readme = (line.folder / "README.md").read_text()
    written = line.attempt(*EDGEPROOF, "report", "README.md")
    assert written.returncode == 1
    assert written.stderr == (
        "error: the reports of baseline, evaluate, verify, diagnose are missing or of an earlier run; run `edgeproof run` first\n"
    )
    assert (line.folder / "README.md").read_text() == readme


@pytest.mark.slow
def test_params_that_dvc_cannot_read_are_one_sentence(line: Project) -> None:
    with (line.folder / "params.yaml").open("a") as file:
        file.write("\nproblem: [")
    done = line.attempt(*EDGEPROOF, "report")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "error: no table, as DVC cannot tell of which run the reports are: "
    )
    assert len(done.stderr.strip().splitlines()) == 1


def told(*emulated: dict[str, Any]) -> str:
    here = {"processor": "native", "runtime": "litert", "runtime_version": "2.3.0", "images": 500}
    there = [{"processor": "haswell", "runtime": "litert", **pair} for pair in emulated]
    return summary.notes({"pairs": [here, *there], "judged_on": {"test": 400, "validation": 100}})


@pytest.mark.parametrize(
    ("emulated", "sentence"),
    [
        (
            [{"images": 40, "golden_difference": 0.01}, {"images": 4, "golden_difference": 1e-6}],
            "40 test images, of files that compute in float32 4, and the golden vectors, whose probabilities differ from those here "
            "by at most 0.01. ",
        ),
        (
            [{"images": 40, "golden_difference": 0.01}],
            "40 test images and the golden vectors, whose probabilities differ from those here by at most 0.01. ",
        ),
        ([{"images": 40}], "40 test images. "),
        ([{"images": 40}, {"images": 4}], "40 test images, of files that compute in float32 4. "),
    ],
)
def test_what_emulated_processors_saw_is_told_and_nothing_that_they_did_not(
    emulated: list[dict[str, Any]], sentence: str
) -> None:
    assert f" On each emulated processor {sentence}" in told(*emulated)


def test_a_file_that_no_runtime_here_reads_is_told_so_whatever_an_emulator_found() -> None:
    there = {
        "format": "onnx_int8",
        "runtime": "onnxruntime",
        "processor": "haswell",
        "bytes": 58193,
        "state": "proven",
        "images": 100,
    }
    assert (
        summary.file_row("onnx_int8", [there])[-1]
        == "could not run: none of verify.runtimes reads it"
    )


def test_without_an_emulated_processor_nothing_is_said_of_one() -> None:
    assert "emulated" not in told()
