"""None of these: a card with thresholds, obeyed from Python to the server and the log."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from PIL import Image

from pipeline.bundle import archive as archives
from pipeline.field import sources
from pipeline.files.artifacts import Array
from serving import Bundle, BundleError, Classifier, InputError
from serving.__main__ import main
from serving.acceptance import Acceptance
from serving.model_card import FILE, ModelCard
from serving.model_file import ModelFile
from tests.acceptance_sets import with_threshold
from tests.conftest import Project
from tests.server import FORMAT, Server, png
from tests.waiting import wait_for

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def images(finished: Project) -> Array:
    """200 test images (N, 28, 28, 1)."""
    path = finished.folder / "data/prepared/test/images.npy"
    return np.array(np.load(path, mmap_mode="r")[:200])


@pytest.fixture(scope="module")
def probabilities(classifier: Classifier, images: Array) -> Array:
    result: Array = classifier.predict(images)
    return result


@pytest.fixture(scope="module")
def threshold(probabilities: Array) -> float:
    """The largest probability of one of the images, in the middle of them all."""
    return float(np.sort(probabilities.max(1))[len(probabilities) // 2])


@pytest.fixture
def changed(bundle: Path) -> Callable[..., Path]:
    return partial(with_threshold, bundle)


def test_an_input_is_rejected_if_no_probability_reaches_the_threshold(
    changed: Callable[..., Path],
    images: Array,
    probabilities: Array,
    threshold: float,
    tmp_path: Path,
) -> None:
    """In a folder and in an archive; exactly on the threshold it is answered."""
    names = [str(number) for number in probabilities.argmax(1)]
    above = np.float32(threshold)
    one_step = float(np.nextafter(above, np.float32(1)))
    for accept_from, rejected in (
        (None, np.zeros(len(images), bool)),
        (threshold, probabilities.max(1) < above),
        (one_step, probabilities.max(1) <= above),
        # As a float32 it is the threshold, which is what C and a browser compare with.
        (threshold + 1e-12, probabilities.max(1) < above),
    ):
        path = changed(accept_from)
        classifier = Classifier.load(path, FORMAT)
        np.testing.assert_array_equal(classifier.predict(images), probabilities)
        expected = [None if none else name for name, none in zip(names, rejected, strict=True)]
        assert classifier.answers(probabilities) == expected, accept_from
    archives.write(path, tmp_path / "packed.tar.gz", path.name)
    assert Classifier.load(tmp_path / "packed.tar.gz", FORMAT).answers(probabilities) == expected


def test_probabilities_that_are_not_numbers_are_rejected(classifier: Classifier) -> None:
    nan = np.full((1, 10), np.nan, np.float32)
    file: ModelFile = dataclasses.replace(classifier.file, accept_from=0.0)
    assert file.answers(nan).tolist() == [-1]


def test_a_class_called_none_is_not_none(
    changed: Callable[..., Path], images: Array, probabilities: Array, threshold: float
) -> None:
    path = changed(threshold, class_names=["none", *"123456789"])
    named = Classifier.load(path, FORMAT).answers(probabilities)
    zeros = (probabilities.argmax(1) == 0) & (probabilities.max(1) >= np.float32(threshold))
    assert zeros.any()
    assert [answer == "none" for answer in named] == zeros.tolist()
    assert named.count(None) == 100


def test_a_threshold_is_refused_where_several_labels_are_asked_for(
    archive: Path, classifier: Classifier, probabilities: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = json.loads(Bundle(archive).read(FILE))
    values["target"] = "labels"
    monkeypatch.setattr(classifier, "card", ModelCard.parse(json.dumps(values).encode()))
    with pytest.raises(InputError, match=r"gives several labels; take them from `answer`"):
        classifier.answers(probabilities)
    values["files"][0]["accept_from"] = 0.5
    with pytest.raises(BundleError, match="have an accept_from, expected none for labels"):
        ModelCard.parse(json.dumps(values).encode())


def save(folder: Path, images: Array) -> Path:
    folder.mkdir()
    for index, image in enumerate(images):
        Image.fromarray(image[..., 0]).save(folder / f"{index:03}.png")
    return folder


def test_predict_prints_none_with_its_best_guess(
    changed: Callable[..., Path], images: Array, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = save(tmp_path / "pictures", images[:20])
    bundle = changed(None)

    def lines(*options: str) -> list[str]:
        assert main(["predict", str(bundle), str(pictures), "--format", FORMAT, *options]) == 0
        return capsys.readouterr().out.splitlines()

    every = [json.loads(line) for line in lines("--output", "json")]
    assert all(row["class"] == row["classes"][0]["class"] for row in every)
    confidences = [row["classes"][0]["probability"] for row in every]
    limit = sorted(confidences)[10]
    changed(limit)
    in_json = [json.loads(line) for line in lines("--output", "json")]
    assert [row["classes"] for row in in_json] == [row["classes"] for row in every]
    expected = [
        row["class"] if row["classes"][0]["probability"] >= limit else None for row in every
    ]
    assert [row["class"] for row in in_json] == expected
    assert expected.count(None) == 10
    in_csv = list(csv.DictReader(io.StringIO("\n".join(lines("--output", "csv")))))
    assert [row["class"] or None for row in in_csv] == expected
    assert [row["class_1"] for row in in_csv] == [row["class"] for row in every]
    for line, row, answer in zip(lines("--top", "2"), every, expected, strict=True):
        guess = f"{row['class']} {100 * row['classes'][0]['probability']:6.2f} %"
        assert line.startswith(f"none (best guess {guess})   " if answer is None else f"{guess}   ")
        assert line.endswith(row["picture"])


def test_prove_reports_the_answers_beside_its_verdict(
    changed: Callable[..., Path], threshold: float, capsys: pytest.CaptureFixture[str]
) -> None:
    def prove(*options: str) -> str:
        assert main(["prove", str(bundle), "--format", FORMAT, *options]) == 0
        return capsys.readouterr().out

    bundle = changed(None)
    (without,) = json.loads(prove("--json"))["pairs"]
    assert "answered" not in without
    changed(threshold)
    classifier, acceptance = Classifier.load(bundle, FORMAT), Acceptance.load(Bundle(bundle))
    own = classifier.predict(acceptance.images)
    answered = own.max(1) >= np.float32(threshold)
    wrong = int((answered & (own.argmax(1) != acceptance.labels)).sum())
    (pair,) = json.loads(prove("--json"))["pairs"]
    assert (pair["answered"], pair["answered_wrong"]) == (int(answered.sum()), wrong)
    for name in ("state", "accuracy", "lost", "gained", "sentence"):
        assert pair[name] == without[name], name
    count, images = int(answered.sum()), len(answered)
    answers = f"answers {count:,} of {images:,} examples ({100 * count / images:.2f} %)"
    mistakes = f"{wrong:,} of them wrong ({100 * wrong / count:.2f} %)"
    assert f"{answers}, {mistakes}; rejects the others as none of the classes" in prove()


def test_the_server_says_none_and_counts_it_and_reloads_another_threshold(
    changed: Callable[..., Path], images: Array, tmp_path: Path
) -> None:
    """Of two images the one that is less certain is rejected, and later the other one, too."""
    log = tmp_path / "field.sqlite"
    with Server(changed(None), "--format", FORMAT, "--log", log) as server:

        def ask(image: Array) -> Any:
            return server.ask("POST", "/predict", png(image)).json

        def rejected() -> str:
            lines = server.get("/metrics").body.decode().splitlines()
            (count,) = [line for line in lines if line.startswith("serving_rejected_images_total{")]
            return count.rsplit(" ", 1)[1]

        def answers_none(image: Array) -> bool:
            return ask(image)["class"] is None

        assert b"serving_rejected_images_total{" not in server.get("/metrics").body
        certain = [max(ask(image)["probabilities"].values()) for image in images[:8]]
        low, high = images[int(np.argmin(certain))], images[int(np.argmax(certain))]
        changed(max(certain))
        wait_for(partial(answers_none, low))
        answer = ask(high)
        assert answer["class"] == max(answer["probabilities"], key=answer["probabilities"].get)
        before = int(rejected())

        tensor = triton.InferInput("image", [2, 28, 28, 1], "UINT8")
        tensor.set_data_from_numpy(np.stack([low, high]))
        with triton.InferenceServerClient(server.url) as client:
            result = client.infer(answer["model"], [tensor])
            only = triton.InferRequestedOutput("class", binary_data=False)
            classes = client.infer(answer["model"], [tensor], outputs=[only])
        # The input of the tensor is the raw pixels, as in a picture that needs no preparation.
        own = result.as_numpy("probabilities")
        expected = np.where(own.max(1) >= np.float32(max(certain)), own.argmax(1), -1)
        assert result.as_numpy("class").tolist() == expected.tolist()
        assert classes.as_numpy("class").tolist() == expected.tolist()
        assert classes.as_numpy("probabilities") is None
        assert int(rejected()) == before + 2 * int((expected == -1).sum())

        changed(None)
        wait_for(lambda: not answers_none(low))
        changed(1.0)
        wait_for(partial(answers_none, high))
        schema = server.get("/openapi.json").json["components"]["schemas"]["Prediction"]
        assert schema["properties"]["class"]["type"] == ["string", "null"]
        assert server.stop()[0] == 0
    (observed,) = sources.read(log, None, log)
    assert observed.file.accept_from == 1.0, "the log keeps the latest card"
