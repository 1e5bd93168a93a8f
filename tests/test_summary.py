"""The table of results, also if the pipeline stops early: no figure of an earlier run is in it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.reporting import summary
from tests.conftest import Project


@pytest.fixture
def own_run(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished project that a test may change, with its DVC cache."""
    folder = shutil.copytree(finished.folder, tmp_path / "project", symlinks=True)
    return Project(folder, Path(finished.environment["DATA_MIRROR"]))


def printed(project: Project) -> str:
    return project.run("python", "-m", "pipeline.reporting.summary")


@pytest.mark.slow
def test_make_run_prints_the_table_and_exits_with_an_error_if_a_gate_fails(
    own_run: Project,
) -> None:
    own_run.change({"problem.target": 1.0})
    done = own_run.attempt(
        "make", "--old-file=env", "run", "RUN="
    )  # in the environment of the tests
    assert done.returncode != 0
    assert "error: no bundle: test accuracy 0." in done.stderr
    (keras,) = (text for text in done.stdout.splitlines() if text.startswith("| Keras "))
    assert keras.rstrip(" |").endswith("| failed")
    assert "| onnx_int8 " in done.stdout
    drafted = own_run.attempt("make", "--old-file=env", "draft", "RUN=")
    assert drafted.returncode == 0, drafted.stderr
    assert "NOT-PROVEN.tar.gz: NOT PROVEN" in drafted.stdout
    assert keras in drafted.stdout


@pytest.mark.slow
def test_figures_of_an_earlier_run_are_not_printed(own_run: Project) -> None:
    whole = printed(own_run)
    assert all(f"| {name} " in whole for name in ("baseline: nearest", "Keras", "onnx_int8"))
    assert "Not shown" not in whole

    own_run.change({"verify.micro_images": 40})
    partly = printed(own_run)
    assert "| Keras " in partly
    assert "| onnx_int8 " not in partly
    assert partly.endswith("Not shown, as missing or from an earlier run: verify.\n")

    (own_run.folder / "model/model.keras").unlink()  # as a training that fails leaves it
    assert "| baseline: nearest" in printed(own_run)
    assert "Keras" not in printed(own_run)

    own_run.change({"preprocess.subset": 3000})
    assert (
        printed(own_run)
        == "Not shown, as missing or from an earlier run: baseline, evaluate, verify, diagnose.\n"
    )
    readme = (own_run.folder / "README.md").read_text()
    written = own_run.attempt("python", "-m", "pipeline.reporting.summary", "README.md")
    assert written.returncode == 1
    assert written.stderr == (
        "error: the reports of baseline, evaluate, verify, diagnose are missing "
        "or from an earlier run; run `dvc repro` first\n"
    )
    assert (own_run.folder / "README.md").read_text() == readme


@pytest.mark.slow
def test_params_that_dvc_cannot_read_are_one_sentence(own_run: Project) -> None:
    with (own_run.folder / "params.yaml").open("a") as file:
        file.write("\nproblem: [")
    done = own_run.attempt("python", "-m", "pipeline.reporting.summary")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "error: no table: DVC cannot tell whether the reports are up to date: "
    )
    assert len(done.stderr.strip().splitlines()) == 1


def notes(*emulated: dict[str, Any]) -> str:
    native = {"processor": "native", "runtime": "litert", "runtime_version": "2.3.0", "images": 500}
    pairs = [native, *({"processor": "haswell", "runtime": "litert", **pair} for pair in emulated)]
    return summary.notes({"pairs": pairs, "judged_on": {"test": 400, "validation": 100}})


@pytest.mark.parametrize(
    ("emulated", "sentence"),
    [
        (
            [{"images": 40, "golden_difference": 0.01}, {"images": 4, "golden_difference": 1e-6}],
            "40 test images (4 for files that compute in float32) and the golden vectors, "
            "whose probabilities differ from those here by at most 0.01. ",
        ),
        (
            [{"images": 40, "golden_difference": 0.01}],
            "40 test images and the golden vectors, "
            "whose probabilities differ from those here by at most 0.01. ",
        ),
        ([{"images": 40}], "40 test images. "),
        ([{"images": 40}, {"images": 4}], "40 test images (4 for files that compute in float32). "),
    ],
)
def test_the_notes_say_what_emulated_processors_saw_and_nothing_else(
    emulated: list[dict[str, Any]], sentence: str
) -> None:
    assert f" Each emulated processor sees {sentence}" in notes(*emulated)


def test_a_file_that_no_native_runtime_reads_could_not_run_whatever_an_emulator_says() -> None:
    pair = {
        "format": "onnx_int8",
        "runtime": "onnxruntime",
        "processor": "haswell",
        "bytes": 58193,
        "state": "proven",
        "images": 100,
    }
    verdict = summary.file_row("onnx_int8", [pair])[-1]
    assert verdict == "could not run: none of verify.runtimes reads it"


def test_without_an_emulated_processor_the_notes_do_not_mention_one() -> None:
    assert "emulated" not in notes()
