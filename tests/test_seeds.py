"""`make seeds`: each seed runs once, in a copy, and the page reports the results."""

from __future__ import annotations

import json
import os
import signal
import statistics
from pathlib import Path
from typing import Any

import pytest

from benchmarks import machine, seeds, seeds_page
from pipeline.process.errors import UserError
from serving.gate import COULD_NOT_RUN, NOT_SHOWN, PROVEN
from tests.conftest import ROOT, Project
from tests.waiting import SECONDS, Hold


@pytest.mark.slow
@pytest.mark.attacks
def test_seeds_resume_after_ctrl_c_and_a_finished_one_is_not_run_again(
    project: Project, tmp_path: Path
) -> None:
    project.change({"preprocess.subset": 1000, "train.architecture": "mlp"})
    project.commit()
    project.run("dvc", "repro", "preprocess")  # the user's own workspace must not change
    before = {
        path: path.read_bytes()
        for path in (project.folder / "params.yaml", project.folder / "dvc.lock")
    }
    command = ("python", "-m", "benchmarks.seeds", "--seeds", "2", "--until", "evaluate")
    hold = Hold(tmp_path / "hold", "*/seeds/*/seed-1/*/checkpoint.json", times=2)
    interrupted = project.start(*command, **hold.environment)
    hold.wait(interrupted)
    os.killpg(interrupted.pid, signal.SIGINT)
    assert interrupted.wait(SECONDS) == 130
    finished = list(project.folder.glob(".state/seeds/*/[0-9].json"))
    assert [path.name for path in finished] == ["0.json"]
    first = finished[0].read_bytes()
    output = project.run(*command)
    assert output.startswith("2 seeds, 1 already finished; about ")
    assert "seed 0:" not in output
    assert finished[0].read_bytes() == first
    results = json.loads((project.folder / seeds.RESULTS).read_text())
    assert [row["seed"] for row in results["rows"]] == [0, 1]
    assert len({row["test_accuracy"] for row in results["rows"]}) == 2
    assert results["last_stage"] == "evaluate"
    for path in seeds.HEADLINES:
        assert seeds_page.headline(results) in (project.folder / path).read_text()
    assert {path: path.read_bytes() for path in before} == before
    assert project.run("git", "log", "--oneline").count("\n") == 3


def pair(
    state: str = PROVEN,
    processor: str = "native",
    images: int = 16000,
    lost: float = 0.0,
    rejection: dict[str, float] | None = None,
) -> dict[str, Any]:
    facts = {"format": "tflite_int8", "runtime": "litert", "processor": processor, "state": state}
    if state == COULD_NOT_RUN:
        return facts
    return {**facts, "images": images, "accuracy_lost": lost, "rejection": rejection}


def row(accuracy: float, *pairs: dict[str, Any], passed: bool = True) -> seeds_page.Row:
    return {
        "seed": 0,
        "test_accuracy": accuracy,
        "validation_accuracy": 0.99,
        "pairs": pairs,
        "passed": passed,
        "reason": "" if passed else "the gate",
        "training_seconds": 1.0,
        "seconds": 2.0,
    }


def test_the_page_has_mean_deviation_and_range_and_the_worst_runtime_of_each_file() -> None:
    # A single image, which says nothing about the accuracy on all images.
    few = pair(processor="haswell", images=100, lost=0.01)
    rows = [
        row(0.996, pair(lost=0.0001), pair(lost=0.0003), few),
        row(0.9965, pair(lost=-0.0001), pair(lost=-0.0002), few),
        row(0.995, pair(), few, passed=False),
    ]
    results = {"machine": "a processor", "last_stage": None, "rows": rows}
    assert seeds_page.headline(results) == (
        "**99.58 %** on the test set, mean of 3 seeds (standard deviation 0.08 points, "
        "range 99.50 to 99.65 %); the whole pipeline passed, "
        "every file proven on native, haswell, with 2 of 3. Measured on a processor."
    )
    assert seeds_page.losses(rows) == {"tflite_int8": [0.0003, -0.0001, 0.0]}
    page = seeds_page.text(results)
    assert "| tflite_int8 | 0.007 | 0.021 | -0.010 | 0.030 |" in page
    assert "failed: the gate" in page
    assert "on all 16,000 test and validation images, on the runtime that loses most:" in page


def test_the_page_has_what_the_files_reject_on_the_worst_runtime() -> None:
    few = pair(images=1000, rejection={"coverage": 0.5, "error": 0.5})
    rows = [
        row(
            0.996,
            pair(rejection={"coverage": 0.99, "error": 0.001}),
            pair(rejection={"coverage": 0.98, "error": 0.0008}),
            few,
        ),
        row(0.996, pair(rejection={"coverage": 0.99, "error": 0.002}), few),
    ]
    page = seeds_page.text({"machine": "a processor", "last_stage": None, "rows": rows})
    assert "| tflite_int8 | 1.500 | 0.707 | 1.000 | 2.000 |" in page
    assert "| tflite_int8 | 0.150 | 0.071 | 0.100 | 0.200 |" in page


@pytest.mark.parametrize("state", [NOT_SHOWN, COULD_NOT_RUN])
def test_a_seed_has_not_passed_if_a_file_is_not_proven_on_every_processor(state: str) -> None:
    results = {
        "machine": "a processor",
        "last_stage": None,
        "rows": [row(0.996, pair()), row(0.996, pair(), pair(state, "haswell"))],
    }
    assert "every file proven on native, haswell, with 1 of 2." in seeds_page.headline(results)
    assert "failed: not every file is proven" in seeds_page.text(results)


def test_the_pages_say_what_the_results_say() -> None:
    results = json.loads((ROOT / seeds.RESULTS).read_text())
    assert (ROOT / seeds.PAGE).read_text() == seeds_page.text(results)
    for path in seeds.HEADLINES:
        assert seeds_page.headline(results) in (ROOT / path).read_text()


def test_the_default_recipe_does_not_depend_on_luck() -> None:
    rows = json.loads((ROOT / seeds.RESULTS).read_text())["rows"]
    accuracies = [row["test_accuracy"] for row in rows]
    assert len({row["seed"] for row in rows}) == 10
    assert statistics.mean(accuracies) >= 0.996
    assert min(accuracies) >= 0.995
    pairs = [pair for row in rows for pair in row["pairs"]]
    assert {pair["state"] for pair in pairs} == {PROVEN}
    assert {"native", "nehalem", "haswell"} <= {pair["processor"] for pair in pairs}


def test_the_machine_is_described_by_its_instruction_sets() -> None:
    words = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    assert all(name in words for name in machine.instruction_sets())
    if "avx2" in words:
        assert "avx2" in machine.sentence().split(", without")[0]


def test_an_invalid_number_of_seeds_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.argv", ["seeds", "--seeds", "0"])
    with pytest.raises(UserError, match="--seeds is 0; expected an integer of at least 1"):
        seeds.main()
