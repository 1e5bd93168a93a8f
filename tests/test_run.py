"""`edgeproof run` in a terminal: its faults, its end, and Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import psutil
import pytest

from pipeline.cli import workflow
from pipeline.files.artifacts import DESCRIPTION
from tests.conftest import EDGEPROOF, Project
from tests.search.conftest import TINY
from tests.waiting import SECONDS, Hold

pytestmark = pytest.mark.slow


def test_an_unknown_key_is_one_sentence_before_dvc_stumbles_over_it(project: Project) -> None:
    values = (project.folder / "params.yaml").read_text()
    (project.folder / "params.yaml").write_text(values.replace("path:", "pth:", 1))
    for command in ("run", "status"):
        done = project.attempt(*EDGEPROOF, command)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(
            "error: params.yaml: dataset: pth is not a known key; expected one of name, path"
        )
        assert len(done.stderr.splitlines()) == 1


def test_exports_without_their_file_are_named_before_anything_runs(project: Project) -> None:
    fault = "export.formats lacks tflite_int8, without which there is no "
    project.change({"export.formats": ["onnx_int8"], "embed.targets": "all"})
    assert project.run("python", "-m", "pipeline.check") == ""  # they are left out on purpose
    project.change({"embed.targets": ["c"]})
    done = project.attempt("python", "-m", "pipeline.check")
    assert done.stderr == (
        f"error: {fault}c; add it, or change embed.format, embed.targets or embed.board\n"
    )


def test_a_run_that_came_to_nothing_ends_with_its_error(project: Project) -> None:
    project.change({"export.formats": ["onnx_int8"], "embed.targets": ["c"]})
    done = project.attempt(*EDGEPROOF, "run")
    assert done.returncode == 1
    assert done.stderr.startswith("error: export.formats lacks tflite_int8")
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout.splitlines() == ["Running stage 'check':", "> python -m pipeline.check"]


def test_a_file_that_was_moved_after_a_run_is_named_with_its_value(project: Project) -> None:
    start = project.folder / "own.keras"
    start.touch()
    project.change({"train.start_from": start.name})
    project.run(*EDGEPROOF, "run", "check")
    start.unlink()
    done = project.attempt(*EDGEPROOF, "run")
    assert done.stderr.startswith(
        "error: train.start_from own.keras does not exist; name a trained"
    )
    assert done.stdout == ""


@pytest.mark.long
def test_a_run_trains_the_folds_that_judge_the_target_before_all_else(project: Project) -> None:
    project.change({**TINY, "problem.target": 0.3, "evaluate.folds": "reports/folds.json"})
    shown = project.run(*EDGEPROOF, "run", "evaluate")
    order = ["stage 'preprocess'", "5 trainings of 1 epoch", "stage 'train'", "stage 'evaluate'"]
    assert sorted(order, key=shown.index) == order
    assert "The cross-validated accuracy of the recipe is" in shown
    again = project.run(*EDGEPROOF, "run", "evaluate")
    assert "trainings" not in again
    assert again.count("Nothing has changed") == 1


def test_a_run_ends_with_commands_that_exist() -> None:
    programs = re.findall(r"`(\S+) ", workflow._next_steps("dist/mine-1.0.0.tar.gz"))
    assert [Path(program).name for program in programs] == ["serving", "edgeproof"]
    assert all(Path(program).exists() for program in programs)


def test_a_fault_is_named_before_the_folds_are_trained(project: Project) -> None:
    project.change({"evaluate.folds": "reports/folds.json", "dataset.path": "none.npz"})
    done = project.attempt(*EDGEPROOF, "run")
    assert done.stderr.startswith("error: dataset.path none.npz does not exist")
    assert done.stdout == ""


def test_a_run_gives_no_advice_on_git_and_remotes(project: Project) -> None:
    assert project.run(*EDGEPROOF, "run", "check").splitlines() == [
        "Running stage 'check':",
        "> python -m pipeline.check",
        "Generating lock file 'dvc.lock'",
        "Updating lock file 'dvc.lock'",
    ]
    assert project.run(*EDGEPROOF, "run", "check").splitlines() == [
        "Stage 'check' didn't change, skipping",
        "Nothing has changed, so no stage was run.",
    ]


@pytest.mark.attacks
def test_a_second_run_is_refused_and_ctrl_c_says_how_to_go_on(
    project: Project, tmp_path: Path
) -> None:
    hold = Hold(tmp_path / "hold", "*/data/raw/*")
    running = project.start(*EDGEPROOF, "run", "download", **hold.environment)
    hold.wait(running)
    second = project.attempt(*EDGEPROOF, "run", "download")
    assert second.returncode == 1
    assert second.stderr == (
        "error: another run, or another DVC command, is at work in this folder; "
        "wait until it has ended, then run again\n"
    )
    assert "Reports" not in second.stdout
    (project.folder / DESCRIPTION).parent.mkdir(parents=True)
    (project.folder / DESCRIPTION).touch()  # as an earlier run leaves it
    status = project.attempt(*EDGEPROOF, "status")
    assert status.returncode == 1
    assert status.stdout + status.stderr == second.stderr

    os.killpg(running.pid, signal.SIGINT)
    assert running.wait(SECONDS) == 130
    log = project.log.read_text()
    assert log.count("Nothing is lost") == 1
    assert log.splitlines()[-1].startswith("Stopped. Nothing is lost: the same command skips the ")
    assert "Traceback" not in log
    assert "Running stage 'download'" in project.run(*EDGEPROOF, "run", "download")


@pytest.mark.attacks
def test_a_killed_run_leaves_no_stage_running(project: Project, tmp_path: Path) -> None:
    hold = Hold(tmp_path / "hold", "*/data/raw/*")
    running = project.start(*EDGEPROOF, "run", "download", **hold.environment)
    hold.wait(running)
    stage = [psutil.Process(number) for number in hold.held()]
    running.kill()
    running.wait()
    _, alive = psutil.wait_procs(stage, timeout=SECONDS)
    assert not alive
