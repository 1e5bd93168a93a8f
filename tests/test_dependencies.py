"""The stages in dvc.yaml: the files that each depends on, and those that it need not depend on."""

from __future__ import annotations

from functools import cache

import pytest
from ruamel.yaml import YAML

from pipeline.config import params, parts
from pipeline.training import fingerprint
from tests import dependencies
from tests.conftest import ROOT, STAGES
from tests.dependencies import PIPELINE, closure, is_empty, name, own

DVC = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))


def test_dvc_yaml_lists_the_modules_that_the_stages_depend_on() -> None:
    written = dependencies.FILE.read_text(encoding="utf-8")
    assert written == dependencies.dvc_yaml(), "run `make deps`"


@pytest.mark.parametrize("entry", dependencies.NO_DEPENDENCY)
def test_what_is_no_dependency_is_a_folder_or_a_module_that_a_dependency_imports(
    entry: str,
) -> None:
    assert (ROOT / entry).is_dir() if entry.endswith("/") else (ROOT / entry).is_file()
    assert any(file.startswith(entry) for stage in STAGES for file in without_effect(stage))


@pytest.mark.parametrize("entry", dependencies.LISTED_BY_DOWNLOAD)
def test_what_only_download_depends_on_is_imported_by_a_later_stage_too(entry: str) -> None:
    assert entry in map(name, closure("download"))
    assert any(entry in without_effect(stage) for stage in STAGES[STAGES.index("download") + 1 :])


@cache
def without_effect(stage: str) -> set[str]:
    """What the dependencies of a stage import and are said not to depend on."""
    imported = {file for path in closure(stage) for file in own(path) if not is_empty(file)}
    return set(map(name, imported - closure(stage)))


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_uses_every_folder_that_it_depends_on(stage: str) -> None:
    used = [name(path) for path in closure(stage)]
    for dep in DVC["stages"][stage]["deps"]:
        if dep.startswith(("pipeline", "serving")) and (ROOT / dep).is_dir():
            assert any(path.startswith(f"{dep}/") for path in used), f"{stage} does not use {dep}"


@pytest.mark.parametrize("stage", ["download", "train"])
def test_a_new_file_neither_downloads_nor_trains_again(stage: str) -> None:
    """If a folder is a dependency, the stage uses all of it; a new file elsewhere is none."""
    for dep in DVC["stages"][stage]["deps"]:
        for path in (ROOT / dep).rglob("*.py") if dep.startswith(("pipeline/", "serving")) else ():
            assert path in closure(stage) or is_empty(path), f"{stage} does not use {name(path)}"
    assert not (ROOT / params.NONE).is_dir()


@pytest.mark.parametrize("stage", ["check", "download", "train"])
def test_how_a_device_judges_and_reads_by_the_card_neither_downloads_nor_trains(stage: str) -> None:
    used = {path.stem for path in closure(stage) if path.parent == ROOT / "serving"}
    assert not used & {"comparison", "gate", "metric", "model_card", "model_file", "photo", "sound"}


def test_the_fingerprint_of_a_training_knows_all_code_that_fits_the_weights() -> None:
    for architecture in parts.choices("architectures"):
        used = fingerprint.modules(architecture)
        assert PIPELINE / f"architectures/{architecture}.py" in used
        # Its best_epoch decides which weights are kept.
        assert PIPELINE / "training/learning_curves.py" in used
        architectures = {path.stem for path in used if path.parent.name == "architectures"}
        assert architectures <= {architecture, "_layers", "_convolutions", "_backbone"}


@pytest.mark.parametrize("stage", STAGES)
def test_every_dependency_in_dvc_yaml_exists_or_is_made_by_an_earlier_stage(stage: str) -> None:
    outs: list[str] = []
    for earlier in STAGES[: STAGES.index(stage)]:
        entry = DVC["stages"][earlier]
        outs += [*entry.get("outs", []), *entry.get("metrics", [])]
    for dep in DVC["stages"][stage]["deps"]:
        is_made = any(
            dep == out or dep.startswith(f"{out}/") or out.startswith(f"{dep}/") for out in outs
        )
        assert is_made or "${" in dep or (ROOT / dep).exists(), dep


def test_every_stage_in_dvc_yaml_runs_its_module_and_has_a_description() -> None:
    for stage, entry in DVC["stages"].items():
        assert entry["cmd"] == f"python -m pipeline.{stage}"
        assert entry["desc"]


def test_train_never_sees_the_test_set() -> None:
    assert not [
        dep
        for dep in DVC["stages"]["train"]["deps"]
        if dep in ("data/prepared", "data/raw") or "test" in dep
    ]
