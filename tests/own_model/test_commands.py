"""Params and commands with a model of somebody else."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import keras
import pytest

from pipeline.config import params
from pipeline.files import artifacts
from pipeline.planning import prove
from pipeline.process.errors import UserError
from pipeline.search import analysis
from pipeline.training import keras_files
from pipeline.training.batches import Data
from tests.conftest import ROOT, Project
from tests.own_model.conftest import hostile_lambda, nearest_mean

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")


def test_params_refuse_files_that_cannot_be_taken_and_folds_of_another_recipe() -> None:
    settings = params.load(ROOT / "params.yaml")
    for values, message in (
        ({"model.path": "model.tflite"}, "expected a .keras or .h5 file"),
        ({"model.path": "a|b.h5"}, "breaks tables"),
        ({"model.path": str(artifacts.MODEL)}, "name a copy of it in another place"),
        ({"model.scaling": "0..1"}, "model.scaling"),
        ({"model.scaling": {"mean": 0.0, "deviation": 0.0}}, "expected numbers above 0"),
        ({"model.source": "two\nlines"}, "model.source"),
        ({"model.path": "a.h5", "evaluate.folds": "reports/folds.json"}, "judges a recipe"),
    ):
        with pytest.raises(UserError, match=message):
            params.override(settings, values)


def test_commands_that_train_refuse_while_a_model_is_named() -> None:
    settings = params.override(params.load(ROOT / "params.yaml"), {"model.path": "theirs.h5"})
    with pytest.raises(UserError, match=r"this command trains models, but model.path is theirs.h5"):
        analysis.check_answers(settings)


def test_spread_refuses_while_a_model_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.diagnosis import spread

    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(
        re.sub("path: .*  # pipeline/none: none; or a .keras", "path: theirs.h5  #", text)
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"model.path is theirs.h5, and this looks at a network b"):
        spread.report()


def test_prove_sets_the_model_and_keeps_params_of_a_file_that_it_refuses(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    for name, message in (
        ("missing.h5", "does not exist"),
        ("model.tflite", "is not a Keras model"),
        ("folder", "is not a Keras model"),
        ("lambda.keras", "has a Lambda layer"),
    ):
        if name == "folder":
            Path(name).mkdir()
        elif name == "lambda.keras":
            hostile_lambda(Path(name), tmp_path / "mark")
        elif name != "missing.h5":
            Path(name).touch()
        with pytest.raises(UserError, match=message):
            prove.choose(Path(name), None)
    assert Path("params.yaml").read_bytes() == (ROOT / "params.yaml").read_bytes()
    nearest_mean(data, ([0.0], [255.0])).save("good.keras")
    judged = Path("params.yaml").read_text().replace("folds: pipeline/none ", "folds: a.json")
    Path("params.yaml").write_text(judged)
    prove.choose(Path("good.keras"), "a friend")
    expected = {"model.path": "good.keras", "model.source": "a friend"}
    assert params.load() == params.override(params.load(ROOT / "params.yaml"), expected)
    text = Path("params.yaml").read_text(encoding="utf-8")
    assert "# pipeline/none: none; or a .keras" in text


@pytest.mark.slow
@pytest.mark.long
def test_a_model_of_somebody_else_goes_the_whole_way_and_its_card_says_so(
    finished: Project, run_stages: Callable[..., None], tmp_path: Path
) -> None:
    project = finished.copy(tmp_path / "project")
    ours = keras_files.load(finished.folder / artifacts.MODEL)
    inner = keras.Sequential([keras.Input((28, 28, 1)), *ours.layers[1:]])  # without its scaling
    inner.save(project.folder / "theirs.h5")
    project.change(
        {
            "model.path": "theirs.h5",
            "model.source": "somebody else",
            "export.formats": ["tflite_float32"],
            "verify.runtimes": ["litert"],
            "verify.processors": ["native"],
            "embed.targets": [],
        }
    )
    run_stages(project, "check", "train", "diagnose", "evaluate", "export", "verify", "embed")
    run_stages(project, "package")
    before = artifacts.load_json(finished.folder / "reports/evaluate.json")
    after = artifacts.load_json(project.folder / "reports/evaluate.json")
    assert after["test_accuracy"] == before["test_accuracy"]
    sentence = "the model was not trained here: it is theirs.h5 from somebody else"
    assert artifacts.load_json(project.folder / "reports/diagnose.json")["sentence"].startswith(
        sentence
    )
    assert sentence[1:] in (project.folder / "reports/index.html").read_text(encoding="utf-8")
    archive = next((project.folder / "dist").glob("*.tar.gz"))
    shutil.unpack_archive(archive, tmp_path / "bundle")
    card = next((tmp_path / "bundle").rglob("MODEL_CARD.md")).read_text(encoding="utf-8")
    assert sentence in card
    assert "never used for training" not in card
    rows = (project.folder / artifacts.LEARNING_CURVES).read_text(encoding="utf-8").splitlines()
    assert [row.split(",")[0] for row in rows] == ["epoch", "0"]


def test_without_a_model_nothing_changes() -> None:
    settings = params.load(ROOT / "params.yaml")
    assert settings.model.path == params.NONE
    assert not settings.model.is_given
