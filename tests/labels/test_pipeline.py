"""Several labels on the whole way to a device."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from PIL import Image

from pipeline.embedded import c
from pipeline.files.artifacts import Array
from pipeline.targets import _thresholds, labels
from serving import Classifier, gate
from tests import browser_page, c_program, labels_in_use, reports
from tests.c_program import Ran
from tests.conftest import OWN_PROBLEM, Project
from tests.labels.conftest import OWN, drawn
from tests.server import Server, answer_on_page, check_openapi

pytestmark = pytest.mark.long


@pytest.fixture
def trained(project: Project, run_stages: Callable[..., None]) -> Project:
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
def test_several_labels_pass_the_whole_pipeline_to_the_device(
    trained: Project, chromium: Any
) -> None:
    report = partial(reports.report, trained)
    evaluation, train = report("evaluate"), report("train")
    assert evaluation["gate"]["baseline_beaten"]
    assert evaluation["test_accuracy"] > 0.8
    assert evaluation["gate"]["never_predicted"] == []
    assert {pair["state"] for pair in report("verify")["pairs"]} == {"proven"}
    rows = {row["target"]: row for row in report("embed")["targets"]}
    assert rows["browser"]["measured"]["state"] == rows["c"]["measured"]["state"] == "proven"
    assert rows["microcontroller"]["measured"]["agreement_with_litert"] > 0.9
    with np.load(trained.folder / "evaluation/validation.npz") as validation:
        answers = labels.answers(validation["probabilities"])
        thresholds = _thresholds.choose(validation["probabilities"], validation["labels"])
        right = labels.right(answers, validation["labels"])
    assert train["validation_accuracy"] == pytest.approx(right.mean(), abs=1e-6)
    assert evaluation["holds_from"] == list(thresholds)
    assert set(thresholds) != {0.5}
    assert evaluation["test_accuracy"] < evaluation["micro_f1"] < 1

    bundle = trained.folder / "dist/blocks-1.0.0.tar.gz"
    classifier = Classifier.load(bundle)
    images, present = (
        np.load(trained.folder / f"data/prepared/test/{name}.npy") for name in ("images", "labels")
    )
    assert classifier.card.holds_from == evaluation["holds_from"]
    answers = labels.answers(classifier.predict(images), thresholds)
    assert labels.right(answers, present).mean() > 0.8
    ran = check_program(trained, bundle)
    check_page(ran, bundle, chromium)
    check_commands(trained, bundle, images, answers)
    check_server(trained, bundle, images, answers, chromium)
    labels_in_use.check(trained, bundle)


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


def check_program(trained: Project, bundle: Path) -> Ran:
    """The program in C names the labels that Python does, and judges itself by the same gate."""
    ran, python = c_program.run(bundle, trained.folder / "unpacked"), c_program.classifier(bundle)
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


def check_server(
    trained: Project, bundle: Path, images: Array, answers: Array, chromium: Any
) -> None:
    """The labels that hold, by the server's own route, its page, and Triton's client."""
    row = int(np.flatnonzero(answers.sum(1) == 2)[0])
    image, answer = images[row], answers[row]
    with Server(bundle) as server:
        picture = (trained.folder / "two.png").read_bytes()
        shown = server.ask("POST", "/predict", picture).json
        assert shown["labels"] == [OWN.class_names[number] for number in np.flatnonzero(answer)]
        assert list(shown["probabilities"]) == OWN.class_names
        assert "class" not in shown
        sentence = answer_on_page(server, chromium, trained.folder / "two.png")
        assert sentence == f"It shows {', '.join(shown['labels'])}."
        sentence = answer_on_page(server, chromium, trained.folder / "none.png")
        assert sentence == "It shows none of these labels."
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
        check_openapi(server, trained.folder)


def check_commands(trained: Project, bundle: Path, images: Array, answers: Array) -> None:
    serving = [sys.executable, "-m", "serving"]
    row = int(np.flatnonzero(answers.sum(1) == 2)[0])
    Image.fromarray(images[row, ..., 0]).save(trained.folder / "two.png")
    done = trained.run(*serving, "predict", str(bundle), "two.png", "--output", "json")
    shown = {entry["class"] for entry in json.loads(done)["classes"]}
    assert shown == {OWN.class_names[number] for number in np.flatnonzero(answers[row])}
    Image.fromarray(images[answers.sum(1) == 0][0, ..., 0]).save(trained.folder / "none.png")
    done = trained.run(*serving, "predict", str(bundle), "none.png")
    assert done == "none of the labels   none.png\n"
    trained.run(*serving, "check", str(bundle))
    assert "is proven" in trained.run(*serving, "prove", str(bundle))
