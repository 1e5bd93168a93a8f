"""A training is run once, by one process at a time, and then read."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from pipeline.search import cached_training
from pipeline.search.cached_training import CachedTraining, PrunedError, TrainingResult
from tests.conftest import ROOT
from tests.search.conftest import analysis
from tests.waiting import SECONDS


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
    assert [process.wait(SECONDS) for process in processes] == [0, 0, 0]
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
