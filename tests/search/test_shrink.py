"""`edgeproof shrink`: its networks, its budget, what is stopped early, and what it recommends."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import optuna
import pytest
from dvc.utils.hydra import apply_overrides

from pipeline.config import params
from pipeline.config.overrides import Choices
from pipeline.planning.cost import NetworkFiles, Shape
from pipeline.process.errors import UserError
from pipeline.search import (
    analysis,
    shrink,
    shrink_report,
    shrink_score,
    shrink_space,
    shrink_worker,
)
from pipeline.search.analysis import Analysis, AnalysisOptions
from pipeline.search.change import Change
from pipeline.search.shrink_space import AVERAGING, BATCH, DEPTH, FIRST, LAST, SMOOTHING, Budget
from tests.conftest import EDGEPROOF, ROOT, Project

START = params.load(ROOT / "params.yaml")
VALUES: dict[str, Any] = {
    DEPTH: 4,
    FIRST: 8,
    LAST: 24,
    "train.network.convolution": "separable",
    "train.network.end": "mean",
    "train.epochs": 7,
    "train.learning_rate": 0.0123456,
    SMOOTHING: 0.1,
    AVERAGING: True,
}


def network(size: int, arena: int | None = 5000) -> NetworkFiles:
    return NetworkFiles(1, 1, size, micro_arena_bytes=arena, micro_flash_bytes=size, refused="why")


def ended(size: int, *accuracies: float) -> Any:
    """A complete trial of a network of `size` bytes, with the validation accuracy of each epoch."""
    rows = [{"validation_accuracy": accuracy, "validation_loss": 0.0} for accuracy in accuracies]
    result = {"key": "", "rows": rows, "kept": len(rows), "validation_examples": 1000}
    attributes = {"result": result, "files": {**vars(network(size))}}
    return optuna.trial.create_trial(values=[accuracies[-1], size], user_attrs=attributes)


def test_filters_grow_from_the_first_layer_to_the_last() -> None:
    assert shrink_space.filters(VALUES) == [8, 12, 17, 24]
    assert shrink_space.filters({DEPTH: 3, FIRST: 16, LAST: 16}) == [16, 16, 16]


def test_the_experiment_that_is_recommended_sets_what_the_trial_trained(tmp_path: Path) -> None:
    overrides = shrink_space.overrides(START.train, VALUES)
    expected = analysis.override(START, {"train.architecture": "tiny", **overrides})
    assert expected.train.learning_rate == 0.0123
    assert expected.train.network.hidden == [8, 12, 17, 24]
    assert expected.train.optimizer.config["use_ema"]  # type: ignore[union-attr]
    shutil.copy(ROOT / "params.yaml", tmp_path)
    words = shlex.split(Change("", {"train.architecture": "tiny", **overrides}, "").command())
    assert words[:3] == ["dvc", "exp", "run"]
    apply_overrides(tmp_path / "params.yaml", [word for word in words[3:] if word != "-S"])
    text = (tmp_path / "params.yaml").read_text(encoding="utf-8")
    assert params.parsed(text, params.FILE) == expected


def test_the_first_networks_are_trained_as_params_yaml_says() -> None:
    dimensions = shrink_space.space(START.train, "pixels", 16_000)
    expected = {"train.epochs": 12, "train.learning_rate": 0.01, SMOOTHING: "0.05", BATCH: "256"}
    assert shrink_space.recipe(START.train, dimensions) == {**expected, AVERAGING: "false"}
    other = params.override(START, {"train.loss.config.label_smoothing": 0.2})
    assert SMOOTHING not in shrink_space.recipe(other.train, dimensions)  # not one of the choices


@pytest.mark.parametrize(("batch", "tried"), [(256, [128, 256]), (32, None), ("full", None)])
def test_a_search_also_tries_half_the_batch_unless_it_is_small(batch: Any, tried: Any) -> None:
    train = params.override(START, {BATCH: batch}).train
    values = {
        parameter.key: getattr(parameter, "values", None)
        for parameter in shrink_space.space(train, "pixels", 16_000)
    }
    assert values.get(BATCH) == tried


def test_a_search_trains_its_own_network_whatever_params_say() -> None:
    backbone = params.override(
        START,
        {
            "train.architecture": "mobilenet_v1",
            "train.weights": "imagenet",
            "train.network.width": 0.5,
        },
    )
    own = shrink_space.fresh(backbone, "pixels")
    assert own == {
        "train.architecture": "tiny",
        "train.weights": "none",
        "train.network.width": None,
    }
    dimensions = shrink_space.space(backbone.train, "sounds", 16_000)
    assert not [
        parameter
        for parameter in dimensions
        if isinstance(parameter, Choices) and "convolution" in parameter.key
    ]


def test_a_budget_names_what_a_network_needs_too_much_of() -> None:
    budget = Budget(16_000, 4000, "esp32")
    assert budget.faults(network(17_000)) == {"bytes": (17_000, 16_000), "arena": (5000, 4000)}
    assert budget.faults(network(15_000, 200_000)) == {
        "arena": (200_000, 4000),
        "RAM": (200_000, 163_840),
    }
    assert budget.refusal(network(15_000, None)) == "why"
    assert Budget(16_000, None, None).refusal(network(15_000, None)) is None
    assert not Budget(16_000, None, None).faults(network(16_000))


def test_the_front_holds_what_no_smaller_network_beats() -> None:
    trials = [ended(9000, 0.97), ended(8000, 0.96), ended(12_000, 0.965), ended(12_000, 0.99)]
    front = shrink_report.front(trials)
    assert [shrink_report.files_of(trial).integer_bytes for trial in front] == [8000, 9000, 12_000]
    assert shrink_score.value(front[-1]) == 0.99


def test_a_network_that_was_refused_after_its_training_is_not_in_the_report() -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    study.add_trial(ended(9000, 0.97))
    trial = study.ask()
    for name, attribute in study.get_trials()[0].user_attrs.items():
        trial.set_user_attr(name, attribute)
    shrink_score.begin(trial, "macro_f1")  # its answers could not be judged
    study.tell(trial, state=optuna.trial.TrialState.FAIL)
    assert [trial.number for trial in shrink_report.by_bytes(study.get_trials())] == [0]


def test_files_of_another_format_are_another_study(here: Path) -> None:
    budget = Budget(9000, None, None)
    int8, int4 = (
        params.override(params.load(), {"embed.format": name})
        for name in ("tflite_int8", "tflite_int4")
    )
    first, again, other = (
        Analysis("shrink", AnalysisOptions(), **shrink.facts(budget, settings)).title
        for settings in (int8, int8, int4)
    )
    assert first == again != other


def test_only_what_is_worse_than_networks_that_are_not_larger_is_stopped() -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    for size, middle in ((8000, 0.90), (9000, 0.92), (10_000, 0.94)):
        study.add_trial(ended(size, 0.5, middle, 0.99))

    def stopped(size: int, accuracy: float, share: float = 0.5) -> bool:
        row = {"validation_accuracy": accuracy}
        return shrink_worker.is_hopeless(row, share, network(size), study)

    assert stopped(12_000, 0.91)
    assert not stopped(12_000, 0.93)
    assert not stopped(9000, 0.6)  # too few that are not larger
    assert stopped(12_000, 0.97, share=0.9)
    assert not stopped(12_000, 0.6, share=1 / 3)  # after the first of their three epochs


@pytest.mark.parametrize(
    ("budget", "trials", "sentence"),
    [
        (Budget(0, None, None), 3, "--bytes is 0; expected an integer of at least 1"),
        (Budget(9000, 0, None), 3, "--arena is 0; expected an integer of at least 1"),
        (Budget(9000, None, None), 0, "--trials is 0; expected an integer of at least 1"),
        (Budget(9000, None, "uno"), 3, "--board is uno; expected one of esp32, esp32-s3"),
    ],
)
def test_a_wrong_budget_is_refused(budget: Budget, trials: int, sentence: str) -> None:
    with pytest.raises(UserError, match=re.escape(sentence)):
        shrink.check(budget, trials, AnalysisOptions())


def test_data_without_such_networks_are_refused_with_the_way_out() -> None:
    from pipeline.files.artifacts import Description

    series = Description("waves", ["a", "b"], (60, 3), {}, [], kind="series")
    with pytest.raises(UserError, match=r"waves holds series .*; use `edgeproof sweep`"):
        shrink_space.shape_of(series)
    images = Description("digits", ["a", "b"], (8, 8, 1), {}, [])
    assert shrink_space.shape_of(images) == Shape((8, 8, 1), 2)


@pytest.mark.slow
@pytest.mark.long
def test_a_search_trains_only_what_fits_continues_and_says_how_to_train_the_best(
    tiny: Project,
) -> None:
    command = [*EDGEPROOF, "shrink", "--bytes", "10500", "-S", "train.epochs=2"]
    failed = tiny.attempt(*command[:5], "4000")
    assert "the smallest network of the search needs" in failed.stderr
    assert len(failed.stderr.splitlines()) == 1
    tiny.run(*command, "--trials", "2")
    printed = tiny.run(*command, "--trials", "3")
    assert "2 of 3 trials already done" in printed
    page = (tiny.folder / "reports/shrink.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in page.splitlines() if re.match(r"\| \d+ \|", line)]
    sizes = [int(cells[4].replace(",", "")) for cells in rows]
    assert len(sizes) > 3  # the front, and all three
    assert max(sizes) <= 10_500
    # The first is the largest of the architecture's own form.
    assert re.search(r"^\| 0 \| \d+ \d+ \d+ \d+ full, flatten \|", page, re.MULTILINE)
    (misfits,) = re.findall(r"(\d+) others? did not fit", page)
    assert int(misfits) > 0
    (line,) = re.findall(r"prove it: `(dvc exp run .*)`\.", page)
    assert "train.architecture=tiny" in line
    assert "train.network.hidden=[" in line
    assert (tiny.folder / "reports/shrink.png").stat().st_size > 10_000
