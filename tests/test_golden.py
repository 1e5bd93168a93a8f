"""Golden vectors of data that may not be passed on, chosen as in `verify`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.bundle import golden
from pipeline.bundle.golden import Golden
from pipeline.config import params
from pipeline.files import artifacts, digests, predictions
from pipeline.files.artifacts import Array, Description
from pipeline.inputs import pixels
from pipeline.targets import classes
from pipeline.verification import material, schedule
from pipeline.verification.pair import Pair
from tests.conftest import ROOT

USERS, ITEMS = 30, 40  # so few that random ids often match a recorded pair


def ratings(count: int = USERS * ITEMS // 2) -> Array:
    """`count` pairs of a user and an item in random order; by default half of all pairs."""
    pairs = np.stack(
        np.meshgrid(np.arange(1, USERS + 1), np.arange(USERS + 1, USERS + ITEMS + 1)), -1
    ).reshape(-1, 2)
    return np.random.default_rng(0).permutation(pairs)[:count].astype(np.int32)


def golden_vectors(folder: Path, licence: str | None, ids: Array) -> Golden:
    """The golden vectors for the test rows `ids`, which `licence` may forbid to pass on.

    The file's probabilities are random.
    """
    labels = (ids.sum(1) % 2).astype(np.int64)
    dice = np.random.default_rng(1)
    reference = dice.dirichlet(np.ones(2), len(ids)).astype(np.float32)
    for split, count in (("test", len(ids)), ("validation", 10)):
        for name, array in (("images", ids), ("labels", labels)):
            artifacts.save_array(artifacts.PREPARED / split / f"{name}.npy", array[:count])
    description = Description(
        "own",
        ["no", "yes"],
        (2,),
        {},
        [],
        "ids",
        USERS + ITEMS,
        (0, USERS + ITEMS),
        not_passed_on=licence,
    )
    artifacts.save_description(artifacts.DESCRIPTION, description)
    artifacts.save_array(artifacts.TEST_PROBABILITIES, reference)
    predictions.save(
        artifacts.VALIDATION,
        predictions.Predictions(reference[:10], labels[:10], digests.of_examples(ids[:10])),
    )
    images = material.gather(params.load(ROOT / "params.yaml"), folder)
    (folder / "model.onnx").touch()
    pair = Pair("onnx_float32", folder / "model.onnx", "onnxruntime")
    pair.probabilities = dice.dirichlet(np.ones(2), len(ids) + 10 + len(images.synthetic)).astype(
        np.float32
    )
    vectors = schedule.choose_golden(images, [pair], [])
    np.testing.assert_array_equal(
        vectors.probabilities["onnx_float32"][-len(images.synthetic) :],
        pair.probabilities[-len(images.synthetic) :],
    )
    return vectors


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    parts = artifacts.PREPARED / "test", artifacts.PREPARED / "validation"
    for folder in (*parts, artifacts.VALIDATION.parent):
        folder.mkdir(parents=True)
    return tmp_path


def recorded(inputs: Array, ids: Array) -> int:
    """How many of the inputs are rows of `ids`."""
    return sum(bool((ids == row).all(1).any()) for row in inputs)


def test_no_golden_vector_is_a_test_row_if_the_data_may_not_be_passed_on(prepared: Path) -> None:
    ids = ratings()
    vectors = golden_vectors(prepared, "its licence", ids)
    assert recorded(vectors.images, ids) == 0
    assert set(vectors.labels.tolist()) == {golden.NO_LABEL}
    assert len(np.unique(vectors.images, axis=0)) >= 16
    assert len(vectors.telling) == len(vectors.images), "emulated processors see them all"
    assert vectors.images[:-2].min() >= 1
    assert vectors.images.max() <= USERS + ITEMS
    assert vectors.images.dtype == np.int32


def test_no_golden_vector_is_the_negative_of_such_a_test_row(prepared: Path) -> None:
    ids = ratings(40)  # so few that random ids never match
    assert recorded(USERS + ITEMS - golden_vectors(prepared, None, ids).images, ids)
    assert not recorded(USERS + ITEMS - golden_vectors(prepared, "its licence", ids).images, ids)


def test_golden_vectors_of_other_data_are_mostly_test_rows(prepared: Path) -> None:
    ids = ratings()
    vectors = golden_vectors(prepared, None, ids)
    assert recorded(vectors.images, ids) >= golden.SPREAD
    assert (vectors.labels >= 0).sum() >= golden.SPREAD


def test_golden_vectors_include_images_near_a_boundary_and_where_a_file_differs_most() -> None:
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 255, (500, 4, 4, 1), dtype=np.uint8), np.arange(500) % 5
    reference = rng.dirichlet(np.ones(5), 500)
    probabilities = reference.copy()
    probabilities[77] = probabilities[77][::-1] + 0.5
    margins = np.sort(reference, 1)[:, -1] - np.sort(reference, 1)[:, -2]
    synthetic = pixels.synthetic(images[golden.spread_rows(labels)[::2]], (0, 255))
    count = len(synthetic)
    of_file = {"file": np.concatenate([probabilities, probabilities[:count]])}
    vectors = golden.choose(classes, (images, labels), reference, of_file, synthetic)
    rows = {
        int(np.flatnonzero((images == image).all((1, 2, 3)))[0])
        for image in vectors.images[:-count]
    }
    assert {77, int(margins.argmin())} <= rows
    assert (vectors.images[-count:] == synthetic).all()
    assert list(vectors.labels[-count:]) == [golden.NO_LABEL] * count
    np.testing.assert_array_equal(vectors.probabilities["file"][-count:], probabilities[:count])
