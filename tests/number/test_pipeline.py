"""A model that answers with a number, from its data to the device."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lectures import ridge
from pipeline.config import params
from pipeline.config.params import Train
from pipeline.datasets import polynomial
from pipeline.files.reports.evaluate import Evaluation, NumberReport
from pipeline.files.reports.run import RunReports
from pipeline.files.reports.verify import VerificationReport
from pipeline.reporting import terminal
from pipeline.tracking import record, registry, view
from serving import Classifier, gate
from serving.acceptance import Acceptance
from serving.acceptance import rejection as rejection_of
from serving.bundle import Bundle
from serving.commands import predict
from serving.errors import BundleError, InputError
from serving.model_card import ModelCard
from tests import browser_page, c_program
from tests.conftest import EDGEPROOF, ROOT, Project
from tests.number.conftest import test_set
from tests.reports import report
from tests.server import Server, answer_on_page, check_openapi, png

# Whichever test comes first makes the project, in this process.
pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore")]


# Pytest takes every function that begins with test_ for a test.
test_set.__test__ = False  # type: ignore[attr-defined]


@pytest.mark.slow
def test_a_number_passes_the_whole_pipeline_to_the_device(trained: Project) -> None:
    evaluation, train = report(trained, "evaluate"), report(trained, "train")
    assert evaluation["gate"]["baseline_beaten"]
    assert evaluation["unit"] == "degrees"
    assert {pair["state"] for pair in report(trained, "verify")["pairs"]} == {"proven"}
    with np.load(trained.folder / "evaluation/validation.npz") as validation:
        errors = np.abs(validation["probabilities"][:, 0] - validation["labels"])
    assert train["validation_error"] == pytest.approx(errors.mean(), rel=1e-3)

    classifier = Classifier.load(trained.folder / "dist/angles-1.0.0.tar.gz", "onnx_float32")
    images, labels = test_set(trained)
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
    pair = next(pair for pair in report(trained, "verify")["pairs"] if "onnx" in pair["format"])
    assert pair["coverage"]["share"] == pytest.approx(inside)
    with pytest.raises(InputError, match="angles gives a number; take it from `predict`"):
        classifier.answers(numbers)


@pytest.mark.slow
def test_the_serving_commands_print_the_number_with_its_interval_and_unit(trained: Project) -> None:
    bundle, serving = "dist/angles-1.0.0.tar.gz", [sys.executable, "-m", "serving"]
    images, labels = test_set(trained)
    Image.fromarray(images[0, ..., 0]).save(trained.folder / "one.png")
    line = trained.run(*serving, "predict", bundle, "one.png")
    shown = json.loads(trained.run(*serving, "predict", bundle, "one.png", "--output", "json"))
    assert shown["low"] <= labels[0] <= shown["high"]
    assert line.startswith(f"{shown['number']:.4g} degrees ({shown['low']:.4g} to ")
    assert line.rstrip().endswith("with 90 %)   one.png")
    rows = trained.run(*serving, "predict", bundle, "one.png", "--output", "csv").splitlines()
    assert rows[0] == "picture,number,low,high,unit"
    assert rows[1].startswith("one.png,")
    proven = trained.run(*serving, "prove", bundle)
    assert "is proven: on 120 examples it adds at most" in proven
    assert "degrees to the mean absolute error, where 1 is allowed" in proven
    assert "true numbers" in proven
    assert "accuracy" not in proven
    trained.run(*serving, "check", bundle)


@pytest.mark.slow
def test_the_server_gives_the_number_with_its_interval(trained: Project, chromium: Any) -> None:
    images, _ = test_set(trained)
    bundle = trained.folder / "dist/angles-1.0.0.tar.gz"
    expected = Classifier.load(bundle).number(Classifier.load(bundle).predict(images[:1])[0])
    with Server(bundle) as server:
        shown = server.ask("POST", "/predict", png(images[0, ..., 0])).json
        assert {name: shown[name] for name in expected} == expected
        assert "class" not in shown
        Image.fromarray(images[0, ..., 0]).save(trained.folder / "one.png")
        sentence = answer_on_page(server, chromium, trained.folder / "one.png")
        assert re.fullmatch(r"-?[\d.]+ degrees \(-?[\d.]+ to -?[\d.]+ with 90 %\)\.", sentence)
        assert float(sentence.split()[0]) == pytest.approx(expected["number"], rel=1e-3)
        tensor = {"name": "image", "datatype": "UINT8", "shape": [1, *images.shape[1:]]}
        body = {"inputs": [{**tensor, "data": images[0].ravel().tolist()}]}
        answer = server.ask("POST", "/v2/models/angles/infer", json.dumps(body).encode()).json
        values = {output["name"]: output["data"][0] for output in answer["outputs"]}
        wanted = (expected["number"], expected["low"], expected["high"])
        given = [values[name] for name in ("probabilities", "low", "high")]
        assert given == pytest.approx(wanted, rel=1e-6)
        check_openapi(server, trained.folder)


@pytest.mark.slow
def test_the_program_in_c_gives_the_number_and_its_interval_and_judges_itself(
    trained: Project, tmp_path: Path
) -> None:
    archive = trained.folder / "dist/angles-1.0.0.tar.gz"
    ran, python = c_program.run(archive, tmp_path), c_program.classifier(archive)
    assert ran.answers == [predict._in_words(python.number(row)) for row in ran.outputs]
    assert " degrees (" in ran.answers[0]
    accepted, allowed = ran.acceptance, float(ran.figures["max_error_added"])
    facts = gate.figures(
        gate.compare(ran.outputs, accepted.probabilities, accepted.labels, allowed)
    )
    for name in ("images", "error", "keras_error", "error_added", "error_added_bound"):
        assert float(ran.figures[name]) == pytest.approx(facts[name], abs=1e-8)
    ends = float(ran.figures["error_low"]), float(ran.figures["error_high"])
    assert ends == pytest.approx(facts["error_interval"])
    held = rejection_of(python.file, ran.outputs, accepted.labels)
    assert int(ran.figures["inside"]) == held["inside"]
    assert (ran.status, ran.sentence[:8]) == (0, "proven: ")
    rows = {row["target"]: row.get("measured") for row in report(trained, "embed")["targets"]}
    assert rows["c"]["state"] == "proven"
    assert rows["microcontroller"]["agreement_with_litert"] == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["labels"], "`edgeproof labels` is for data with one class for each example"),
        (["shrink", "--bytes", "16000"], "shrink searches networks for images or sounds of one"),
    ],
)
def test_what_takes_one_class_only_refuses_a_number_in_one_sentence(
    trained: Project, command: list[str], sentence: str
) -> None:
    refused = trained.attempt(*EDGEPROOF, *command)
    assert refused.returncode == 1
    assert sentence in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.slow
def test_page_card_table_and_mlflow_speak_of_the_error_and_never_of_accuracy(
    trained: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(trained.folder)
    terminal.show(())
    table = capsys.readouterr().out
    page = (trained.folder / "reports/index.html").read_text()
    card = Bundle(trained.folder / "dist/angles-1.0.0.tar.gz").read("MODEL_CARD.md").decode()
    for text in (table, page, card):
        assert "ccuracy" not in text
        assert "robabilit" not in text.replace("`probabilities`", "").replace("no probability", "")
    evaluation = Evaluation.load()
    assert isinstance(evaluation, NumberReport)
    error = f"{evaluation.test_error:.4g}"
    assert f"The mean absolute error is {error} degrees" in page
    assert f"The mean absolute error on the test set is {error} degrees" in card
    assert error in table
    assert "images, in degrees." in " ".join(table.split())
    assert "holds" not in table.lower(), "a column of the page alone"
    reports = RunReports(evaluate=evaluation, verify=VerificationReport.load())
    figures = record.figures(reports)
    assert figures["test_error"] == evaluation.test_error
    assert "tflite_int8.error_added_bound" in figures
    assert not [name for name in figures if "accuracy" in name]
    assert set(view.NUMBER_FIGURES) <= figures.keys()
    assert registry.registered_score(evaluation) == ("test_error", evaluation.test_error)
    assert registry.is_worse(3.0, 2.0, "test_error")
    assert not registry.is_worse(1.0, 2.0, "test_error")


@pytest.mark.slow
def test_a_card_of_a_number_has_its_errors_and_nothing_else(trained: Project) -> None:
    bundle = Bundle(trained.folder / "dist/angles-1.0.0.tar.gz")
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


@pytest.mark.slow
def test_the_page_gives_the_number_and_its_interval_and_judges_itself(
    trained: Project, tmp_path: Path, chromium: Any
) -> None:
    archive = trained.folder / "dist/angles-1.0.0.tar.gz"
    ran, python = c_program.run(archive, tmp_path), c_program.classifier(archive)
    shown = browser_page.run(archive, chromium)
    assert (shown.outputs == ran.outputs).all()
    assert [" ".join(words) for words in shown.words] == ran.answers
    assert shown.answers == [python.number(row) for row in ran.outputs]
    accepted, allowed = ran.acceptance, shown.facts["max_error_added"]
    facts = gate.figures(
        gate.compare(ran.outputs, accepted.probabilities, accepted.labels, allowed)
    )
    for name in ("images", "error", "error_interval", "keras_error", "error_added"):
        assert shown.facts[name] == pytest.approx(facts[name]), name
    assert shown.facts["error_added_bound"] == pytest.approx(facts["error_added_bound"])
    assert shown.facts["inside"] == int(ran.figures["inside"])
    assert shown.facts["sentence"] == ran.sentence
    assert shown.texts["probabilities"] == ""
    assert re.fullmatch(r"Test image 1, of -?[\d.]+ degrees", shown.texts["example"])
    assert "The mean absolute error on the test set is" in shown.texts["card"]
    assert "ccuracy" not in shown.texts["card"] + shown.texts["proof"]
    rows = {row["target"]: row.get("measured") for row in report(trained, "embed")["targets"]}
    assert rows["browser"]["state"] == "proven"
