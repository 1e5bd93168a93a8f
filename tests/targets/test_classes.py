"""One class of several: the score of each, and classes that are never predicted or neglected."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.bundle import card_markdown, gates
from pipeline.config import params
from pipeline.diagnosis.data_and_layer_rules import NEGLECTED, with_ignored, with_neglected
from pipeline.diagnosis.diagnosis import Diagnosis
from pipeline.files.artifacts import Array
from pipeline.reporting import pictures
from pipeline.search.advise import advise
from pipeline.search.change import Situation
from pipeline.targets import (
    _gate,
    _neglected,
    _per_class,
    _scores,
    classes,
)
from serving.bundle import Bundle
from tests import reports
from tests.conftest import OWN_PROBLEM, ROOT, STAGES, Project
from tests.targets.conftest import LABELS, THREE, evaluated, probabilities


def test_the_scores_of_the_classes_agree_with_their_definitions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answers, labels = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 0])
    matrix = _scores.confusion(labels, answers, 3)
    assert matrix.tolist() == [[1, 1, 0], [1, 2, 0], [0, 0, 0]]
    scores = _per_class.per_class(classes.counts(answers, labels, 3), THREE.class_names)
    assert scores["b"].precision == scores["b"].recall == pytest.approx(2 / 3)
    assert scores["b"].f1 == pytest.approx(2 / 3)
    assert scores["c"].precision == scores["c"].recall == scores["c"].f1 == 0
    report = evaluated([0, 0, 0, 1, 1, 1, 2, 0], tmp_path)
    assert report.test_accuracy == 6 / 8
    assert report.balanced_accuracy == pytest.approx((3 / 4 + 1 + 1 / 2) / 3)
    assert report.macro_f1 == pytest.approx((3 / 4 + 4 / 5 + 2 / 3) / 3)
    assert report.worst_recall == 1 / 2
    assert report.test_loss == pytest.approx(-(6 * np.log(0.8) + 2 * np.log(0.1)) / 8)


def test_a_class_that_is_never_predicted_is_named_and_fails_the_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    report = evaluated([0, 0, 0, 0, 1, 1, 1, 1], tmp_path)
    assert report.gate.never_predicted == ["c"]
    assert not report.gate.passed
    (sentence,) = report.gate.failures["classes"]
    assert sentence.startswith("the model never predicts 'c' on the test set: add training")
    settings = params.load(ROOT / "params.yaml")
    by_gate = gates.by_gate(settings, reports.bundled(evaluate=report))
    assert by_gate["target"] == []
    assert by_gate["classes"] == [sentence]
    assert evaluated([0, 0, 0, 0, 1, 1, 1, 2], tmp_path).gate.failures["classes"] == []


def test_a_high_accuracy_hides_no_bad_class_in_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bad, good = ([0, 0, 0, 0, 1, 1, 0, last] for last in (0, 2))
    assert _scores.remark(evaluated(bad, tmp_path)) == (
        "Balanced accuracy, the mean recall of the classes, is 66.67 %, macro F1 60.00 %; "
        "the worst recall is 0.00 %, of 'c'."
    )
    assert _scores.remark(evaluated(good, tmp_path)) == ""


def test_the_majority_class_is_a_baseline_beside_those_of_the_inputs(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (8, 2, 2, 1), np.uint8)
    predict = classes.baseline(images, LABELS, THREE, pictures, tmp_path / "means.png")
    predictions = predict(images)
    assert set(predictions) == {"rmse", "mae", "majority"}
    assert predictions["majority"].tolist() == [0] * 8
    score = _scores.baseline_score(predictions["majority"], LABELS, THREE)
    assert score.accuracy == 0.5
    assert score.per_class == {"a": 1, "b": 0, "c": 0}


def test_a_diagnosis_names_the_classes_that_are_never_predicted() -> None:
    good = Diagnosis("good_fit", 3, {"gap_of_loss": 0.1}, "nothing is wrong")
    bad = Diagnosis("overfit", 3, {}, "validation falls behind")
    assert with_ignored(good, []) is good
    verdict = with_ignored(good, ["c"])
    assert (verdict.verdict, verdict.epoch) == ("ignored_classes", 3)
    assert verdict.numbers == {"gap_of_loss": 0.1, "ignored_classes": 1}
    assert "nothing is wrong" not in verdict.sentence
    assert "the model never predicts 'c' in validation" in verdict.sentence
    note = with_ignored(bad, ["b", "c"])
    assert note.verdict == "overfit"
    assert note.sentence == (
        "validation falls behind; note that the model never predicts 'b' and 'c' in validation"
    )


def test_only_a_rare_class_that_is_surely_neglected_is_named() -> None:
    labels = np.repeat([0, 1, 2], [200, 40, 4])
    trained = {"a": 2000, "b": 400, "c": 40}

    def neglected(predictions: Array, **counts: int) -> list[str]:
        outputs = probabilities(predictions.tolist())
        return _neglected.poorly_recognized(outputs, labels, THREE, {**trained, **counts})

    bad = labels.copy()
    bad[200:230] = 0
    assert neglected(labels) == []
    assert neglected(bad) == ["b"]
    for count in (3000, 1900):
        assert neglected(bad, b=count, c=1900) == []  # it is not rare: weights would not help
    luck = labels.copy()
    luck[:80] = 1  # the accuracy is 66 %, within the interval of 1 of 4
    luck[240:243] = 0
    assert neglected(luck) == []
    luck[243] = 0
    assert neglected(luck) == ["c"]  # never predicted
    several = replace(THREE, target="labels")
    assert _neglected.poorly_recognized(probabilities([0]), labels[:1], several, trained) == []


def test_a_diagnosis_names_neglected_classes_and_the_advice_is_to_weight_them() -> None:
    good = Diagnosis("good_fit", 3, {}, "nothing is wrong")
    assert with_neglected(good, []) is good
    diagnosis = with_neglected(good, ["b"])
    assert diagnosis.verdict == "good_fit"
    assert diagnosis.sentence == (
        "nothing is wrong; note that few validation examples of 'b' are recognized, which is rare "
        "in training: if train.class_weights is null, set it to balanced, so that each class "
        "counts the same"
    )
    settings = params.load(ROOT / "params.yaml")
    now = Situation(settings, "good_fit", 60_000, neglects_classes=NEGLECTED in diagnosis.numbers)
    first = advise(now)[0]
    assert first.overrides == {"train.class_weights": "balanced"}
    weighted = params.override(settings, first.overrides)
    for other in (replace(now, params=weighted), replace(now, neglects_classes=False)):
        assert "class weights" not in [change.name for change in advise(other)]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_model_that_always_answers_the_large_class_gets_no_bundle(
    project: Project, run_stages: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    """The images are noise, so there is nothing to tell the 1 % of the second class by."""
    labels = (np.arange(600) % 100 == 0).astype(np.int64)
    images = np.random.default_rng(0).integers(0, 256, (600, 8, 8, 1), np.uint8)
    np.savez(project.folder / "rare.npz", x_train=images, y_train=labels)
    project.change(
        {
            **OWN_PROBLEM,
            "dataset.name": "npz",
            "dataset.path": "rare.npz",
            "preprocess.subset": None,
            "preprocess.validation": 0.2,
            "train.architecture": "mlp",
            "train.augmentation": [],
            "train.epochs": 4,
            "train.learning_rate": 0.0001,
        }
    )
    run_stages(project, *STAGES[: STAGES.index("evaluate") + 1])
    output = capsys.readouterr().out
    baseline, diagnosis, evaluation = (
        json.loads(Path(f"reports/{name}.json").read_text())
        for name in ("baseline", "diagnose", "evaluate")
    )
    assert baseline["best"] == "majority"
    assert diagnosis["verdict"] != "good_fit"
    assert "the model never predicts '1' in validation" in diagnosis["sentence"]
    assert "few validation examples of '1' are recognized" in diagnosis["sentence"]
    assert "note that '1' has only" in diagnosis["sentence"]
    assert evaluation["test_accuracy"] > 0.98
    assert evaluation["balanced_accuracy"] == 0.5
    assert evaluation["gate"]["never_predicted"] == ["1"]
    assert not evaluation["gate"]["baseline_beaten"]
    assert "the worst recall is 0.00 %, of '1'." in output
    assert "warning: the model never predicts '1' on the test set" in output


@pytest.mark.slow
def test_the_model_card_has_the_figures_of_the_report_and_names_what_is_never_predicted(
    finished: Project, archive: Path
) -> None:
    card = Bundle(archive).card
    assert card.reference is not None
    evaluation = json.loads((finished.folder / "reports/evaluate.json").read_text())
    shown = card_markdown.render(card, {})
    for name, title in (
        ("balanced_accuracy", "of the classes, is"),
        ("macro_f1", "macro F1"),
        ("worst_recall", "the worst recall is"),
    ):
        assert f"{title} {100 * evaluation[name]:.2f} %" in shown
    assert "never predicts" not in shown
    card.reference.predicted[3] = 0
    assert "The model never predicts '3'." in card_markdown.render(card, {})


@pytest.mark.slow
def test_a_card_without_a_threshold_says_that_every_input_gets_a_class(archive: Path) -> None:
    card = Bundle(archive).card
    nothing = replace(card, rejection=None)
    assert "Every input gets a class" in card_markdown.render(nothing, {})
    assert "are not judged" not in card_markdown.render(nothing, {})
    params = {**card.provenance["params"], "dataset": {"other": "strange"}}
    others = replace(nothing, provenance={**card.provenance, "params": params})
    assert "as the maker named them, are not judged" in card_markdown.render(others, {})


def test_a_model_without_a_mistake_is_not_told_to_train_longer() -> None:
    right = np.ones(20, bool)
    half = np.arange(20) < 10
    [perfect] = _gate.judge(right, right, 0.5, []).failures["baseline"]
    [equal] = _gate.judge(half, half, 0.5, []).failures["baseline"]
    assert perfect.endswith("adds anything to it; add more or harder test examples")
    assert "train longer" in equal


def test_a_better_model_with_too_few_test_images_to_show_it_is_told_so_first() -> None:
    model, baseline = np.arange(40) < 35, np.arange(40) < 32
    [better] = _gate.judge(model, baseline, 0.5, []).failures["baseline"]
    assert "0.8750 is not significantly better than the baseline's 0.8000 (p = 0.250); " in better
    assert better.endswith(
        "; more test examples may show that it is better; "
        "else change the model or the data, and train again"
    )
    [worse] = _gate.judge(baseline, model, 0.5, []).failures["baseline"]
    assert worse.endswith("the baseline's 0.8750; change the model or the data, and train again")
