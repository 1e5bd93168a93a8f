"""What `edgeproof start` proposes for the data, and what it says to expect."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config import params
from pipeline.datasets import image_folder
from pipeline.planning import (
    cost,
    kinds,
    others,
    outlook,
    params_file,
    recipe,
    start,
    survey,
)
from pipeline.planning.data import Given, NumberRange, Survey
from pipeline.planning.parts import Parts, folds, parts
from pipeline.process.errors import UserError
from pipeline.verification import rejection
from tests.conftest import ROOT
from tests.planning.conftest import SHIPPED, arrays, photo, photos, values


def test_few_images_get_small_batches_a_low_rate_and_many_epochs() -> None:
    keys = ("train.batch_size", "train.learning_rate", "train.epochs", "preprocess.validation")
    recipes = [
        tuple(values(photos(images))[key] for key in keys) for images in (200, 3000, 20_000, 90_000)
    ]
    assert recipes == [
        (32, 0.001, 80, 0.2),
        (64, 0.003, 74, 0.1),
        (128, 0.005, 22, 0.1),
        (256, 0.01, 12, 0.1),
    ]


def test_large_photos_start_from_a_published_network_if_its_weights_are_there() -> None:
    own = values(photos(500), weights=True)
    assert (own["train.architecture"], own["train.weights"]) == ("efficientnet_lite0", "imagenet")
    assert (own["dataset.height"], own["train.augmentation"]) == (128, [])
    assert "tflite_int8" not in own["export.formats"]  # 140 unseen photos cannot judge it
    many = values(photos(2000), weights=True)
    assert "tflite_int8" in many["export.formats"]
    assert (own["export.max_accuracy_drop"], many["export.max_accuracy_drop"]) == (0.002, 0.01)
    assert "tflite_micro" not in many["verify.runtimes"]
    assert many["embed.targets"] == []
    numbers = photos(2000, target="number", number=NumberRange("years", 0.0, 90.0, 20.0))
    assert "tflite_int8" not in values(numbers, weights=True)["export.formats"]
    assert values(photos(500), weights=False)["train.architecture"] == "edge"
    assert values(photos(500, side=32), weights=True)["train.architecture"] == "edge"
    micro = values(photos(500), board="rp2040", weights=True)
    assert (micro["train.architecture"], micro["train.weights"]) == ("mobilenet_v1", "imagenet")
    assert (micro["dataset.height"], micro["train.augmentation"]) == (96, [])
    thaw = [{"after": 10, "freeze": 0, "learning_rate": 0.0003}]
    assert (micro["train.thaw"], micro["train.epochs"]) == (thaw, 30)
    assert values(photos(50_000), board="rp2040", weights=True)["train.epochs"] == 15
    assert micro["export.max_accuracy_drop"] == 0.01
    assert micro["verify.processors"] == ["native"]
    assert own["verify.processors"] == ["native", "cortex-a72"]
    assert "tflite_int8" in micro["export.formats"]
    assert "tflite_micro" in micro["verify.runtimes"]
    assert micro["embed.targets"] == "all"
    data = photos(500)
    names = [x.architecture for x in kinds.kind_of(data).candidates(data, "rp2040", True)]
    assert names == ["mobilenet_v1", "edge", "tiny", "tiny"]


def test_few_images_are_judged_by_folds_where_folds_can_judge_them() -> None:
    def proposed(data: Survey) -> Any:
        return values(data)["evaluate.folds"]

    assert proposed(photos(2400)) == "reports/folds.json"
    assert proposed(photos(2600)) == params.NONE, "520 images are for the test"
    assert proposed(photos(500, group="sender", folds=3)) == "reports/folds.json"
    assert proposed(photos(500, group="sender", folds=0)) == params.NONE
    uneven = Survey({}, ["a", "b"], {"train": 90}, {"a": 70, "b": 20})
    assert proposed(uneven) == "reports/folds.json"
    assert values(uneven)["problem.metric"] == "balanced_accuracy"
    assert proposed(Survey({}, ["a", "b"], {"train": 10}, {"a": 5, "b": 5})) == params.NONE
    own_test = {"train": 10, "test": 5}
    assert proposed(Survey({}, ["a", "b"], own_test, {"a": 5, "b": 5})) == "reports/folds.json"


def test_few_groups_are_judged_by_three_folds_whose_interval_is_wide() -> None:
    def reason(groups: int, **examples: int) -> str:
        names, classes = np.arange(120) % groups, np.arange(120) // groups % 2
        count = folds(names.tolist(), classes.tolist(), bool(examples))
        facts = {"groups": groups, "groups_of_class": groups, "folds": count}
        data = photos(120, group="speaker", **facts)
        return recipe._folds(replace(data, examples={**data.examples, **examples})).reason

    assert reason(5) == (
        "the test set would hold 24, too few to judge by, so 3 trainings on parts of the other 96 "
        "do; `edgeproof run` makes them first; of 5 groups their interval is wide"
    )
    assert "so 5 trainings" in reason(10)
    assert "wide" not in reason(10)
    assert "so 3 trainings" in reason(4)
    assert "so 3 trainings" in reason(3, test=30)
    assert reason(3) == (
        "24 examples for the test are few, but a class is in 3 of 3 groups, too few for folds with "
        "an interval that holds"
    )
    settings = params.override(
        params.load(ROOT / "params.yaml"), {"evaluate.folds": "reports/folds.json"}
    )
    few = parts(photos(120, group="speaker", folds=3))
    assert "; 3 folds judge the recipe on all 96" in outlook.splits(few, settings)[1]
    shown = outlook.training(settings, few, cost.Speed(0.01, 0.005, 2**30))
    assert "for the same in 3 folds" in shown
    none = replace(few, folds=0)
    without = params.override(settings, {"evaluate.folds": params.NONE})
    assert "folds" not in outlook.splits(none, without)[1], "they would be refused"
    own = outlook.training(settings, none, cost.Speed(0.01, 0.005, 2**30))
    assert "for the same in 5 folds" in own, "who wants folds of too few groups gets as many"


def test_the_target_is_above_what_the_largest_class_alone_gives() -> None:
    large = Survey({}, ["a", "b"], {"train": 100}, {"a": 75, "b": 25}, side=50)
    assert values(large)["problem.target"] == 0.88
    uneven = Survey({}, ["a", "b"], {"train": 100}, {"a": 90, "b": 10}, side=50)
    assert values(uneven)["problem.metric"] == "balanced_accuracy"
    assert values(uneven)["problem.target"] == 0.8, "the largest class alone gives a half of it"
    assert "There were few photos of b: 10." in values(uneven)["problem.limits"]
    few = Survey({}, ["a", "b", "c"], {"train": 120}, {"a": 40, "b": 60, "c": 20}, side=50)
    assert "There were few photos of a and c: 20 to 40." in values(few)["problem.limits"]


def test_few_test_images_are_told_with_the_interval_and_the_folds() -> None:
    settings = params.override(params.load(ROOT / "params.yaml"), {"problem.target": 0.8})
    few = outlook.splits(Parts(320, 80, 100), settings)
    assert few[1].startswith("test: an accuracy of 80 % would have a 95 % interval of 70.8 to 87.3")
    assert "`edgeproof folds` judges the recipe on all 400 outside the test set" in few[1]
    rare = outlook.splits(Parts(320, 80, 100), settings, rarest=3)
    assert "`edgeproof folds --folds 3` judges the recipe" in rare[1], "5 would be refused"
    assert "show at best that a file loses at most 1.71 points" in few[2]
    judged = params.override(settings, {"evaluate.folds": "reports/folds.json"})
    assert "; 5 folds judge the recipe on all 400" in outlook.splits(Parts(320, 80, 100), judged)[1]
    many = outlook.splits(Parts(60_000, 6_000, 10_000), settings)
    assert "folds" not in many[1]
    assert many[2:] == ["gate: 16,000 unseen examples can prove a loss of at most 0.2 points"]


def test_the_gate_is_foretold_for_the_metric_that_it_looks_at() -> None:
    """The run of such a folder ended with 24.96 %, and 2.30 of accuracy had been foretold."""
    balanced = {"problem.metric": "balanced_accuracy"}
    settings = params.override(params.load(ROOT / "params.yaml"), balanced)
    line = outlook.splits(Parts(238, 59, 74), settings, counts=[300, 59, 12])[-1]
    assert "loses at most 24.96 points of balanced accuracy, and export.max_acc" in line
    even = outlook.splits(Parts(238, 59, 74), settings, counts=[100, 100, 100])[-1]
    assert "loses at most 2.27 points of balanced accuracy" in even, "as of accuracy, or nearly"


@pytest.mark.parametrize(
    ("validation", "possible"), [(298, 0.98), (59, 0.95), (56, 0.94), (29, 0.9)]
)
def test_too_few_examples_to_reject_any_are_told(validation: int, possible: float) -> None:
    settings = params.override(params.load(ROOT / "params.yaml"), {"problem.coverage": 0.99})
    assert outlook.rejection(299, settings) == []
    assert "are enough" not in outlook.rejection(28, settings)[0]
    (line,) = outlook.rejection(validation, settings)
    assert line == (
        f'"none of these": every input gets a class, as {validation} validation examples are too '
        "few to reject any and still answer 99 % of new ones; that takes 299, "
        f"but with problem.coverage: {possible} these are enough"
    )
    confidences = np.linspace(0, 1, validation)
    assert rejection.for_coverage(confidences, possible) is not None
    assert rejection.for_coverage(confidences, possible + 0.01) is None


def test_large_networks_on_emulated_processors_are_said_to_take_long() -> None:
    shipped = params.load(ROOT / "params.yaml")
    backbone = {
        "train.architecture": "efficientnet_lite0",
        "train.weights": "imagenet",
        "train.augmentation": [],
        "export.formats": ["tflite_float32", "tflite_int8", "onnx_float32"],
    }
    large = params.override(shipped, backbone)
    assert outlook.emulated_images(large) == 3 * (2 * 20 + 110)
    parts, speed = Parts(320, 80, 100), cost.Speed(0.0, 0.005, 2**30)
    shown = outlook.training(large, parts, speed)
    assert shown.startswith("time: 14 s to 40 s for 12 epochs of efficientnet_lite0")
    assert shown.endswith("and 9 min to 19 min for the other stages; memory: 1.0 GiB")
    strange = params.override(large, {"dataset.other": "strange"})
    assert outlook.training(strange, parts, speed) == shown, "their features are computed once too"
    folds = params.override(large, {"evaluate.folds": "reports/folds.json"})
    times = "on this machine, 63 s to 3 min for the same in 5 folds, and 9 min"
    assert times in outlook.training(folds, parts, speed)
    thaw = {"train.thaw": [{"after": 2, "freeze": 0, "learning_rate": 0.0003}]}
    thawed = params.override(large, thaw)
    shown = outlook.training(thawed, parts, cost.Speed(0.01, 0.005, 2**30))
    assert shown.startswith("time: 29 s to 82 s for 12 epochs"), "ten epochs of 3.6 s"
    native = params.override(large, {"verify.processors": ["native"]})
    assert "and 2 min to 6 min for the other stages" in outlook.training(native, parts, speed)


def test_rare_classes_are_named() -> None:
    uneven = replace(photos(412), counts={"cat": 400, "dog": 12})
    lines = outlook.classes(uneven)
    assert lines[0].startswith("cat has 400 examples and dog 12: class weights and a metric")
    (told, _) = outlook.classes(uneven, is_balanced=False)
    assert told.startswith("cat has 400 examples and dog 12; with train.class_weights: balanced")
    assert lines[1].startswith("fewer than 20 examples of dog")
    assert outlook.classes(replace(uneven, target="labels")) == [
        lines[1].replace("the class", "the label")
    ]
    assert outlook.classes(photos(70)) == []
    many = replace(photos(90), counts=dict.fromkeys("abcdefghi", 10))
    assert "examples of a, b, c, d, e and 4 more: too few" in outlook.classes(many)[0]


def test_a_class_of_what_is_no_class_is_proposed_as_others(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start._print_survey(survey.survey(folder))
    assert "dataset.other" not in capsys.readouterr().out
    shutil.copytree(folder / "cat", folder / "Background")
    start._print_survey(survey.survey(folder))
    note = "note: Background: taken for a class like the others; if these pictures belong to none"
    shown = capsys.readouterr().out
    assert note in shown
    assert "give `--other 'My Pets/Background'` too" in shown
    shutil.rmtree(folder / "dog")
    assert others.among(survey.survey(folder)) == [], "a model needs two classes"


@pytest.mark.parametrize(
    "name", ["none of these", "No_Class", "_background", "Negatives", "misc", "rest"]
)
def test_names_of_no_class_are_known_without_blanks_underscores_and_case(name: str) -> None:
    counts = {"cat": 40, "dog": 40, name: 40}
    data = replace(photos(120), counts=counts, class_names=list(counts))
    assert others.among(data)[0].startswith(f"{name}: taken for a class like the others")


@pytest.mark.parametrize("other", [Path("My Pets/other"), Path("strange")])
def test_pictures_of_none_of_the_classes_are_named_and_are_no_class(
    folder: Path, other: Path
) -> None:
    shutil.copytree(folder / "cat", other)
    data = survey.survey(folder, Given(other=str(other)))
    assert others.look(folder, other, data) == 30
    assert others.among(data) == []
    assert data.class_names == ["cat", "dog"]
    choices = recipe.propose(
        data, folder, kinds.kind_of(data).candidates(data, None, False)[0], None
    )
    written = params.parsed(params_file.apply(SHIPPED, choices), params.FILE)
    assert written.dataset.other == str(other)
    assert image_folder.load(written.dataset).class_names == ["cat", "dog"]


def test_others_that_cannot_be_used_are_refused(folder: Path) -> None:
    photo(Path("one/1.png"), 1)
    data = survey.survey(folder)
    for other, sentence in (
        (Path(), "which holds the data themselves"),
        (folder, "which holds the data themselves"),
        (Path("one"), "holds 1 picture; expected at least 2"),
        (Path("nowhere"), "--other nowhere does not exist"),
        (arrays(Path("a.npz")), r"x_train is uint8 of shape \(30, 28, 28\); expected uint8"),
    ):
        with pytest.raises(UserError, match=sentence):
            others.look(folder, other, data)
    series = survey.survey(arrays(Path("s.npz"), x_train=np.zeros((30, 50, 2), np.float32)))
    with pytest.raises(UserError, match="is for images of one class each"):
        others.look(Path("s.npz"), Path("one"), series)
