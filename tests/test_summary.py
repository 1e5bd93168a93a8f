"""The table at the end of the line, also where the line stops before: of this run, or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import Project

pytestmark = pytest.mark.slow


@pytest.fixture
def line(finished: Project, tmp_path: Path) -> Project:
    """A finished line of one's own, with what DVC knows of it."""
    folder = shutil.copytree(finished.folder, tmp_path / "project", symlinks=True)
    return Project(folder, Path(finished.environment["DATA_MIRROR"]))


def summary(project: Project) -> str:
    return project.run("python", "-m", "pipeline.summary")


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


def test_figures_of_an_earlier_run_are_not_printed(line: Project) -> None:
    whole = summary(line)
    assert all(f"| {name} " in whole for name in ("baseline: nearest", "Keras", "onnx_int8"))
    assert "Not shown" not in whole

    line.change({"verify.micro_images": 40})
    partly = summary(line)
    assert "| Keras " in partly
    assert "| onnx_int8 " not in partly
    assert partly.endswith("Not shown, as missing or of an earlier run: verify.\n")

    (line.folder / "model/model.keras").unlink()  # as a training that fails leaves it
    assert "| baseline: nearest" in summary(line)
    assert "Keras" not in summary(line)

    line.change({"preprocess.subset": 3000})
    assert summary(line) == "Not shown, as missing or of an earlier run: baseline, evaluate, verify, diagnose.\n"
    readme = (line.folder / "README.md").read_text()
    written = line.attempt("python", "-m", "pipeline.summary", "README.md")
    assert written.returncode == 1
    assert written.stderr == (
        "error: the reports of baseline, evaluate, verify, diagnose are missing or of an earlier run; run `dvc repro` first\n"
    )
    assert (line.folder / "README.md").read_text() == readme


def test_params_that_dvc_cannot_read_are_one_sentence(line: Project) -> None:
    with (line.folder / "params.yaml").open("a") as file:
        file.write("\nproblem: [")
    done = line.attempt("python", "-m", "pipeline.summary")
    assert done.returncode == 1
    assert done.stderr.startswith("error: no table, as DVC cannot tell of which run the reports are: ")
    assert len(done.stderr.strip().splitlines()) == 1
