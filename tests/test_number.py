"""A number as the answer: errors in its unit, an interval, and the whole way to a device."""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from lectures import ridge
from pipeline import preprocess, targets
from pipeline.config import params
from pipeline.config.params import Dataset, Train
from pipeline.datasets import Raw, mnist_rotation, movielens_100k, npz, polynomial
from pipeline.diagnosis.diagnosis import MostError
from pipeline.diagnosis.rules import diagnose
from pipeline.embedded import c
from pipeline.field import assess
from pipeline.files.artifacts import Array, Description
from pipeline.files.reports.evaluate import Evaluation, NumberReport
from pipeline.files.reports.run import RunReports
from pipeline.files.reports.verify import VerificationReport
from pipeline.process.errors import UserError
from pipeline.reporting import pictures, statistics, terminal
from pipeline.search.analysis import check_answers
from pipeline.targets import _errors, number
from pipeline.tracking import record, registry, view
from pipeline.verification import intervals, rejection
from serving import Classifier, distributions, gate
from serving.acceptance import Acceptance
from serving.acceptance import rejection as rejection_of
from serving.bundle import Bundle
from serving.commands import predict
from serving.errors import BundleError, InputError
from serving.model_card import ModelCard
from tests import c_program
from tests.conftest import EDGEPROOF, OWN_PROBLEM, ROOT, STAGES, Project
from tests.server import Server, answer_on_page, check_openapi, png

# Whichever test comes first makes the project, in this process.
pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore")]

OWN = Description("own", ["angle"], (12, 12, 1), {}, [], target="number", unit="degrees")
UNIT = {"problem.unit": "degrees", "problem.target": 20.0, "problem.max_error": None}


def drawn(count: int = 600) -> tuple[Array, Array]:
    """Images (N, 12, 12) of waves, and the angle (N,) in degrees at which they run.

    Crest and trough change places at random, so no linear model can tell the angle.
    """
    random = np.random.default_rng(0)
    angles = random.uniform(0, 90, count)
    radians = np.radians(angles)[:, None, None]
    rows, columns = np.mgrid[:12, :12]
    waves = np.sin(0.9 * (columns * np.cos(radians) + rows * np.sin(radians)))
    signs = random.choice([-1, 1], count)[:, None, None]
    images = 128 + 80 * signs * waves + random.normal(0, 8, (count, 12, 12))
    return np.clip(images, 0, 255).astype(np.uint8), angles


def load(folder: Path, **arrays: Array) -> Raw:
    np.savez(folder / "own.npz", **arrays)  # type: ignore[arg-type]
    return npz.load(Dataset(name="npz", path=str(folder / "own.npz")))


def compared(added: Array, allowed: float) -> dict[str, Any]:
    """The gate on a file whose error is larger than its model's, which is 10, by `added` (N,)."""
    labels = np.zeros(len(added), np.float32)
    reference = np.full((len(added), 1), 10.0)
    return gate.compare(reference + added[:, None], reference, labels, allowed)


@pytest.mark.parametrize(("risk", "total"), [(0.05, 2), (0.025, 10), (0.01, 1000), (0.05, 16000)])
def test_the_quantile_of_student_is_that_of_scipy(risk: float, total: int) -> None:
    assert distributions.t_quantile(risk, total) == pytest.approx(stats.t.ppf(1 - risk, total - 1))


def test_the_bound_of_the_error_added_covers_the_true_one_95_times_in_100() -> None:
    random = np.random.default_rng(0)

    normal = [compared(random.normal(0.1, 1, 200), 1.0)["error_added_bound"] for _ in range(1000)]
    assert np.mean(np.array(normal) >= 0.1) == pytest.approx(0.95, abs=0.02)
    skewed = [compared(random.exponential(0.1, 500), 1.0)["error_added_bound"] for _ in range(1000)]
    assert np.mean(np.array(skewed) >= 0.1) > 0.93


@pytest.mark.parametrize(
    ("mean", "allowed", "state"),
    [(0.0, 0.2, "proven"), (0.0, 0.05, "not shown"), (0.3, 0.2, "worse"), (-0.5, 0.01, "proven")],
)
def test_the_verdict_on_a_file_follows_from_the_error_that_it_adds(
    mean: float, allowed: float, state: str
) -> None:
    added = np.random.default_rng(1).normal(size=400)
    added = mean + (added - added.mean()) / added.std()
    facts = statistics.with_reason(compared(added, allowed), "degrees")
    assert facts["state"] == state
    assert facts["error"] == pytest.approx(10 + mean)
    assert facts["keras_error"] == 10
    assert ("reason" in facts) == (state != "proven")
    if state == "not shown":
        enough = np.tile(added, math.ceil(facts["images_needed"] / len(added)))
        assert compared(enough, allowed)["state"] == "proven"
        assert f"{facts['images_needed']:,} images like these would show" in facts["reason"]


def test_a_number_that_is_not_finite_is_worse_and_one_image_proves_nothing() -> None:
    broken = compared(np.array([0.0, np.nan, 0.0]), 1.0)
    assert broken["state"] == "worse"
    assert statistics.with_reason(broken, "degrees")["reason"] == (
        "some of its outputs are not finite numbers"
    )
    assert compared(np.array([0.1]), 0.2)["state"] == "not shown"


def test_another_processor_needs_the_golden_vectors_and_no_significant_error() -> None:
    fine, bad = compared(np.full(50, 0.01), 0.2), compared(np.full(50, 0.5), 0.2)
    assert gate.elsewhere(fine, 0.01, 0.1, "not shown") == "proven"
    assert gate.elsewhere(fine, 0.2, 0.1, "proven") == "worse"
    assert gate.elsewhere(bad, 0.01, 0.1, "proven") == "worse"


def test_the_interval_holds_the_promised_share_of_new_numbers_19_times_in_20() -> None:
    random = np.random.default_rng(0)
    widths = [rejection.for_coverage(-random.random(1000), 0.9) for _ in range(1000)]
    held = -np.array(widths, float)  # of uniform errors, that is their share within the width
    assert np.mean(held >= 0.9) == pytest.approx(0.96, abs=0.02)
    facts = intervals.covered(np.linspace(0, 1, 1000), 0.95, 0.9)
    assert (facts.inside, facts.state) == (950, "proven")
    assert intervals.covered(np.linspace(0, 1, 1001), 0.85, 0.9).state == "worse"


def test_floats_of_an_npz_are_numbers(tmp_path: Path) -> None:
    images, angles = drawn(8)
    raw = load(tmp_path, x_train=images, y_train=angles[:, None], class_names=np.array(["angle"]))
    assert (raw.target, raw.class_names) == ("number", ["angle"])
    assert raw.train_labels.dtype == np.float32
    assert raw.train_labels.tolist() == angles.astype(np.float32).tolist()
    assert raw.test_labels.shape == (0,)
    for wrong, sentence in (
        ({"y_train": np.array([1.0, np.nan])}, "y_train has nan in number 1, counted from 0"),
        ({"y_train": np.array([1e300, 1.0])}, "expected finite numbers that float32 holds"),
        (
            {"y_train": np.ones(2), "x_test": images[:2], "y_test": np.ones(2, int)},
            "one of y_train and y_test holds floats, a number, and the other integers, classes",
        ),
    ):
        with pytest.raises(UserError, match=sentence):
            load(tmp_path, x_train=images[:2], **wrong)


def test_numbers_from_which_nothing_can_be_learned_are_refused() -> None:
    images = np.zeros((3, 12, 12, 1), np.uint8)
    for labels, sentence in (
        (np.ones(3, np.float32), "the training part has 1 different numbers; expected at least 2"),
        (np.ones(3, int), "labels of int64 and shape .3,.; expected a float for each example"),
    ):
        with pytest.raises(UserError, match=sentence):
            preprocess.check(images, labels, OWN, "training")


def test_the_unit_says_whether_the_target_is_an_error() -> None:
    settings = params.load(ROOT / "params.yaml")
    degrees = params.override(settings, UNIT)
    assert degrees.max_loss() == degrees.max_loss(micro=True) == pytest.approx(1.0)
    assert params.override(degrees, {"export.max_error_added": 0.3}).max_loss() == 0.3
    assert settings.max_loss() == settings.export.max_accuracy_drop
    for change, sentence in (
        ({"problem.target": 5.0}, "unit is null; expected a target from 0 to 1, or the unit"),
        ({"problem.unit": "kg", "problem.max_error": 0.1}, "expected null with a unit"),
        ({"problem.unit": "kg", "problem.target": 0.0}, "expected one above 0"),
    ):
        with pytest.raises(UserError, match=sentence):
            params.override(settings, change)
    with pytest.raises(UserError, match="unit is null, and own asks for a number"):
        preprocess.check_unit(dataclasses.replace(OWN, unit=None))
    with pytest.raises(UserError, match="unit is degrees, and own asks for classes"):
        preprocess.check_unit(dataclasses.replace(OWN, target="classes"))


def test_analyses_that_compare_right_answers_refuse_numbers_before_they_train() -> None:
    settings = params.load(ROOT / "params.yaml")
    check_answers(settings)
    with pytest.raises(UserError, match="unit is degrees, so the model gives a number"):
        check_answers(params.override(settings, UNIT))
    with pytest.raises(UserError, match="the dataset asks for a number, and this compares right"):
        targets.recognition("number")


def test_the_ratings_of_movielens_are_numbers() -> None:
    raw = movielens_100k.stars(b"196\t242\t3\t881250949\n186\t302\t5\t891717742\n")
    assert (raw.target, raw.class_names, raw.train_labels.tolist()) == (
        "number",
        ["rating"],
        [3, 5],
    )
    assert raw.train_labels.dtype == raw.test_labels.dtype == np.float32
    assert raw.not_passed_on


def test_a_rotated_digit_is_the_same_in_every_download(raw_mnist: Raw) -> None:
    few = raw_mnist.test_images[:200]
    images, angles = mnist_rotation.rotated(few)
    again, same = mnist_rotation.rotated(few)
    assert (images == again).all()
    assert (angles == same).all()
    assert angles.dtype == np.float32
    assert -45 <= angles.min() < -40 < 40 < angles.max() <= 45
    # counter-clockwise is positive: turned back, a digit is nearly as it was
    row = int(angles.argmax())
    back = Image.fromarray(images[row, ..., 0]).rotate(
        -float(angles[row]), Image.Resampling.BILINEAR
    )
    change = np.abs(np.asarray(back, int) - few[row, ..., 0]).mean()
    assert change < 0.4 * np.abs(images[row, ..., 0].astype(int) - few[row, ..., 0]).mean()


def test_the_baselines_are_the_mean_and_ridge_regression(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (400, 4, 4, 1), np.uint8)
    true = (images[:, 0, 0, 0] * 0.1 + 5).astype(np.float32)
    predict = number.baseline(images, true, OWN, pictures, tmp_path / "ridge.png")
    guesses = predict(images[:100])
    assert guesses["mean"] == pytest.approx(true.mean())
    assert guesses["ridge"] == pytest.approx(true[:100], abs=0.1)
    score = _errors.baseline_score(guesses["mean"], true[:100], OWN)
    assert score.error == pytest.approx(np.abs(true[:100] - true.mean()).mean())
    assert (score.unit, score.goodness) == ("degrees", -score.error)
    assert score.r_squared == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("kind", ["ids", "series"])
def test_every_kind_of_input_has_a_baseline_of_numbers(kind: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    inputs = random.integers(1, 30, (200, 6)).astype(np.int32)
    true = (inputs == 7).sum(1).astype(np.float32)
    if kind == "series":
        inputs = random.normal(size=(200, 5, 2)).astype(np.float32)
        true = inputs[:, 2, 1] * 3 - 1
    data = dataclasses.replace(OWN, kind=kind, highest=30, input_shape=inputs.shape[1:])
    guesses = number.baseline(inputs, true, data, pictures, tmp_path / "ridge.png")(inputs)
    assert np.abs(guesses["ridge"] - true).mean() < 0.3 * np.abs(guesses["mean"] - true).mean()


def test_a_stratified_split_has_each_tenth_of_the_numbers_in_proportion() -> None:
    strata = number.strata(np.random.default_rng(0).normal(size=1000).astype(np.float32))
    assert np.bincount(strata).tolist() == [100] * 10
    assert len(set(number.strata(np.array([1, 1, 1, 2], np.float32)).tolist())) == 2
    assert number.margins(np.array([[1.0], [3.0], [8.0]])).tolist() == [0, 2, 0]
    # of data that may not be passed on, none is chosen
    assert number.strata(np.zeros(0, np.float32)).shape == (0,)
    assert number.margins(np.zeros((0, 1), np.float32)).shape == (0,)


def test_a_group_with_large_errors_comes_first() -> None:
    labels = np.zeros(30, np.float32)
    outputs = np.repeat([[1.0], [5.0], [2.0]], 10, axis=0)
    judged = _errors.judge(np.ones(30), np.full(30, 2.0), 3.0, "degrees")
    assert judged.baseline_beaten
    report = NumberReport(
        model_sha256="",
        test_images=30,
        unit="degrees",
        test_error=1.0,
        test_error_interval=(1.0, 1.0),
        root_mean_square_error=1.0,
        root_mean_square_error_interval=(1.0, 1.0),
        r_squared=0.0,
        r_squared_interval=(0.0, 0.0),
        gate=judged,
    )
    names = np.repeat(["near", "far", ""], 10).tolist()
    grouped = _errors.with_groups(report, outputs, labels, OWN, names)
    assert isinstance(grouped, NumberReport)
    assert grouped.per_group is not None
    assert list(grouped.per_group) == ["far", "near"]
    assert _errors.remarks(grouped)[1] == (
        "the worst of 2 groups is 'far': 5 degrees on 10 examples"
    )


def test_the_gates_say_what_is_missing_in_the_unit() -> None:
    errors = np.linspace(1, 3, 50)
    missed = _errors.judge(errors, errors, 1.5, "degrees")
    assert missed.sentences == [
        "the mean absolute error on the test set, 2 degrees, is above problem.target 1.5; change "
        "the model or the data, and train again",
        "the mean absolute error on the test set, 2 degrees, is not significantly below the "
        "baseline's 2 degrees (p = 1.000); change the model or the data, and train again",
    ]
    (worse,) = _errors.judge(errors, errors - 0.1, 2.0, "degrees").sentences
    assert "test set, 2 degrees, is above the baseline's 1.9 degrees; change" in worse
    assert _errors.judge(errors, errors + 0.1, 2.0, "degrees").passed


@pytest.mark.parametrize(
    ("errors", "verdict", "words"),
    [
        ([9, 6, 4.5, 4.2, 4.1, 4.1], "too_little_capacity", "4.1 degrees, above the target of 2 d"),
        ([9, 7, 5.5, 4, 2.6, 1.5], "stopped_early", "both losses are still falling"),
        ([9, 3, 1.4, 1.3, 1.3, 1.3], "good_fit", "nothing is wrong"),
        ([9, 5, np.nan, 2, 1.6, 1.5], "diverged", "the training error is NaN or infinite"),
    ],
)
def test_the_diagnosis_speaks_of_the_error(errors: list[float], verdict: str, words: str) -> None:
    rows = [
        {
            "epoch": float(index + 1),
            "train_loss": error / 20 if math.isfinite(error) else 0.2,
            "validation_loss": error / 20 if math.isfinite(error) else 0.2,
            "train_error": error,
            "validation_error": error,
        }
        for index, error in enumerate(errors)
    ]
    diagnosis = diagnose(rows, target=MostError(2.0, "degrees"))
    assert diagnosis.verdict == verdict
    assert words in diagnosis.sentence
    assert "accuracy" not in diagnosis.sentence


@pytest.mark.slow  # imports TensorFlow
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"loss": "CategoricalCrossentropy"}, "expected MeanSquaredError or MeanAbsoluteError or"),
        ({"network": {"output": "softmax"}}, "output is softmax, and the dataset asks for number"),
        ({"keep": "validation_accuracy"}, "a number has none; expected validation_loss or last"),
    ],
)
def test_what_a_number_does_not_fit_is_refused(change: dict[str, Any], sentence: str) -> None:
    from pipeline.training import models
    from pipeline.training.batches import Data

    images, angles = drawn(8)
    split = images[..., None], angles.astype(np.float32)
    settings = params.load(ROOT / "params.yaml").train.model_dump()
    train = Train.model_validate({**settings, "loss": "Huber", **change})
    with pytest.raises(UserError, match=sentence):
        models.build(train, Data(split, split, 1, target="number"))


@pytest.fixture(scope="module")
def made(fresh: Project, mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project after all stages on images whose labels are angles. Tests must not change it."""
    folder = tmp_path_factory.mktemp("number") / "project"
    project = Project(shutil.copytree(fresh.folder, folder, symlinks=True), mirror)
    images, angles = drawn()
    names = np.array(OWN.class_names)
    np.savez(folder / "own.npz", x_train=images, y_train=angles, class_names=names)
    project.change(
        {
            **OWN_PROBLEM,
            **UNIT,
            "problem.name": "angles",
            "problem.coverage": 0.9,
            "dataset.name": "npz",
            "dataset.path": "own.npz",
            "preprocess.subset": None,
            "preprocess.validation": 0.2,
            "train.loss": "Huber",
            "train.augmentation": [],
            "train.epochs": 8,
            "train.batch_size": 32,
            "train.learning_rate": 0.005,
            "export.formats": ["tflite_int8", "onnx_float32"],
            "verify.runtimes": ["litert", "onnxruntime"],
            "verify.processors": ["native"],
            "embed.targets": "all",
            "embed.programs": [c.HERE],
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # where nobody listens
        patch.setattr(sys, "argv", ["stage"])
        for stage in STAGES:
            importlib.import_module(f"pipeline.{stage}").main()
    return project


def test_set(made: Project) -> tuple[Array, Array]:
    images, labels = (
        np.load(made.folder / f"data/prepared/test/{name}.npy") for name in ("images", "labels")
    )
    return images, labels


# Pytest takes every function that begins with test_ for a test.
test_set.__test__ = False  # type: ignore[attr-defined]


def report(made: Project, name: str) -> Any:
    return json.loads((made.folder / f"reports/{name}.json").read_text())


@pytest.mark.slow
def test_a_number_passes_the_whole_pipeline_to_the_device(made: Project) -> None:
    evaluation, train = report(made, "evaluate"), report(made, "train")
    assert evaluation["gate"]["baseline_beaten"]
    assert evaluation["unit"] == "degrees"
    assert {pair["state"] for pair in report(made, "verify")["pairs"]} == {"proven"}
    with np.load(made.folder / "evaluation/validation.npz") as validation:
        errors = np.abs(validation["probabilities"][:, 0] - validation["labels"])
    assert train["validation_error"] == pytest.approx(errors.mean(), rel=1e-3)

    classifier = Classifier.load(made.folder / "dist/angles-1.0.0.tar.gz", "onnx_float32")
    images, labels = test_set(made)
    numbers = classifier.predict(images)
    errors = np.abs(numbers[:, 0] - labels)
    assert evaluation["test_error"] == pytest.approx(errors.mean(), rel=1e-4)
    assert evaluation["root_mean_square_error"] == pytest.approx(
        (errors**2).mean() ** 0.5, rel=1e-4
    )
    described = classifier.number(numbers[0])
    assert described["low"] < described["number"] < described["high"]
    assert described["coverage"] == 0.9
    inside = np.mean([abs(errors) <= described["high"] - described["number"]])
    pair = next(pair for pair in report(made, "verify")["pairs"] if "onnx" in pair["format"])
    assert pair["coverage"]["share"] == pytest.approx(inside)
    with pytest.raises(InputError, match="angles gives a number; take it from `predict`"):
        classifier.answers(numbers)


@pytest.mark.slow
def test_the_serving_commands_print_the_number_with_its_interval_and_unit(made: Project) -> None:
    bundle, serving = "dist/angles-1.0.0.tar.gz", [sys.executable, "-m", "serving"]
    images, labels = test_set(made)
    Image.fromarray(images[0, ..., 0]).save(made.folder / "one.png")
    line = made.run(*serving, "predict", bundle, "one.png")
    shown = json.loads(made.run(*serving, "predict", bundle, "one.png", "--output", "json"))
    assert shown["low"] <= labels[0] <= shown["high"]
    assert line.startswith(f"{shown['number']:.4g} degrees ({shown['low']:.4g} to ")
    assert line.rstrip().endswith("with 90 %)   one.png")
    rows = made.run(*serving, "predict", bundle, "one.png", "--output", "csv").splitlines()
    assert rows[0] == "picture,number,low,high,unit"
    assert rows[1].startswith("one.png,")
    proven = made.run(*serving, "prove", bundle)
    assert "is proven: on 120 images it adds at most" in proven
    assert "degrees to the mean absolute error, where 1 is allowed" in proven
    assert "true numbers" in proven
    assert "accuracy" not in proven
    made.run(*serving, "check", bundle)
    for command in (["predict", bundle, "one.png"], ["serve", bundle, "--port", "0"]):
        refused = made.attempt(*serving, *command, "--log", "log")
        assert (refused.returncode, refused.stderr.count("\n")) == (1, 1), refused.stderr
        assert "gives a number" in refused.stderr


@pytest.mark.slow
def test_the_server_gives_the_number_with_its_interval(made: Project, chromium: Any) -> None:
    images, _ = test_set(made)
    bundle = made.folder / "dist/angles-1.0.0.tar.gz"
    expected = Classifier.load(bundle).number(Classifier.load(bundle).predict(images[:1])[0])
    with Server(bundle) as server:
        shown = server.ask("POST", "/predict", png(images[0, ..., 0])).json
        assert {name: shown[name] for name in expected} == expected
        assert "class" not in shown
        Image.fromarray(images[0, ..., 0]).save(made.folder / "one.png")
        said = answer_on_page(server, chromium, made.folder / "one.png")
        assert re.fullmatch(r"-?[\d.]+ degrees \(-?[\d.]+ to -?[\d.]+ with 90 %\)\.", said)
        assert float(said.split()[0]) == pytest.approx(expected["number"], rel=1e-3)
        tensor = {"name": "image", "datatype": "UINT8", "shape": [1, *images.shape[1:]]}
        body = {"inputs": [{**tensor, "data": images[0].ravel().tolist()}]}
        answer = server.ask("POST", "/v2/models/angles/infer", json.dumps(body).encode()).json
        values = {output["name"]: output["data"][0] for output in answer["outputs"]}
        wanted = (expected["number"], expected["low"], expected["high"])
        found = [values[name] for name in ("probabilities", "low", "high")]
        assert found == pytest.approx(wanted, rel=1e-6)
        check_openapi(server, made.folder)


@pytest.mark.slow
def test_the_program_in_c_gives_the_number_and_its_interval_and_judges_itself(
    made: Project, tmp_path: Path
) -> None:
    archive = made.folder / "dist/angles-1.0.0.tar.gz"
    ran, python = c_program.run(archive, tmp_path), c_program.classifier(archive)
    assert ran.answers == [predict._in_words(python.number(row)) for row in ran.outputs]
    assert " degrees (" in ran.answers[0]
    accepted, allowed = ran.acceptance, float(ran.figures["max_error_added"])
    facts = gate.compare(ran.outputs, accepted.probabilities, accepted.labels, allowed)
    for name in ("images", "error", "keras_error", "error_added", "error_added_bound"):
        assert float(ran.figures[name]) == pytest.approx(facts[name], abs=1e-8)
    ends = float(ran.figures["error_low"]), float(ran.figures["error_high"])
    assert ends == pytest.approx(facts["error_interval"])
    held = rejection_of(python.file, ran.outputs, accepted.labels)
    assert int(ran.figures["inside"]) == held["inside"]
    assert (ran.status, ran.sentence[:8]) == (0, "proven: ")
    rows = {row["target"]: row.get("measured") for row in report(made, "embed")["targets"]}
    assert rows["c"]["state"] == "proven"
    assert rows["microcontroller"]["agreement_with_litert"] == 1


@pytest.mark.slow
def test_what_takes_one_class_only_refuses_a_number_in_one_sentence(made: Project) -> None:
    rows = {row["target"]: row for row in report(made, "embed")["targets"]}
    assert "this dataset asks for a number; use `serving serve`" in rows["browser"]["refused"]
    folder = made.folder / "seen/a"
    folder.mkdir(parents=True)
    Image.fromarray(test_set(made)[0][0, ..., 0]).save(folder / "one.png")
    with pytest.raises(UserError, match="gives a number; expected a model of one class"):
        assess.assess(folder.parent, None, made.folder / "dist/angles-1.0.0.tar.gz", False)
    refused = made.attempt(*EDGEPROOF, "improve")
    assert refused.returncode == 1
    assert "problem.unit is degrees, so the model gives a number" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.slow
def test_page_card_table_and_mlflow_speak_of_the_error_and_never_of_accuracy(
    made: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(made.folder)
    terminal.show(())
    table = capsys.readouterr().out
    page = (made.folder / "reports/index.html").read_text()
    card = Bundle(made.folder / "dist/angles-1.0.0.tar.gz").read("MODEL_CARD.md").decode()
    for text in (table, page, card):
        assert "ccuracy" not in text
        assert "robabilit" not in text.replace("`probabilities`", "").replace("no probability", "")
    evaluation = Evaluation.load()
    assert isinstance(evaluation, NumberReport)
    error = f"{evaluation.test_error:.4g}"
    assert f"The mean absolute error is {error} degrees" in page
    assert f"The mean absolute error on the test set is {error} degrees" in card
    assert error in table
    reports = RunReports(evaluate=evaluation, verify=VerificationReport.load())
    figures = record.figures(reports)
    assert figures["test_error"] == evaluation.test_error
    assert "tflite_int8.litert.error_added_bound" in figures
    assert not [name for name in figures if "accuracy" in name]
    assert set(view.NUMBER_FIGURES) <= figures.keys()
    assert registry.registered_score(evaluation) == ("test_error", evaluation.test_error)
    assert registry.is_worse(3.0, 2.0, "test_error")
    assert not registry.is_worse(1.0, 2.0, "test_error")


@pytest.mark.slow
def test_a_card_of_a_number_has_its_errors_and_nothing_else(made: Project) -> None:
    bundle = Bundle(made.folder / "dist/angles-1.0.0.tar.gz")
    values = json.loads(bundle.read("model_card.json"))
    assert values["test_accuracy"] is None
    assert values["number"]["max_error_added"] == 1
    for change, sentence in (
        ({"number": None}, "target is number, and its scores are of another kind"),
        ({"test_accuracy": 0.5}, "target is number, and its scores are of another kind"),
        ({"number": {**values["number"], "unit": " "}}, "expected one line of text"),
        ({"number": {**values["number"], "max_error_added": 0}}, "expected above 0"),
    ):
        with pytest.raises(BundleError, match=sentence):
            ModelCard.parse(json.dumps({**values, **change}).encode())
    acceptance = Acceptance.load(bundle)
    broken = dataclasses.replace(acceptance, labels=acceptance.labels * np.nan)
    with pytest.raises(ValueError, match="a label or probability is not a finite number"):
        broken._check(bundle.card)


@pytest.mark.slow  # imports TensorFlow
def test_the_network_of_powers_can_be_the_ridge_regression_of_the_lectures() -> None:
    from pipeline.training import keras_files, models, unit
    from pipeline.training.batches import Data

    x, y = polynomial.drawn(20, np.random.default_rng(0))
    settings = params.load(ROOT / "params.yaml").train.model_dump()
    changed = {"architecture": "polynomial", "loss": "MeanSquaredError", "augmentation": []}
    data = Data((x, y), (x, y), 1, "series", target="number")
    model = models.build(Train.model_validate({**settings, **changed}), data)

    powers = x.reshape(-1, 1).astype(float) ** np.arange(1, 10)
    normal = (powers - powers.mean(0)) / powers.std(0)
    standardized = unit.standardized(data).train[1]
    weights = ridge.solved(normal, standardized[:, 0].astype(float), penalty=0.02)
    by_name = {layer.name: layer for layer in model.layers}
    normalization = by_name["batch_normalization"]
    variance = powers.var(0) - normalization.epsilon
    normalization.set_weights([np.ones(9), np.zeros(9), powers.mean(0), variance])
    model.layers[-1].set_weights([weights[:, None], np.zeros(1)])
    unit.fold(model, data)
    expected = normal @ weights * y.std() + y.mean()
    assert keras_files.probabilities(model, x)[:, 0] == pytest.approx(expected, abs=1e-3)
    assert np.abs(expected - y).mean() < 0.35, "closed form fits the lectures' polynomial"
