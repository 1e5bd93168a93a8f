"""A sweep: its space, its study, and workers that may come and go."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import optuna
import pytest

from pipeline.config.overrides import Choices, Range, space
from pipeline.process.errors import UserError
from pipeline.search import optuna_storage, sweep
from pipeline.search.analysis import AnalysisOptions
from pipeline.search.optuna_worker import TrialTask
from tests.conftest import EDGEPROOF, Project
from tests.postgresql import kill, killable, server
from tests.search.conftest import children, started
from tests.waiting import SECONDS, Hold, wait_for

pytestmark = pytest.mark.long


def test_a_space_is_read_as_it_is_written() -> None:
    assert space(["train.learning_rate=0.0001..0.1 log", "train.epochs=1..9"]) == [
        Range("train.learning_rate", 0.0001, 0.1, log=True),
        Range("train.epochs", 1, 9, log=False),
    ]
    assert space(["train.network.hidden=[32],[64, 16]", "train.schedule=cosine,constant"]) == [
        Choices("train.network.hidden", [[32], [64, 16]]),
        Choices("train.schedule", ["cosine", "constant"]),
    ]


WRONG: dict[str, tuple[list[str], dict[str, Any], AnalysisOptions]] = {
    "train.learning_rat is not a known key; expected one of architecture": (
        ["train.learning_rat=0.1,0.2"],
        {},
        AnalysisOptions(),
    ),
    "train.epochs is 0; expected an integer of at least 1": (
        ["train.epochs=0..5"],
        {},
        AnalysisOptions(),
    ),
    "problem.target does not change a training": (
        ["problem.target=0.1,0.2"],
        {},
        AnalysisOptions(),
    ),
    "is an empty range": (["train.learning_rate=0.1..0.01"], {}, AnalysisOptions()),
    "expected ends above 0": (["train.learning_rate=0..0.01 log"], {}, AnalysisOptions()),
    "is given twice": (["train.epochs=1", "train.epochs=2"], {}, AnalysisOptions()),
    "names a value twice": (["train.epochs=1,1"], {}, AnalysisOptions()),
    "has no value; expected key=value": (["train.epochs"], {}, AnalysisOptions()),
    "but a grid needs values": (
        ["train.learning_rate=0.1..0.2"],
        {"sampler": "grid"},
        AnalysisOptions(),
    ),
    "--trials is 0": (["train.epochs=1,2"], {"trials": 0}, AnalysisOptions()),
    "--workers is 9; expected 1 to 3, the number of trials": (
        ["train.epochs=1,2"],
        {"trials": 3},
        AnalysisOptions(workers=9),
    ),
    "--workers is 0": (["train.epochs=1,2"], {}, AnalysisOptions(workers=0)),
    "is unreachable": (
        ["train.epochs=1,2"],
        {"storage": "postgresql://me:secret@127.0.0.1:1/x"},
        AnalysisOptions(),
    ),
    "expected sqlite:///FILE or postgresql": (
        ["train.epochs=1,2"],
        {"storage": "mysql://x"},
        AnalysisOptions(),
    ),
    "expected sqlite:///FILE or": (
        ["train.epochs=1,2"],
        {"storage": "sqlite://"},
        AnalysisOptions(),
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


TRIALS = 4  # one more than the workers of both commands


@pytest.mark.slow
def test_a_sweep_on_postgresql_survives_a_killed_worker_and_an_interrupted_command(
    tiny: Project, tmp_path: Path
) -> None:
    """All workers are held in their second epoch until one is killed and a command interrupted."""
    space = ("train.learning_rate=0.001..0.1 log", "train.network.activation=relu,tanh")
    options = ("-S", "train.epochs=3", "--trials", f"{TRIALS}")
    hold = Hold(tmp_path / "hold", "*/.state/trials/*/checkpoint.json", times=2)
    with server() as address:
        command = [*EDGEPROOF, "sweep", *space, *options, "--heartbeat", "2"]
        command += ["--storage", address, "--name", "shared"]
        stays = tiny.start(*command, "--workers", "2", **hold.environment)
        leaves = tiny.start(*command, "--workers", "1", **hold.environment)
        wait_for(lambda: len(hold.held(stays.pid)) == 2, stays)
        wait_for(lambda: hold.held(leaves.pid), leaves)
        killed = hold.held(stays.pid)[0]
        os.kill(killed, signal.SIGKILL)
        while leaves.poll() is None:  # a user presses Ctrl-C again
            os.killpg(leaves.pid, signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                leaves.wait(5)
        # A signal that arrives while Python exits ends it directly.
        assert leaves.returncode in (130, -signal.SIGINT)
        hold.release()
        assert stays.wait(SECONDS) == 0, tiny.log.read_text()
        storage = optuna.storages.RDBStorage(optuna_storage.address(address))
        trials = optuna.load_study(study_name="shared", storage=storage).trials
        storage.engine.dispose()
    done = [trial for trial in trials if trial.state.name in ("COMPLETE", "PRUNED")]
    assert sorted(trial.user_attrs[optuna_storage.PLACE] for trial in done) == list(range(TRIALS))
    lost = [
        trial
        for trial in trials
        if trial.state.name == "FAIL" and trial.user_attrs.get("worker", "").endswith(f":{killed}")
    ]
    assert len(lost) == 1
    (again,) = (
        trial
        for trial in done
        if trial.user_attrs[optuna_storage.PLACE] == lost[0].user_attrs[optuna_storage.PLACE]
    )
    assert again.params == lost[0].params
    assert len({trial.params["train.learning_rate"] for trial in done}) == TRIALS
    assert "its worker has ended (signal 9); another one takes over" in tiny.log.read_text()
    assert len(children(tiny.folder, "shared")) == TRIALS
    assert f"The best of {TRIALS} trials" in (tiny.folder / "reports/sweep.md").read_text()


LOST = (
    r"the storage postgresql://team(:\*+)?@127\.0\.0\.1:\d+/studies is unreachable: .+; once it can"
    " be reached, the same command continues"
)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_database_that_is_lost_is_one_sentence_wherever_it_is_asked(here: Path) -> None:
    with killable() as (address, database):
        question: dict[str, Any] = {"sampler": "grid", "storage": address}
        begun, settings, study = started("train.epochs=1,2", **question)
        kill(database)
        for ask in (
            lambda: started("train.epochs=1,2", **question),
            lambda: sweep.run(begun, settings, study),
            lambda: TrialTask("trial", settings, 1).run(lambda _: None),
        ):
            with pytest.raises(UserError, match=f"^{LOST}$"):
                ask()


def test_a_sweep_whose_database_is_killed_says_one_sentence_and_continues(
    tiny: Project, tmp_path: Path
) -> None:
    """The database is away for more than one heartbeat in the midst of a training."""
    hold = Hold(tmp_path / "hold", "*/.state/trials/*/checkpoint.json", times=2)
    with killable() as (address, database):
        command = [*EDGEPROOF, "sweep", "train.epochs=2,3", "--sampler", "grid", "--name", "lost"]
        command += ["-S", "train.seed=7", "--heartbeat", "1", "--storage", address]
        process = tiny.start(*command, **hold.environment)
        hold.wait(process)
        before = len(tiny.log.read_text())
        kill(database)
        time.sleep(3)
        hold.release()
        assert process.wait(SECONDS) == 1
        (sentence,) = re.findall(r"^error: .*$", tiny.log.read_text()[before:], re.M)
        assert re.fullmatch(f"error: trial: {LOST}", sentence)
        assert "Traceback" not in tiny.log.read_text()[before:]
        database.end()
        database.start()
        tiny.run(*command)
        storage = optuna.storages.RDBStorage(optuna_storage.address(address))
        trials = optuna.load_study(study_name="lost", storage=storage).trials
        storage.engine.dispose()
    done = [trial.params["train.epochs"] for trial in trials if trial.state.name == "COMPLETE"]
    assert sorted(done) == ["2", "3"]
    assert len(children(tiny.folder, "lost")) == 2
