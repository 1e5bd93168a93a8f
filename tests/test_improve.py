"""The loop that follows its own advice, and the advice."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
from pathlib import Path

import pytest

from pipeline.config import params
from pipeline.config.overrides import written
from pipeline.search import dvc_experiment
from pipeline.search.advise import advise
from pipeline.search.change import Situation
from pipeline.search.remedies import REMEDIES
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


@pytest.mark.parametrize(("unit", "is_said"), [("degrees", True), (None, False)])
def test_shifts_are_proposed_for_a_number_that_is_no_place(unit: str | None, is_said: bool) -> None:
    shipped = params.load(ROOT / "params.yaml")
    settings = params.override(shipped, {"train.augmentation": [], "problem.unit": unit})
    advice = {change.name: change for change in advise(Situation(settings, "overfit", 1300))}
    assert ("unless it is a place" in advice["augmentation"].reason) == is_said


@pytest.mark.parametrize("verdict", ["good_fit", "overfit", "too_little_capacity"])
def test_the_upper_layers_of_a_published_network_may_learn(verdict: str) -> None:
    settings = params.load(ROOT / "params.yaml")
    values = {"architecture": "efficientnet_lite0", "weights": "imagenet", "epochs": 20}
    frozen = settings.train.model_copy(update={**values, "learning_rate": 0.003})
    settings = settings.model_copy(update={"train": frozen})
    changes = {change.name: change for change in advise(Situation(settings, verdict, 1300))}
    overrides = changes["upper layers that learn"].overrides
    assert overrides["train.epochs"] == 15
    phase = overrides["train.thaw"][0]  # type: ignore[index]
    assert phase == {"after": 10, "freeze": 40, "learning_rate": 0.0003}
    thawed = frozen.model_copy(update={"thaw": [params.Thaw.model_validate(phase)]})
    settings = settings.model_copy(update={"train": thawed})
    names = {change.name for change in advise(Situation(settings, verdict, 1300))}
    assert "upper layers that learn" not in names
    other = frozen.model_copy(update={"architecture": "mobilenet_v2"})
    settings = settings.model_copy(update={"train": other})
    names = {change.name for change in advise(Situation(settings, verdict, 1300))}
    assert "upper layers that learn" not in names, "nobody has tried how many"


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


@pytest.mark.parametrize(
    "architecture", ["bc_resnet", "cnn", "ds_cnn", "edge", "resnet", "series_cnn", "tiny"]
)
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
    hold = Hold(tmp_path / "hold", "*/.state/train/*/checkpoint.json", times=2)
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
