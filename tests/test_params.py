"""params.yaml: a mistake is answered in one sentence with the key and what was expected."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from pipeline.config import named_by_dvc, params
from pipeline.datasets import image_list, imdb
from pipeline.datasets.reading import photo_list, sound_list
from pipeline.embedded import __main__ as compiler
from pipeline.process.errors import UserError
from pipeline.runtimes import emulation, environments
from tests.conftest import ROOT

TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")


def message(tmp_path: Path, old: str, new: str) -> str:
    assert old in TEXT
    path = tmp_path / "params.yaml"
    path.write_text(TEXT.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(UserError) as error:
        params.load(path)
    return str(error.value).removeprefix(str(path))


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("  seed: 42", "  sead: 42", ["preprocess.sead", "not a known key", "seed"]),
        ("seed: 42", "seed: forty-two", ["preprocess.seed", "'forty-two'", "an integer"]),
        ("target: 0.99", "target: 1.5", ["problem", "target is 1.5", "from 0 to 1"]),
        (
            "name: mnist\n",
            "name: mnits\n",
            [
                "dataset.name",
                "'mnits'",
                "audio_folder, cifar10, cifar100, fashion_mnist, fsdd, image_folder, image_list,",
            ],
        ),
        (
            "architecture: edge",
            "architecture: vgg",
            ["train.architecture", "'vgg'", "cnn, edge, efficientnet_lite0, mlp"],
        ),
        ("- tflite_int8", "- tflite_int2", ["export.formats", "'tflite_int2'", "tflite_int8"]),
        ("- tflite_int8", "- tflite_float32", ["export.formats", "twice"]),
        (
            "precision: float32",
            "precision: float8",
            ["train.precision", "'float8'", "mixed_bfloat16"],
        ),
        ("epochs:", "epochs: 0 #", ["train.epochs is 0; expected an integer of at least 1"]),
        ("problem:", "problem: [", ["not readable YAML"]),
        ("embed:", "train: {}\nembed:", ["train is set twice, the second time on line"]),
        (
            "batch_size: 256",
            "batch_size: true",
            ["train.batch_size is True", "expected an integer, or 'full'"],
        ),
        (
            "dropout: null",
            "dropout: 1.5",
            ["train.network.dropout is 1.5; expected a number below 1, or a list"],
        ),
        (
            "schedule: cosine",
            "schedule: cosin",
            [
                "train.schedule is 'cosin'; expected 'cosine' or 'constant', "
                "or {class_name: ..., config"
            ],
        ),
        (
            "activation: null",
            "activation: 3",
            [
                "network.activation is 3; expected a text, or {class_name: ...",
                "or a list",
            ],
        ),
        (
            "normalization: null",
            "normalization: befor",
            ["is 'befor'; expected 'none', 'before' or 'after', or a list"],
        ),
        (
            "start_layers: hidden",
            "start_layers: most",
            ["train.start_layers is 'most'; expected 'hidden' or 'all', or an integer"],
        ),
        (
            "freeze: null ",
            "freeze: -1 ",
            ["train.freeze is -1; expected an integer of at least 0, or 'all'"],
        ),
        (
            "validation: 0.1 ",
            "validation: most ",
            ["preprocess.validation is 'most'; expected a number, or an integer"],
        ),
        (
            "processors: [native, nehalem, haswell, cortex-a72]",
            "processors: [native, cortex-a7]",
            [
                "verify: emulated_runtimes has no runtime with a wheel for cortex-a7; "
                "add one of tflite_runtime, or remove cortex-a7"
            ],
        ),
        (
            "emulated_runtimes: [litert, onnxruntime]",
            "emulated_runtimes: []",
            [
                "a wheel for nehalem; "
                "add one of litert, onnxruntime, tflite_micro, tflite_runtime, or remove"
            ],
        ),
        (
            "  height: 28",
            "  heigth: 28",
            ["dataset: heigth is not a known key; expected one of name, path", ", height, width,"],
        ),
        (
            "framing: resize",
            "framing: letterbux",
            ["dataset.framing is 'letterbux'; expected 'resize', 'letterbox' or 'centre_crop'"],
        ),
        (
            "framing: resize",
            "framing: letterbox",
            ["dataset: framing is letterbox, and mnist has no photo files to frame; expected"],
        ),
        (
            "framing: resize",
            "framing: [0.5, 0, 0.5, 1]",
            ["framing is [0.5, 0.0, 0.5, 1.0]; expected [left, top, right, bottom] as fractions"],
        ),
        ("framing: resize", "framing: [0, 0, 1, 2]", ["from 0 to 1, with left below right"]),
        ("framing: resize", "framing: [0, 0, 1]", ["expected [left, top, right, bottom]"]),
        ("targets: all", "targets: c", ["embed.targets is 'c'; expected 'all', or a list"]),
        (
            "  name: mnist-digits",
            "  name: My Digits",
            ["problem.name is 'My Digits'; expected a text that matches '^[a-z0-9]"],
        ),
        (
            "dropout: null",
            "dropuot: 0.5",
            ["train.network.dropuot is not a known key", "input_dropout"],
        ),
    ],
)
def test_a_mistake_is_answered_in_one_sentence(
    tmp_path: Path, old: str, new: str, parts: list[str]
) -> None:
    sentence = message(tmp_path, old, new)
    assert all(part in sentence for part in parts), sentence
    assert "\n" not in sentence


def test_the_options_of_a_dataset_are_checked_by_the_dataset() -> None:
    settings = params.load(ROOT / "params.yaml")
    for module in (photo_list, sound_list, image_list, imdb):
        assert settings.dataset.options(module.Options) == module.Options(), "not the defaults"
    wrong = params.override(settings, {"dataset.rate": 100, "dataset.channels": 2})
    with pytest.raises(
        UserError, match=r"dataset\.rate is 100; expected an integer of at least 40"
    ):
        wrong.dataset.options(sound_list.Options)
    with pytest.raises(UserError, match=r"dataset\.channels is 2; expected 1 or 3"):
        wrong.dataset.options(photo_list.Options)
    assert wrong.dataset.options(imdb.Options) == imdb.Options(), "the keys of others are ignored"


def test_keys_that_dvc_yaml_names_are_asked_for_unless_they_have_no_default() -> None:
    settings = params.load(ROOT / "params.yaml")
    named = set(re.findall(r"\$\{([\w.]+)\}", (ROOT / "dvc.yaml").read_text(encoding="utf-8")))
    fields = {key: type(getattr(settings, key.split(".")[0])).model_fields for key in named}
    optional = {key for key in named if not fields[key][key.split(".")[1]].is_required()}
    assert optional == set(named_by_dvc.KEYS)


@pytest.mark.parametrize("key", named_by_dvc.KEYS)
def test_a_missing_key_that_dvc_yaml_names_is_told_with_its_default(
    tmp_path: Path, key: str
) -> None:
    section, name = key.split(".")
    values = YAML(typ="safe").load(ROOT / "params.yaml")
    default = values[section].pop(name)
    YAML(typ="safe").dump(values, tmp_path / "params.yaml")
    with pytest.raises(UserError, match=f"{key} is missing; add `{name}: {default}` to {section}"):
        params.load(tmp_path / "params.yaml")


def test_the_objects_are_frozen() -> None:
    settings = params.load(ROOT / "params.yaml")
    with pytest.raises(ValidationError):
        settings.train.epochs = 3


def test_make_env_goes_on_without_what_a_wrong_params_yaml_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    params.FILE.write_text("problem: [")
    for prepare in (environments.main, emulation.main, compiler.main):
        prepare()
    shown = capsys.readouterr()
    assert shown.err.startswith("warning: params.yaml has a fault, see `edgeproof run`; what it")
    assert (shown.out, shown.err.count("\n")) == ("", 1)
