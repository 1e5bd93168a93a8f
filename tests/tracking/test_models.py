"""The exported files as models in MLflow's store and registry."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import numpy as np
import pytest

from tests.conftest import Project
from tests.tracking.conftest import client, free_port, runs, server
from tests.waiting import SECONDS

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def test_every_file_is_a_logged_model_with_its_accuracy_and_size(finished: Project) -> None:
    store = client(finished)
    experiment = store.get_experiment_by_name("mnist-digits").experiment_id
    models = {
        model.name: {metric.key: metric.value for metric in model.metrics}
        for model in store.search_logged_models([experiment])
    }
    pairs = json.loads((finished.folder / "reports/verify.json").read_text())["pairs"]
    assert set(models) == {pair["format"] for pair in pairs}
    for pair in pairs:
        if pair["processor"] != "native":
            continue
        assert models[pair["format"]]["bytes"] == pair["bytes"]
        if pair["test_images"] == 10000:
            assert models[pair["format"]]["test_accuracy"] <= pair["accuracy"]
    # One file alone runs on TensorFlow Lite Micro
    assert [name for name in models if "arena_bytes" in models[name]] == ["tflite_int8"]
    (run,) = runs(store)
    registered = store.get_model_version_by_alias("mnist-digits", "champion").tags["format"]
    evaluation = json.loads((finished.folder / "reports/evaluate.json").read_text())
    assert run.data.metrics["test_accuracy"] == evaluation["test_accuracy"]
    assert run.data.metrics["bytes"] == models[registered]["bytes"]


def test_the_registered_model_is_a_tflite_file_that_can_be_served_and_agrees_with_keras(
    finished: Project,
) -> None:
    store = client(finished)
    champion = store.get_model_version_by_alias("mnist-digits", "champion")
    assert champion.tags["format"].startswith("tflite")
    port = free_port()
    options = ("-m", "models:/mnist-digits@champion", "--env-manager", "local")
    command = ("mlflow", "models", "serve", *options)
    finished.environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{finished.folder / 'mlflow.db'}"
    try:
        with server(finished, *command, port=port, health="/ping"):
            images = np.load(finished.folder / "data/prepared/test/images.npy", mmap_mode="r")[:5]
            body = json.dumps({"instances": images.tolist()}).encode()
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": "application/json"}
            )
            with urllib.request.urlopen(request, timeout=SECONDS) as response:
                answer = np.array(json.load(response)["predictions"])
    finally:
        del finished.environment["MLFLOW_TRACKING_URI"]
    keras = np.load(finished.folder / "evaluation/test_probabilities.npy")[:5]
    np.testing.assert_allclose(answer, keras, atol=0.02)
