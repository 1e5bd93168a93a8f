"""The loop that follows its own advice, and the advice."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import params
from pipeline.config.overrides import written
from pipeline.files.predictions import Predictions
from pipeline.files.reports.diagnose import DiagnosisReport
from pipeline.search import dvc_experiment
from pipeline.search.advise import advise
from pipeline.search.change import Change, Situation
from pipeline.search.dvc_experiment import Experiment
from pipeline.search.paired_test import PairedTest, compare
from pipeline.search.remedies import REMEDIES
from pipeline.search.step import Step, confirmed, corrected, outdone, paragraphs
from pipeline.targets import classes
from pipeline.targets._scores import Scores, scores
from tests.conftest import EDGEPROOF, ROOT, Project
from tests.waiting import SECONDS, Hold

pytestmark = pytest.mark.long

LOOP = {
    "improve": "improve",
    "train": "pipeline.train",
    "diagnose": "pipeline.diagnose",
}
WITNESS = f"""
import os
import sys

module = next((name for name, module in {LOOP}.items() if module in sys.orig_argv), None)


def note(event, arguments):
    path = str(arguments[0]) if event == "open" else ""
    if any(part in path for part in ("data/", "evaluation/", "reports/", ".dvc/cache/")):
        os.write(log, f"{{module}} {{path}}\\n".encode())


if module:
    opened = os.path.join(os.path.dirname(__file__), "opened")
    log = os.open(opened, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    sys.addaudithook(note)
"""


def answers(right: np.ndarray, examples: np.ndarray, surely: float = 0.9) -> Scores:
    """Those to examples of class 0, whose probability is `surely` where the answer is right."""
    of_class_0 = np.where(right, surely, 0.2)
    return scored(of_class_0, examples)


def scored(of_class_0: np.ndarray, examples: np.ndarray) -> Scores:
    probabilities = np.stack([of_class_0, 1 - of_class_0], axis=1)
    labels = np.zeros(len(examples), int)
    return scores(classes, Predictions(probabilities, labels, examples.astype(np.uint64)))


def is_confirmed(comparison: PairedTest) -> bool:
    return confirmed(comparison, *corrected([comparison]))


def test_a_better_model_is_told_from_a_lucky_one_pair_by_pair() -> None:
    rng = np.random.default_rng(0)
    old = rng.random(1000) < 0.9
    better = old | (rng.random(1000) < 0.3)
    lucky = old.copy()
    lucky[np.flatnonzero(~old)[:3]] = True
    rows = np.arange(1000)
    assert compare(answers(better, rows), answers(old, rows)).p_value < 1e-6
    assert compare(answers(lucky, rows), answers(old, rows)).p_value > 0.1
    assert compare(answers(old, rows), answers(better, rows)).worse_p_value < 1e-6
    shuffled = rng.permutation(1000)
    assert compare(answers(better[shuffled], shuffled), answers(old, rows)) == compare(
        answers(better, rows), answers(old, rows)
    )
    assert not compare(answers(better, rows + 5000), answers(old, rows)).paired
    assert compare(answers(old, rows), answers(old, rows)).loss_p_value == 1.0


def test_a_loss_that_is_better_keeps_no_model_of_lower_accuracy() -> None:
    old = np.ones(6000, bool)
    old[:10] = False
    new = np.ones(6000, bool)
    new[20:38] = False  # 10 gained, 18 lost
    rows = np.arange(6000)
    comparison = compare(answers(new, rows, surely=0.99), answers(old, rows))
    assert comparison.loss_p_value < 1e-6
    assert comparison.difference == pytest.approx(-8 / 6000)
    assert not is_confirmed(comparison)
    level = compare(answers(old, rows, surely=0.99), answers(old, rows))
    assert is_confirmed(level)  # as accurate, and surer of it


def test_of_equal_models_at_most_one_in_twenty_is_confirmed() -> None:
    rng = np.random.default_rng(1)
    rows, pairs, count = np.arange(300), 2000, 0
    for _ in range(pairs):
        first, second = (
            rng.beta(4, 1, 300) for _ in range(2)
        )  # the probability of the right class
        count += is_confirmed(compare(scored(first, rows), scored(second, rows)))
    assert count / pairs < 0.05


def test_of_steps_with_three_equal_models_at_most_one_in_twenty_confirms_any() -> None:
    """Each against the same best so far; one by one, twice as many would."""
    rng = np.random.default_rng(2)
    rows, steps, count = np.arange(300), 1000, 0
    for _ in range(steps):
        best, *others = (scored(rng.beta(4, 1, 300), rows) for _ in range(4))
        tests = [compare(other, best) for other in others]
        count += any(map(confirmed, tests, corrected(tests)))
    assert count / steps < 0.05


def test_of_changes_tried_side_by_side_the_confirmed_one_that_improves_most_is_kept() -> None:
    figures = {
        "wider": (0.02, 1e-4, 0.5, 1.0),
        "deeper": (0.03, 1e-3, 0.5, 1.0),
        "longer": (0.001, 0.02, 0.5, 0.9),
    }
    steps = [
        step(name, [other for other in figures if other != name], PairedTest(*four, paired=True))
        for name, four in figures.items()
    ]
    assert corrected([PairedTest(0.001, 0.02, 0.5, 0.9, paired=True)]) == [0.04]
    adjusted = corrected([one.comparison for one in steps if one.comparison])
    assert adjusted == pytest.approx([6e-4, 5e-3, 0.08])
    steps = outdone([replace(one, p_value=p) for one, p in zip(steps, adjusted, strict=True)])
    assert [one.verdict for one in steps] == [
        "confirmed, but deeper improves more",
        "confirmed, kept",
        "not shown, rejected",  # alone it would be confirmed
    ]
    first, second, _ = ("\n".join(paragraphs(2, one)) for one in steps)
    assert "Tried side by side with deeper, longer: each against the same best so far" in first
    assert "It may be tried again on top of deeper." in first
    assert "the smaller one is 0.0006 after Holm's correction for all 6 of them." in first
    assert "tried again" not in second
    assert "the smaller one is doubled" in paragraphs(2, replace(steps[2], beside=()))[4]


def step(name: str, beside: list[str], comparison: PairedTest) -> Step:
    """One of an experiment whose figures do not matter."""
    report = DiagnosisReport(
        training_key="0", verdict="good_fit", epoch=1, numbers={}, sentence="it fits"
    )
    rows = np.arange(10)
    situation = Situation(params.load(ROOT / "params.yaml"), "good_fit", 60000)
    experiment = Experiment("improve", {}, report, answers(rows > 0, rows), situation)
    return Step(experiment, Change(name, {}, "it helps"), comparison, beside=beside)


@pytest.mark.parametrize("verdict", sorted(REMEDIES))
def test_every_advice_is_valid_and_changes_something(verdict: str) -> None:
    settings = params.load(ROOT / "params.yaml")
    train = settings.train.model_copy(
        update={"architecture": "mlp", "augmentation": [], "schedule": "constant", "batch_size": 32}
    )
    start = settings.model_copy(
        update={
            "train": train,
            "preprocess": settings.preprocess.model_copy(update={"subset": 10000}),
        }
    )
    changes = advise(Situation(start, verdict, 60000))
    assert len(changes) >= 3
    for change in changes:
        values = json.loads(start.model_dump_json())
        for key, value in change.overrides.items():
            section = values
            *parents, last = key.split(".")
            for parent in parents:
                section = section[parent]
            section[last] = value
        changed = params.Params.model_validate(values)
        assert changed != start, change.name


@pytest.mark.parametrize(
    ("rate", "with_larger_batches"), [(0.001, 0.002), (0.008, 0.01), (0.1, None)]
)
def test_an_advised_rate_suits_what_is_advised(
    rate: float, with_larger_batches: float | None
) -> None:
    settings = params.load(ROOT / "params.yaml")
    update = {
        "batch_size": 32,
        "learning_rate": rate,
        "optimizer": params.KerasObject(class_name="SGD"),
    }
    now = Situation(
        settings.model_copy(update={"train": settings.train.model_copy(update=update)}),
        "good_fit",
        60000,
    )
    advice = {change.name: change for change in advise(now)}
    assert advice["batches of 128"].overrides.get("train.learning_rate") == with_larger_batches
    assert ("larger step" in advice["batches of 128"].reason) is (with_larger_batches is not None)
    assert advice["AdamW"].overrides["train.learning_rate"] == 0.001


@pytest.mark.parametrize("small", [True, False])
def test_more_validation_is_advised_where_a_note_says_that_it_is_small(small: bool) -> None:
    now = Situation(params.load(ROOT / "params.yaml"), "good_fit", 200, small_validation=small)
    assert ("a fifth for validation" in [change.name for change in advise(now)]) is small


@pytest.mark.parametrize("architecture", ["cnn", "edge", "series_cnn", "tiny"])
def test_a_network_of_convolutions_is_not_told_to_become_one(architecture: str) -> None:
    settings = params.override(
        params.load(ROOT / "params.yaml"), {"train.architecture": architecture}
    )
    for verdict in REMEDIES:
        names = {change.name for change in advise(Situation(settings, verdict, 60000))}
        assert not names & {"convolutions", "batch normalization"}, verdict


def test_values_are_written_as_dvc_reads_them() -> None:
    assert (
        written({"class_name": "L2", "config": {"l2": 0.001}})
        == "{class_name:L2,config:{l2:0.001}}"
    )
    assert written([None, True, 1, 0]) == "[null,true,1,0]"


def test_an_experiment_of_other_data_or_code_is_another(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.folder)
    Path("own.npz").write_bytes(b"first")
    own = {"dataset.name": "npz", "dataset.path": "own.npz"}
    assert dvc_experiment.digest({**own, "train.epochs": 3}) != dvc_experiment.digest(own)
    for name in (
        "own.npz",
        "pipeline/training/fit.py",
        "pipeline/preprocess.py",
        "pipeline/diagnosis/curve_rules.py",
    ):
        before = dvc_experiment.digest(own)
        Path(name).write_bytes(Path(name).read_bytes() + b"\n")
        assert dvc_experiment.digest(own) != before, name
    before = dvc_experiment.digest(own)
    Path("README.md").write_text("")
    Path("pipeline/architectures/tiny.py").write_text("")  # which this training is not built of
    assert dvc_experiment.digest(own) == before


@pytest.mark.slow
def test_the_loop_improves_alone_without_a_look_at_the_test_set_and_goes_on_where_it_was(
    project: Project, tmp_path: Path
) -> None:
    hold = Hold(tmp_path / "hold", "*/.state/train/*/state.json", times=2)
    with (hold.folder / "sitecustomize.py").open("a") as customization:
        customization.write(WITNESS)
    command = [
        *EDGEPROOF,
        "improve",
        "--quick",
        "-S",
        "train.architecture=mlp",
        "-S",
        "problem.target=0.999",
    ]
    watched = {
        "PYTHONPATH": str(hold.folder),
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
    }
    params_before = (project.folder / "params.yaml").read_text()
    interrupted = project.start(*command, "--budget", "1", **{**watched, **hold.environment})
    hold.wait(interrupted)
    os.killpg(interrupted.pid, signal.SIGINT)
    assert interrupted.wait(SECONDS) == 130
    assert not list(project.folder.glob(".dvc/tmp/exps/standalone/tmp*"))
    first = project.attempt(*command, "--budget", "1", **watched)
    assert "resuming after epoch 1" in first.stdout
    not_activated = os.pathsep.join(
        place
        for place in os.environ["PATH"].split(os.pathsep)
        if not (Path(place) / "dvc").exists()
    )
    second = project.attempt(
        sys.executable, *command[1:], "--budget", "2", **watched, PATH=not_activated
    )
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "step 2 of at most 2" in second.stdout
    trained = [
        (done.stdout + done.stderr).count("Running stage 'train'") for done in (first, second)
    ]
    assert trained == [1, 1]  # the first training is read the second time, not made again
    ledger = (project.folder / "reports/improvement.md").read_text()
    assert "## 1. Start" in ledger
    assert "Hypothesis: " in ledger
    with sqlite3.connect(tmp_path / "mlflow.db") as store:
        (parent,) = store.execute(
            "select run_uuid from runs"
            " where name like 'improve-%' and status = 'FINISHED' and length(name) = 16"
        )
        children = store.execute(
            "select count(*) from tags where key = 'mlflow.parentRunId' and value = ?", parent
        ).fetchone()
    assert children == (2,)
    assert (project.folder / "params.yaml").read_text() == params_before
    assert not (project.folder / "model").exists()
    look_at_what_was_opened(project, (hold.folder / "opened").read_text().splitlines())


def look_at_what_was_opened(project: Project, opened: list[str]) -> None:
    """The training part was opened; the test part was not, neither by name nor in DVC's cache."""
    cached = {
        entry["relpath"]: f"{entry['md5'][:2]}/{entry['md5'][2:]}"
        for listing in project.folder.glob(".dvc/cache/files/md5/*/*.dir")
        for entry in json.loads(listing.read_text())
        if "/" in entry["relpath"]  # that of data/raw, which lists its parts
    }
    for module, name in (
        ("improve", cached["train/labels.npy"]),
        ("train", "prepared/train/images.npy"),
        ("diagnose", "learning_curves.csv"),
    ):
        assert [line for line in opened if line.startswith(f"{module} ") and name in line], module
    for hidden in (
        cached["test/images.npy"],
        cached["test/labels.npy"],
        "raw/test",
        "prepared/test",
        "evaluation/test_",
    ):
        assert not [line for line in opened if hidden in line], hidden
