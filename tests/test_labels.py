"""Several labels at once: what is right, and the whole way to a device."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from PIL import Image

from pipeline import preprocess
from pipeline.config import params
from pipeline.config.params import Dataset, Train
from pipeline.datasets import Raw, mnist_pairs, npz
from pipeline.embedded import c
from pipeline.files.artifacts import Array, Description
from pipeline.process.errors import UserError
from pipeline.reporting import pictures
from pipeline.targets import _scores, _thresholds, labels
from serving import Classifier, gate
from tests import browser_page, c_program, labels_in_use
from tests.c_program import Ran
from tests.conftest import OWN_PROBLEM, ROOT, Project
from tests.server import Server, answer_on_page, check_openapi

pytestmark = pytest.mark.long

OWN = Description("own", ["a", "b", "c"], (12, 12, 1), {}, [], target="labels")
TRUE = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 1, 1]])
OUTPUTS = np.array([[0.9, 0.1, 0.2], [0.9, 0.4, 0.6], [0.1, 0.2, 0.3], [0.1, 0.5, 0.4]])
BLOCKS = ((slice(0, 6), slice(0, 6)), (slice(0, 6), slice(6, 12)), (slice(6, 12), slice(0, 6)))


def drawn(count: int = 800) -> tuple[Array, Array]:
    """Images (N, 12, 12) in which a block is brighter or darker than the rest for each label.

    As it may be either, the mean image of each combination of labels is the same.
    """
    random = np.random.default_rng(0)
    present = random.integers(0, 2, (count, 3))
    images = random.normal(128, 8, (count, 12, 12))
    for label, (rows, columns) in enumerate(BLOCKS):
        contrast = present[:, label] * random.choice([-80, 80], count)
        if label == 2:  # of which some are hard to see
            contrast = contrast * random.choice([1, 0.1], count, p=[0.8, 0.2])
        images[:, rows, columns] += contrast[:, None, None]
    return np.clip(images, 0, 255).astype(np.uint8), present


def load(folder: Path, **arrays: Array) -> Raw:
    np.savez(folder / "own.npz", **arrays)  # type: ignore[arg-type]
    return npz.load(Dataset(name="npz", path=str(folder / "own.npz")))


def test_an_answer_is_right_if_all_of_its_labels_are() -> None:
    answers = labels.answers(OUTPUTS)
    assert answers.tolist() == [[1, 0, 0], [1, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert labels.right(answers, TRUE).tolist() == [True, False, True, False]
    assert labels.losses(OUTPUTS, TRUE)[0] == pytest.approx(-np.log([0.9, 0.9, 0.8]).mean())
    assert labels.margins(OUTPUTS).tolist() == pytest.approx([0.3, 0.1, 0.2, 0])
    assert labels.confidences(OUTPUTS).tolist() == pytest.approx([0.8, 0.6, 0.7, 0.5])
    counts = labels.counts(answers, TRUE, 3)
    assert counts.images.tolist() == [2, 2, 1]
    assert counts.predicted.tolist() == [2, 1, 1]
    assert counts.right.tolist() == [2, 1, 0]
    assert labels.words(TRUE[1], OWN.class_names) == "a + b"
    assert labels.words(TRUE[2], OWN.class_names) == "none"


def test_a_label_is_confused_with_those_that_are_given_in_its_place() -> None:
    actual, predicted = labels.confused(labels.answers(OUTPUTS), TRUE)
    assert sorted(zip(actual.tolist(), predicted.tolist(), strict=True)) == [
        (0, 0),
        (0, 0),
        (1, 1),
        (1, 2),
    ]


def test_the_gate_pairs_answers_of_several_labels_by_image() -> None:
    file, keras = OUTPUTS.copy(), OUTPUTS.copy()
    keras[1], keras[3] = [0.9, 0.9, 0.1], [0.1, 0.9, 0.9]  # the Keras model is right on all
    comparison = gate.compare_answers(file, keras, TRUE, 0.1, 4)
    assert (comparison.lost, comparison.gained, comparison.accuracy) == (2, 0, 0.5)
    assert comparison.keras_accuracy == 1
    assert comparison.agreement == 0.5
    assert comparison.accuracy_lost_bound == gate.accuracy_lost_bound(2, 0, 4)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (TRUE[:, :2], r"labels of shape \(4, 2\); expected 0 or 1 for each of 3 labels"),
        (TRUE * 2, "expected 0 or 1 for each of 3 labels"),
        (TRUE[:0], "label 'a' has no image in the training part; expected at least one"),
        (TRUE[:3], "label 'c' has no image in the training part; expected at least one"),
        (TRUE | [0, 1, 0], "every image in the training part has label 'b'; expected one without"),
    ],
)
def test_labels_from_which_nothing_can_be_learned_are_refused(wrong: Array, sentence: str) -> None:
    images = np.zeros((len(wrong), 12, 12, 1), np.uint8)
    with pytest.raises(UserError, match=sentence):
        preprocess.check(images, wrong, OWN, "training")


def test_a_stratified_split_has_each_combination_of_labels_in_proportion() -> None:
    strata = labels.strata(np.repeat(TRUE, 3, axis=0))
    assert len(set(strata.tolist())) == 4
    assert (strata.reshape(4, 3) == strata[::3, None]).all()


def test_the_baselines_answer_with_combinations_that_the_training_set_has(tmp_path: Path) -> None:
    images, present = drawn(300)
    present[:150] = [1, 0, 1]
    predict = labels.baseline(images[..., None], present, OWN, pictures, tmp_path / "means.png")
    answers = predict(images[..., None])
    assert set(answers) == {"rmse", "mae", "frequent"}
    assert (answers["frequent"] == [1, 0, 1]).all()
    for predictions in answers.values():
        assert {*map(tuple, predictions)} <= {*map(tuple, present)}
    score = _scores.baseline_score(answers["frequent"], present, OWN)
    assert score.accuracy == (present == [1, 0, 1]).all(1).mean()
    assert score.per_class == {"a": 1, "b": 0, "c": 1}


def test_a_baseline_tells_only_the_most_frequent_combinations_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labels, "COMBINATIONS", 2)
    images = np.random.default_rng(0).integers(0, 256, (9, 2, 2, 1), np.uint8)
    present = np.repeat(TRUE, [4, 3, 1, 1], axis=0)
    predict = labels.baseline(images, present, OWN, pictures, tmp_path / "means.png")
    assert {*map(tuple, predict(images)["rmse"].tolist())} == {(1, 0, 0), (1, 1, 0)}


def test_an_npz_has_a_column_for_each_label_and_one_hot_rows_are_classes(tmp_path: Path) -> None:
    images, present = drawn(8)
    raw = load(tmp_path, x_train=images, y_train=present.astype(bool))
    assert (raw.target, raw.class_names) == ("labels", ["0", "1", "2"])
    assert raw.train_labels.tolist() == present.tolist()
    assert raw.test_labels.shape == (0, 3)
    one_hot = load(tmp_path, x_train=images, y_train=np.eye(3, dtype=int)[[0, 2, 1, 1, 0, 2, 0, 0]])
    assert (one_hot.target, one_hot.class_names) == ("classes", ["0", "1", "2"])
    assert one_hot.train_labels.tolist() == [0, 2, 1, 1, 0, 2, 0, 0]
    with pytest.raises(UserError, match=r"y_test is of shape \(8,\) and y_train of \(8, 3\)"):
        load(tmp_path, x_train=images, y_train=present, x_test=images, y_test=present[:, 0])
    with pytest.raises(UserError, match=r"or 0 and 1 of shape \(N, K\) for several labels at once"):
        load(tmp_path, x_train=images, y_train=present / 2)


def test_a_pair_of_digits_has_the_labels_of_both(raw_mnist: Raw) -> None:
    images, present = mnist_pairs.pairs(raw_mnist.test_images, raw_mnist.test_labels)
    assert images.shape == (5000, 28, 56, 1)
    assert present.shape == (5000, 10)
    assert set(present.sum(1).tolist()) == {1, 2}
    used = np.sort(images.reshape(5000, 28, 2, 28).transpose(0, 2, 1, 3).reshape(10000, -1).sum(1))
    assert (used == np.sort(raw_mnist.test_images.reshape(10000, -1).sum(1))).all()
    assert (present.sum(0) <= np.bincount(raw_mnist.test_labels)).all()


@pytest.mark.slow  # imports TensorFlow
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"loss": "CategoricalCrossentropy"}, "train.loss is CategoricalCrossentropy, and the"),
        (
            {"network": {"output": "softmax"}},
            "train.network.output is softmax, and the dataset asks for labels; expected sigmoids",
        ),
    ],
)
def test_a_loss_or_output_of_one_class_is_refused(change: dict[str, Any], sentence: str) -> None:
    from pipeline.training import models
    from pipeline.training.batches import Data

    images, present = drawn(8)
    split = images[..., None], present
    settings = params.load(ROOT / "params.yaml").train.model_dump()
    train = Train.model_validate({**settings, "loss": "BinaryCrossentropy", **change})
    with pytest.raises(UserError, match=sentence):
        models.build(train, Data(split, split, 3, target="labels"))


@pytest.fixture
def made(project: Project, run_stages: Callable[..., None]) -> Project:
    """The project after all stages on images with three labels."""
    images, present = drawn()
    names = np.array(OWN.class_names)
    np.savez(project.folder / "own.npz", x_train=images, y_train=present, class_names=names)
    project.change(
        {
            **OWN_PROBLEM,
            "problem.name": "blocks",
            "dataset.name": "npz",
            "dataset.path": "own.npz",
            "preprocess.subset": None,
            "train.loss": "BinaryCrossentropy",
            "train.augmentation": [],
            "train.epochs": 12,
            "train.batch_size": 32,
            "train.learning_rate": 0.005,
            "export.formats": ["tflite_int8", "onnx_float32"],
            "export.max_accuracy_drop": 0.05,
            "verify.runtimes": ["litert", "onnxruntime"],
            "verify.processors": ["native"],
            "embed.targets": "all",
            "embed.programs": [c.HERE],
        }
    )
    run_stages(project)
    return project


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_several_labels_pass_the_whole_pipeline_to_the_device(made: Project, chromium: Any) -> None:
    def report(name: str) -> Any:
        return json.loads((made.folder / f"reports/{name}.json").read_text())

    evaluation, train = report("evaluate"), report("train")
    assert evaluation["gate"]["baseline_beaten"]
    assert evaluation["test_accuracy"] > 0.8
    assert evaluation["gate"]["never_predicted"] == []
    assert {pair["state"] for pair in report("verify")["pairs"]} == {"proven"}
    rows = {row["target"]: row for row in report("embed")["targets"]}
    assert rows["browser"]["measured"]["state"] == rows["c"]["measured"]["state"] == "proven"
    assert rows["microcontroller"]["measured"]["agreement_with_litert"] > 0.9
    with np.load(made.folder / "evaluation/validation.npz") as validation:
        answers = labels.answers(validation["probabilities"])
        thresholds = _thresholds.choose(validation["probabilities"], validation["labels"])
        right = labels.right(answers, validation["labels"])
    assert train["validation_accuracy"] == pytest.approx(right.mean(), abs=1e-6)
    assert evaluation["holds_from"] == list(thresholds)
    assert set(thresholds) != {0.5}
    assert evaluation["test_accuracy"] < evaluation["micro_f1"] < 1

    bundle = made.folder / "dist/blocks-1.0.0.tar.gz"
    classifier = Classifier.load(bundle)
    images, present = (
        np.load(made.folder / f"data/prepared/test/{name}.npy") for name in ("images", "labels")
    )
    assert classifier.card.holds_from == evaluation["holds_from"]
    answers = labels.answers(classifier.predict(images), thresholds)
    assert labels.right(answers, present).mean() > 0.8
    ran = check_program(made, bundle)
    check_page(ran, bundle, chromium)
    check_commands(made, bundle, images, answers)
    check_server(made, bundle, images, answers, chromium)
    labels_in_use.check(made, bundle)


def check_page(ran: Ran, bundle: Path, chromium: Any) -> None:
    """The page gives the outputs and the labels that the program does, and the same proof."""
    shown, facts = browser_page.run(bundle, chromium), ran.figures
    assert (shown.outputs == ran.outputs).all()
    assert [name for name, _ in shown.words] == ran.answers
    python = c_program.classifier(bundle)
    assert shown.answers == [python.answer(row)["labels"] for row in ran.outputs]
    for answer, (_, shares), row in zip(shown.answers, shown.words, ran.outputs, strict=True):
        held = [row[OWN.class_names.index(name)] for name in answer]
        assert shares == ", ".join(f"{100 * float(share):.2f} %" for share in held)
    for name in ("images", "accuracy", "keras_accuracy", "lost", "gained", "agreement"):
        assert float(facts[name]) == pytest.approx(shown.facts[name]), name
    assert float(facts["accuracy_lost_bound"]) == pytest.approx(shown.facts["accuracy_lost_bound"])
    assert shown.facts["state"] == "proven"
    assert "Proven: " in shown.texts["verdict"]
    assert "An answer is right if all of its labels are." in shown.texts["card"]
    assert re.fullmatch(
        r"Test image 1, with [abc]( \+ [abc])*|.* none of the labels", shown.texts["example"]
    )


def check_program(made: Project, bundle: Path) -> Ran:
    """The program in C names the labels that Python does, and judges itself by the same gate."""
    ran, python = c_program.run(bundle, made.folder / "unpacked"), c_program.classifier(bundle)
    named = [python.answer(row)["labels"] for row in ran.outputs]
    assert ran.answers == [" + ".join(names) or "none of the labels" for names in named]
    assert {"none of the labels", "a + b", "a + b + c"} < set(ran.answers)
    accepted, holds_from = ran.acceptance, ran.card.holds_from
    python_says = gate.figures(
        gate.compare(
            ran.outputs, accepted.probabilities, accepted.labels, 0.05, holds_from=holds_from
        )
    )
    names = ["images", "accuracy", "keras_accuracy", "lost", "gained", "agreement"]
    for name in (*names, "accuracy_lost_bound"):
        assert float(ran.figures[name]) == pytest.approx(python_says[name])
    assert (ran.status, ran.sentence[:8]) == (0, "proven: ")
    return ran


def check_server(made: Project, bundle: Path, images: Array, answers: Array, chromium: Any) -> None:
    """The labels that hold, by the server's own route, its page, and Triton's client."""
    row = int(np.flatnonzero(answers.sum(1) == 2)[0])
    image, answer = images[row], answers[row]
    with Server(bundle) as server:
        picture = (made.folder / "two.png").read_bytes()
        shown = server.ask("POST", "/predict", picture).json
        assert shown["labels"] == [OWN.class_names[number] for number in np.flatnonzero(answer)]
        assert list(shown["probabilities"]) == OWN.class_names
        assert "class" not in shown
        said = answer_on_page(server, chromium, made.folder / "two.png")
        assert said == f"It shows {', '.join(shown['labels'])}."
        said = answer_on_page(server, chromium, made.folder / "none.png")
        assert said == "It shows none of these labels."
        client = triton.InferenceServerClient(server.url)
        tensor = triton.InferInput("image", [1, *image.shape], "UINT8")
        for binary in (True, False):
            tensor.set_data_from_numpy(image[None], binary_data=binary)
            wanted = [
                triton.InferRequestedOutput(name, binary_data=binary)
                for name in ("labels", "probabilities")
            ]
            result = client.infer("blocks", [tensor], outputs=wanted)
            assert result.as_numpy("labels").dtype == bool
            assert result.as_numpy("labels").tolist() == [answer.astype(bool).tolist()]
        described = server.get("/v2/models/blocks").json["outputs"]
        assert described[1] == {"name": "labels", "datatype": "BOOL", "shape": [-1, 3]}
        check_openapi(server, made.folder)


def check_commands(made: Project, bundle: Path, images: Array, answers: Array) -> None:
    serving = [sys.executable, "-m", "serving"]
    row = int(np.flatnonzero(answers.sum(1) == 2)[0])
    Image.fromarray(images[row, ..., 0]).save(made.folder / "two.png")
    done = made.run(*serving, "predict", str(bundle), "two.png", "--output", "json")
    shown = {entry["class"] for entry in json.loads(done)["classes"]}
    assert shown == {OWN.class_names[number] for number in np.flatnonzero(answers[row])}
    Image.fromarray(images[answers.sum(1) == 0][0, ..., 0]).save(made.folder / "none.png")
    done = made.run(*serving, "predict", str(bundle), "none.png")
    assert done == "none of the labels   none.png\n"
    made.run(*serving, "check", str(bundle))
    assert "is proven" in made.run(*serving, "prove", str(bundle))
