"""The analyses: their reports, that no training is repeated, that workers may come and go."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import optuna
import psutil
import pytest

from pipeline.config.overrides import Choices, Range, space
from pipeline.process.errors import UserError
from pipeline.search import (
    batch_size,
    cached_training,
    data_size,
    folds,
    learning_rate,
    optuna_storage,
    sweep,
)
from pipeline.search.analysis import Analysis, Options
from pipeline.search.cached_training import CachedTraining, PrunedError, TrainingResult
from pipeline.search.power_law import ErrorCurve, fit
from pipeline.search.sweep import Settings
from tests.conftest import EDGEPROOF, ROOT, Project
from tests.postgresql import server

TINY = {
    "preprocess.subset": 600,
    "train.architecture": "mlp",
    "train.network.hidden": [16],
    "train.augmentation": [],
    "train.epochs": 1,
    "train.batch_size": 90,
    "train.steps_per_execution": 1,
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory, mirror: Path) -> Project:
    """A project with its raw data and a training that takes a second."""
    project = Project(tmp_path_factory.mktemp("search"), mirror).begin()
    project.change(TINY)
    project.run("python", "-m", "pipeline.download")
    return project


@pytest.fixture
def here(tiny: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tiny.folder)
    cached_training.data_digests.cache_clear()
    yield tiny.folder
    cached_training.data_digests.cache_clear()


def analysis(name: str) -> Analysis:
    return Analysis(name, Options())


def started(*space: str, options: Options | None = None, **settings: Any) -> Any:
    return sweep.start(Settings(space, **settings), options or Options())


def children(folder: Path, title: str) -> list[tuple[str, str]]:
    """Name and status of the children in MLflow of the run called `title`."""
    with sqlite3.connect(folder / "mlflow.db") as store:
        (parent,) = store.execute(
            "select run_uuid from runs where name = ? and status = 'FINISHED'", [title]
        ).fetchall()
        query = (
            "select name, status from runs join tags using (run_uuid)"
            " where tags.key = 'mlflow.parentRunId' and tags.value = ?"
        )
        return store.execute(query, parent).fetchall()


@pytest.mark.slow
def test_folds_are_children_of_one_run_and_are_not_trained_again(tiny: Project) -> None:
    command = [*EDGEPROOF, "folds", "--folds", "2"]
    first, second = tiny.run(*command), tiny.run(*command)
    assert "2 of 2 trainings are already done" in second
    report = (tiny.folder / "reports/folds.md").read_text()
    sentence = re.search(r"\*\*(Over 2 folds .*)\*\*", report)
    assert sentence is not None
    assert sentence[1] in first and sentence[1] in second
    assert (tiny.folder / "reports/folds.png").read_bytes().startswith(b"\x89PNG")
    title = report.splitlines()[0].removeprefix("# ")
    assert sorted(children(tiny.folder, title)) == [
        (f"fold {number} of 2", "FINISHED") for number in (1, 2)
    ]


def test_every_example_is_validated_once_and_never_trained_on_then(here: Path) -> None:
    trainings = folds.trainings(analysis("folds"), 4)
    rows = np.sort(np.concatenate(cached_training.split_rows(analysis("folds").params)))
    np.testing.assert_array_equal(
        np.sort(np.concatenate([training.validation_rows for training in trainings])), rows
    )
    for training in trainings:
        np.testing.assert_array_equal(
            np.sort(np.concatenate([training.rows, training.validation_rows])), rows
        )
        counts = np.bincount(cached_training.strata()[training.validation_rows]) / np.bincount(
            cached_training.strata()[rows]
        )
        assert np.abs(counts - 0.25).max() < 0.03


def test_the_interval_of_the_mean_allows_for_what_folds_share() -> None:
    low, high = folds.interval([0.90, 0.92, 0.91, 0.93, 0.89])
    half = 2.7764 * np.std([0.90, 0.92, 0.91, 0.93, 0.89], ddof=1) * np.sqrt(1 / 5 + 1 / 4)
    assert (low, high) == pytest.approx((0.91 - half, 0.91 + half), abs=1e-5)


ENDS: dict[ModuleType, tuple[list[str], str, Callable[[Analysis], list[CachedTraining]]]] = {
    data_size: (
        ["--sizes", "4", "--parts", "2"],
        "The smaller sizes predict",
        lambda analysis: data_size.trainings(analysis, 4, 2),
    ),
    learning_rate: (
        ["--steps", "60"],
        "The loss is lowest at",
        lambda analysis: [learning_rate.training(analysis, 1e-5, 1.0, 60)],
    ),
    batch_size: (
        ["--sizes", "30,90", "--seeds", "2"],
        "reach the best",
        lambda analysis: batch_size.trainings(analysis, [30, 90], 2, "none"),
    ),
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("module", ENDS, ids=lambda module: module.__name__)
def test_an_analysis_ends_in_a_sentence_a_table_and_a_picture(
    here: Path, tiny: Project, module: ModuleType
) -> None:
    """The trainings run in this process, and the command reads all of them."""
    name = module.__name__.split(".")[-1]
    arguments, sentence, build = ENDS[module]
    count = len([training.run() for training in build(analysis(name))])
    shown = tiny.run(*EDGEPROOF, name.replace("_", "-"), *arguments)
    assert f"{count} of {count} trainings are already done" in shown
    report = (here / f"reports/{name}.md").read_text()
    assert sentence in shown
    assert sentence in report
    assert report.count("\n| ") > 3
    assert (here / f"reports/{name}.png").stat().st_size > 10_000
    assert len(children(here, report.splitlines()[0].removeprefix("# "))) == count


def test_the_parts_of_a_size_are_disjoint_and_balanced(here: Path) -> None:
    trainings = data_size.trainings(analysis("data_size"), 4, 4)
    assert sorted({len(training.rows) for training in trainings}) == [67, 135, 270, 540]
    parts = [training.rows for training in trainings if len(training.rows) == 135]
    assert len(np.unique(np.concatenate(parts))) == 4 * 135
    whole = np.bincount(cached_training.strata()[np.concatenate(parts)]) / 4
    counts = [np.bincount(cached_training.strata()[part]) for part in parts]
    assert max(np.abs(count - whole).max() for count in counts) <= 2
    largest = [training for training in trainings if len(training.rows) == 540]
    assert len({training.settings.seed for training in largest}) == 4


def test_a_power_law_is_found_and_its_absence_is_reported() -> None:
    rng = np.random.default_rng(0)
    sizes = np.repeat(1000 * 2 ** np.arange(6), 4).astype(float)
    noise = np.exp(rng.normal(0, 0.03, len(sizes)))
    law = fit(sizes, 3 * sizes**-0.4 * noise)
    low, high = law.exponent_interval()
    assert low < 0.4 < high
    assert high - low < 0.1
    ahead, least, most = (float(value[0]) for value in law.predict(np.array([64_000])))
    assert least < 3 * 64_000**-0.4 < most
    assert most / least < 1.2
    assert ErrorCurve(sizes, 3 * sizes**-0.4 * noise).holds
    stuck = ErrorCurve(
        sizes, np.maximum(3 * sizes**-0.4, 0.07) * noise
    )  # no data can remove the rest
    assert not stuck.holds
    assert "does not hold, and twice the data may bring less" in data_size.check_sentence(stuck)
    few = np.repeat([100.0, 200.0, 400.0, 800.0], 2)
    # Fewer examples are worse here, but that may be luck.
    noisy = ErrorCurve(few, np.array([0.10, 0.24, 0.22, 0.10, 0.19, 0.11, 0.08, 0.18]))
    assert noisy.mean(100) > noisy.mean(800)
    for curve in (noisy, ErrorCurve(sizes, 0.1 * noise)):
        sentence = data_size.sentence(curve)
        assert sentence.startswith("No effect of more data was shown")
        assert "{:.2f} to {:.2f}".format(*curve.law.exponent_interval()) in sentence
    assert ahead == pytest.approx(3 * 64_000**-0.4, rel=0.05)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("prune", [False, True])
def test_a_second_worker_waits_for_the_same_training_and_repeats_a_pruned_one(
    here: Path, prune: bool
) -> None:
    params = analysis("folds").params
    training = CachedTraining(
        "one",
        {},
        params.train.model_copy(update={"epochs": 2, "seed": 7 + prune}),
        *cached_training.split_rows(params),
    )
    waited: list[TrainingResult] = []
    waiter = threading.Thread(target=lambda: waited.append(training.run()))

    def on_row(row: dict[str, float]) -> None:
        if row["epoch"] == 1:
            waiter.start()
            time.sleep(0.5)  # by then it waits
            if prune:
                raise PrunedError

    if prune:
        with pytest.raises(PrunedError) as pruned:
            training.run(on_row=on_row)
        assert len(pruned.value.result.rows) == 1
    else:
        training.run(on_row=on_row)
    waiter.join()
    assert waited == [training.cached()]
    assert len(waited[0].rows) == 2
    assert not (cached_training.FOLDER / training.key()).exists()


ALONE = """
import shutil, sys
from pathlib import Path
from pipeline.files.atomic import alone
for _ in range(100):
    with alone(Path("folder")):
        Path("inside").touch(exist_ok=False)
        Path("folder/state").touch()
        Path("count").write_text(str(int(Path("count").read_text()) + 1))
        Path("inside").unlink()
        shutil.rmtree("folder")
"""


def test_one_process_at_a_time_is_admitted_though_each_removes_the_folder(tmp_path: Path) -> None:
    (tmp_path / "count").write_text("0")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    processes = [
        subprocess.Popen([sys.executable, "-c", ALONE], cwd=tmp_path, env=environment)
        for _ in range(3)
    ]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert (tmp_path / "count").read_text() == "300"
    assert not (tmp_path / "folder").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_batch_losses_of_an_epoch_have_its_mean(here: Path) -> None:
    params = analysis("learning_rate").params
    rows, validation = cached_training.split_rows(params)
    result = CachedTraining(
        "one",
        {},
        params.train.model_copy(update={"epochs": 2}),
        rows,
        validation,
        every_batch=True,
    ).run()
    assert len(result.batch_losses) == 2 * 6
    assert np.mean(result.batch_losses[6:]) == pytest.approx(result.rows[1]["train_loss"], rel=1e-4)


def test_the_steepest_fall_comes_before_the_lowest_loss() -> None:
    rates = 1e-5 * 1e5 ** (np.arange(200) / 200)
    losses = 2.3 - 2 / (1 + np.exp(-4 * (np.log10(rates) + 3))) + 50 * np.maximum(rates - 0.03, 0)
    test = learning_rate.range_test(
        TrainingResult("key", [], 1, 10, losses.tolist()), 1e-5, 1.0, 200
    )
    assert test.steepest == pytest.approx(1e-3, rel=0.3)
    assert 0.005 < test.lowest < 0.06


def test_a_space_is_read_as_it_is_written() -> None:
    assert space(["train.learning_rate=0.0001..0.1 log", "train.epochs=1..9"]) == [
        Range("train.learning_rate", 0.0001, 0.1, log=True),
        Range("train.epochs", 1, 9, log=False),
    ]
    assert space(["train.network.hidden=[32],[64, 16]", "train.schedule=cosine,constant"]) == [
        Choices("train.network.hidden", [[32], [64, 16]]),
        Choices("train.schedule", ["cosine", "constant"]),
    ]


WRONG: dict[str, tuple[list[str], dict[str, Any], Options]] = {
    "train.learning_rat is not a known key; expected one of architecture": (
        ["train.learning_rat=0.1,0.2"],
        {},
        Options(),
    ),
    "train.epochs is 0; expected an integer of at least 1": (["train.epochs=0..5"], {}, Options()),
    "problem.target does not change a training": (["problem.target=0.1,0.2"], {}, Options()),
    "is an empty range": (["train.learning_rate=0.1..0.01"], {}, Options()),
    "expected ends above 0": (["train.learning_rate=0..0.01 log"], {}, Options()),
    "is given twice": (["train.epochs=1", "train.epochs=2"], {}, Options()),
    "names a value twice": (["train.epochs=1,1"], {}, Options()),
    "has no value; expected key=value": (["train.epochs"], {}, Options()),
    "but a grid needs values": (["train.learning_rate=0.1..0.2"], {"sampler": "grid"}, Options()),
    "--trials is 0": (["train.epochs=1,2"], {"trials": 0}, Options()),
    "--workers is 9; expected 1 to 3, the number of trials": (
        ["train.epochs=1,2"],
        {"trials": 3},
        Options(workers=9),
    ),
    "--workers is 0": (["train.epochs=1,2"], {}, Options(workers=0)),
    "is unreachable": (
        ["train.epochs=1,2"],
        {"storage": "postgresql://me:secret@127.0.0.1:1/x"},
        Options(),
    ),
    "expected sqlite:///FILE or postgresql": (
        ["train.epochs=1,2"],
        {"storage": "mysql://x"},
        Options(),
    ),
    "expected sqlite:///FILE or": (["train.epochs=1,2"], {"storage": "sqlite://"}, Options()),
    "expected at most 60000, the number of training images": (
        ["train.epochs=1,2"],
        {},
        Options(["preprocess.subset=70000"]),
    ),
}


@pytest.mark.parametrize("sentence", WRONG)
def test_a_wrong_sweep_is_refused_in_one_sentence(here: Path, sentence: str) -> None:
    with pytest.raises(UserError) as refused:
        space, settings, options = WRONG[sentence]
        started(*space, options=options, **settings)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("count", [1, 200])
def test_folds_must_fit_the_smallest_class(here: Path, count: int) -> None:
    with pytest.raises(UserError, match=r"expected 2 to 49, the size of the smallest class"):
        folds.trainings(analysis("folds"), count)


def test_sizes_that_leave_too_little_are_refused(here: Path) -> None:
    with pytest.raises(UserError, match=r"with 540 examples expected at most 4"):
        data_size.trainings(analysis("data_size"), 5, 2)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_study_is_extended_but_not_with_other_parameters(
    here: Path,
) -> None:
    _, small, study = started(
        "train.learning_rate=0.001..0.1 log",
        name="mine",
        sampler="random",
        trials=3,
    )
    before = optuna_storage.points(small)
    _, larger, extended = started(
        "train.learning_rate=0.001..0.1 log",
        name="mine",
        sampler="random",
        trials=5,
    )
    assert optuna_storage.points(larger)[:3] == before
    queued = [trial.system_attrs["fixed_params"] for trial in extended.trials]
    assert queued == optuna_storage.points(larger)
    assert study.study_name == extended.study_name
    assert all(
        0.001 <= point["train.learning_rate"] <= 0.1 for point in optuna_storage.points(larger)
    )
    with pytest.raises(
        UserError, match=r"the study mine was started with different parameters \(space\)"
    ):
        started("train.learning_rate=0.001..0.2 log", name="mine", sampler="random")


TRIALS = 8  # enough that a worker is still busy after another command has come and gone


@pytest.mark.slow
def test_a_sweep_on_postgresql_survives_a_killed_worker_and_an_interrupted_command(
    tiny: Project,
) -> None:
    with server() as address:
        command = [
            *EDGEPROOF,
            "sweep",
            "train.learning_rate=0.001..0.1 log",
            "train.network.activation=relu,tanh",
        ]
        command += [
            "-S",
            "train.epochs=12",
            "--trials",
            f"{TRIALS}",
            "--workers",
            "2",
            "--heartbeat",
            "2",
        ]
        command += ["--storage", address, "--name", "four"]
        stays, leaves = tiny.start(*command), tiny.start(*command)
        storage = optuna.storages.RDBStorage(optuna_storage.address(address))
        killed = running_worker(storage, stays.pid)
        os.kill(killed, signal.SIGKILL)
        running_worker(storage, leaves.pid)
        for _ in range(12):  # a user presses Ctrl-C again
            os.killpg(leaves.pid, signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                leaves.wait(5)
                break
        # A signal that arrives while Python exits ends it directly.
        assert leaves.returncode in (130, -signal.SIGINT)
        log = (tiny.folder.parent / f"{tiny.folder.name}.log").read_text
        assert stays.wait(300) == 0, log()
        trials = optuna.load_study(study_name="four", storage=storage).trials
        storage.engine.dispose()
    done = [trial for trial in trials if trial.state.name in ("COMPLETE", "PRUNED")]
    assert sorted(trial.user_attrs["slot"] for trial in done) == list(range(TRIALS))
    lost = [
        trial
        for trial in trials
        if trial.state.name == "FAIL" and trial.user_attrs.get("worker", "").endswith(f":{killed}")
    ]
    assert len(lost) == 1
    (again,) = (trial for trial in done if trial.user_attrs["slot"] == lost[0].user_attrs["slot"])
    assert again.params == lost[0].params
    assert len({trial.params["train.learning_rate"] for trial in done}) == TRIALS
    assert "its worker has ended (signal 9); another one takes over" in log()
    assert len(children(tiny.folder, "four")) == TRIALS
    assert f"The best of {TRIALS} trials" in (tiny.folder / "reports/sweep.md").read_text()


def running_worker(storage: optuna.storages.RDBStorage, parent: int, seconds: float = 120) -> int:
    """The process id of a worker of this command that is running a trial."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        names = [summary.study_name for summary in optuna.get_all_study_summaries(storage)]
        trials = (
            optuna.load_study(study_name="four", storage=storage).get_trials(deepcopy=False)
            if "four" in names
            else []
        )
        for trial in trials:
            if (
                trial.state == optuna.trial.TrialState.RUNNING
                and trial.intermediate_values
                and "worker" in trial.user_attrs
            ):
                number = int(trial.user_attrs["worker"].split(":")[1])
                if psutil.pid_exists(number) and psutil.Process(number).ppid() == parent:
                    return number
        time.sleep(0.1)
    raise AssertionError("no worker has started a trial")
