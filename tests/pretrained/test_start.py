"""How a backbone starts from weights, and which do not fit it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config.params import Network
from pipeline.files.artifacts import Inputs
from pipeline.process.errors import UserError
from pipeline.training import pretrained_files, torch_weights
from pipeline.training.pretrained_files import fetch
from tests.conftest import ROOT
from tests.pretrained.conftest import recipe, save_no_top, taken_from

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_a_downloaded_file_gives_its_weights_to_all_but_the_output_layer(tmp_path: Path) -> None:
    from pipeline.training import transfer

    expected = save_no_top(tmp_path / "no_top.h5")
    train = recipe(start_from=str(tmp_path / "no_top.h5"))
    model, groups_taken = taken_from(train, (32, 32, 3))
    groups = transfer.layers(model)
    assert groups_taken == len(groups) - 1 == 27
    weights = [weight for group in groups[:-1] for layer in group for weight in layer.get_weights()]
    for actual, wanted in zip(weights, expected.get_weights(), strict=True):
        np.testing.assert_array_equal(actual, wanted)
    assert transfer.phases(train, groups_taken)[0].frozen == 27  # by default all of them


def test_grey_images_give_the_same_as_the_same_images_in_colour(tmp_path: Path) -> None:
    save_no_top(tmp_path / "no_top.h5")
    train = recipe(start_from=str(tmp_path / "no_top.h5"))
    (colour, _), (grey, _) = taken_from(train, (32, 32, 3)), taken_from(train, (32, 32, 1))
    grey.layers[-1].set_weights(colour.layers[-1].get_weights())
    images = np.random.default_rng(1).integers(0, 256, (4, 32, 32, 1), np.uint8)
    np.testing.assert_allclose(
        grey.predict_on_batch(images), colour.predict_on_batch(images.repeat(3, 3)), atol=1e-5
    )


def test_a_file_of_another_width_is_refused(tmp_path: Path) -> None:
    save_no_top(tmp_path / "no_top.h5", width=0.5)
    with pytest.raises(UserError, match="does not hold the weights of this backbone"):
        taken_from(recipe(start_from=str(tmp_path / "no_top.h5")), (32, 32, 3))
    (tmp_path / "no_top.h5").write_bytes(b"<html>")
    with pytest.raises(UserError, match="does not hold the weights of this backbone"):
        taken_from(recipe(start_from=str(tmp_path / "no_top.h5")), (32, 32, 3))


def test_weights_by_name_are_fetched_from_a_server_and_checked(
    tmp_path: Path, alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.architectures import mobilenet_v3_small

    (tmp_path / "mirror").mkdir()
    file = tmp_path / "mirror/weights_mobilenet_v3_small_224_0.75_float_no_top_v2.h5"
    file.write_bytes(b"not the published file")
    monkeypatch.setenv("DATA_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setattr(mobilenet_v3_small, "ADDRESS", "http://127.0.0.1:9/none")
    train = recipe(architecture="mobilenet_v3_small", weights="imagenet", network={"width": 0.75})
    with pytest.raises(UserError, match=r"its MD5 differs.*127.0.0.1:9.*download failed"):
        taken_from(train, (32, 32, 3))
    assert not (alone / pretrained_files.FOLDER / file.name).exists()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"architecture": "edge", "weights": "imagenet"},
            "weights is imagenet, and edge is not a published network; .* efficientnet_lite0, mob",
        ),
        (
            {"architecture": "edge", "start_from": "a_no_top.h5"},
            "start_from is a_no_top.h5, and edge is not a published network",
        ),
        (
            {"weights": "imagenet", "start_from": "a.keras"},
            "weights is imagenet and start_from is a.keras; expected weights none, or start_from",
        ),
        ({"weights": "coco"}, "imagenet"),
    ],
)
def test_weights_that_do_not_fit_are_refused_before_anything_runs(
    values: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        recipe(**values)


@pytest.mark.parametrize(
    ("architecture", "network", "sentence"),
    [
        ("mobilenet_v1", {"hidden": [64]}, "train.network.hidden is .64., and the layers of a"),
        ("mobilenet_v2", {"dropout": [0.1, 0.2]}, "train.network.dropout is a list"),
        ("edge", {"width": 0.5}, "train.network.width is 0.5, which is for backbones"),
        ("mlp", {"convolution": "full"}, "train.network.convolution is full, which is for edge"),
        ("ds_cnn", {"end": "mean"}, "train.network.end is mean, which is for edge, tiny and cnn"),
        ("mobilenet_v2", {"end": "mean"}, "train.network.end is 'mean', and the layers of a"),
    ],
)
def test_a_value_that_a_network_cannot_take_is_refused(
    architecture: str, network: dict[str, Any], sentence: str
) -> None:
    import importlib

    module = importlib.import_module(f"pipeline.architectures.{architecture}")
    with pytest.raises(UserError, match=sentence):
        module.build(Inputs((96, 96, 3)), 5, Network(**network))


@pytest.mark.slow
def test_efficientnet_lite0_of_the_package_index_knows_what_is_in_a_photo(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from sklearn.datasets import load_sample_images

    from pipeline.architectures import efficientnet_lite0

    monkeypatch.chdir(ROOT)  # where the file is kept
    weights = torch_weights.read(fetch(efficientnet_lite0.PUBLISHED))
    used: set[str] = set()

    class Recorded(dict[str, Any]):
        def __getitem__(self, name: str) -> Any:
            used.add(name)
            return super().__getitem__(name)

    model = efficientnet_lite0.pretrained(Inputs((224, 224, 3)), Network(), None)
    efficientnet_lite0.assign(model, Recorded(weights))
    unused = {name for name in weights if not name.endswith("num_batches_tracked")} - used
    assert unused == {"_fc.weight", "_fc.bias"}
    photos = np.stack([image[100:324, 200:424] for image in load_sample_images().images])
    logits = model.predict_on_batch(photos) @ weights["_fc.weight"].T + weights["_fc.bias"]
    best = logits.argsort(1)[:, -3:]
    assert 698 in best[0]  # palace
    assert 985 in best[1]  # daisy
