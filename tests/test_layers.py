"""The house keeps its promises: imports run one way, dvc.yaml names what a stage depends on, the README is true."""

from __future__ import annotations

import ast
import hashlib
import re
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from pipeline.config import params, parts
from pipeline.files import code, splits
from pipeline.reporting import summary
from pipeline.training import fingerprint
from serving import gate
from tests.conftest import ROOT

STAGES = (
    "check",
    "download",
    "preprocess",
    "baseline",
    "train",
    "diagnose",
    "evaluate",
    "export",
    "verify",
    "embed",
    "package",
)
PIPELINE = ROOT / "pipeline"
STAGE_FILES = {PIPELINE / f"{stage}.py" for stage in STAGES}
ORDER = (  # a folder imports those before it in this list; those that stand together import each other, without a circle of modules
    "process",
    "config",
    "files",
    "reporting",
    "runtimes",
    "architectures training",  # an architecture is made of Keras objects by name, and `fit` imports the one that is named
    "datasets",
    "formats",
    "diagnosis",
    "bundle",
    "verification",
    "embedded",
    "tracking",
    "field",
    "stages",
    "search",
    "cli",
)
HEAVY = {"tensorflow", "keras", "tf2onnx"}
MAY_IMPORT_HEAVY = {"train", "evaluate", "export", "spread", "batch_losses"}
KNOW_TENSORFLOW = {
    "batch_normalization",
    "keras_files",
    "layer_statistics",
}  # the only files of the loop that are not Keras alone

# What these decide is not what a stage writes: how it is run, how its params are read, how a file gets onto the disk and what is recorded.
NO_DEPENDENCY = (
    "pipeline/process/",
    "pipeline/config/params.py",
    "pipeline/config/parts.py",
    "pipeline/config/validation_message.py",
    "pipeline/files/atomic.py",
    "pipeline/tracking/",
    "serving/__init__.py",
)

DVC = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))


def modules() -> list[Path]:
    return sorted([*PIPELINE.rglob("*.py"), *(ROOT / "serving").rglob("*.py")])


def is_empty(path: Path) -> bool:
    """Whether a module says what it is, and nothing else: the `__init__.py` of most folders."""
    return all(
        isinstance(node, ast.Expr) for node in ast.parse(path.read_text(encoding="utf-8")).body
    )


@cache
def by_name(path: Path) -> set[Path]:
    """The modules that a module imports by a name in params.yaml, which may be any of the folder, or runs in a process of their own."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "importlib.import_module":
            if not isinstance(node.args[0], ast.JoinedStr):
                assert path == ROOT / "serving/__main__.py", f"{path} imports what no test can tell"
                continue  # its commands, whose names stand there
            found |= set(
                ROOT.joinpath(
                    *ast.literal_eval(node.args[0].values[0]).rstrip(".").split(".")
                ).glob("[a-z]*.py")
            )
        if isinstance(node, ast.Constant) and re.fullmatch(
            r"(pipeline|serving)(\.\w+)+", str(node.value)
        ):
            found |= {
                file
                for file in [ROOT.joinpath(*str(node.value).split(".")).with_suffix(".py")]
                if file.exists()
            }
    return found


def own(path: Path) -> set[Path]:
    """The files of this project that a module imports."""
    return {*code.imported(path), *by_name(path)}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def folder(path: Path) -> str:
    """Where a module of the pipeline lies, as ORDER calls it."""
    relative = path.relative_to(PIPELINE).parts
    return relative[0] if len(relative) > 1 else "stages"


def floor(path: Path) -> int:
    return next(number for number, together in enumerate(ORDER) if folder(path) in together.split())


def test_a_file_of_the_pipeline_is_a_stage_and_a_folder_has_its_place() -> None:
    assert set(PIPELINE.glob("*.py")) == STAGE_FILES | {PIPELINE / "__init__.py"}
    assert {folder(path) for path in PIPELINE.rglob("*.py")} == set(" ".join(ORDER).split())


def test_imports_run_down() -> None:
    for path in PIPELINE.rglob("*.py"):
        for other in own(path):
            if other.is_relative_to(PIPELINE) and other != PIPELINE / "__init__.py":
                assert floor(other) <= floor(path), f"{name(path)} imports {name(other)}"


def test_a_stage_never_imports_a_stage_and_only_the_command_line_imports_the_search() -> None:
    for path in modules():
        if path.parent.name not in ("search", "cli"):
            assert not {other for other in own(path) if other.parent.name == "search"}, path
    for file in STAGE_FILES:
        assert not own(file) & STAGE_FILES, file


def test_no_module_imports_itself_by_others() -> None:
    for path in modules():
        if path.name != "__init__.py":  # which Python imports with each module of its folder
            others = {file for module in own(path) for file in below(module)}
            assert path not in others, path


@cache
def below(path: Path) -> frozenset[Path]:
    """What a module imports, and so on; through no `__init__.py`."""
    seen: set[Path] = set()
    todo = [path]
    while todo:
        module = todo.pop()
        if module not in seen and module.name != "__init__.py":
            seen.add(module)
            todo += own(module)
    return frozenset(seen)


def test_serving_never_imports_pipeline() -> None:
    for path in (ROOT / "serving").rglob("*.py"):
        assert not any(imported.split(".")[0] == "pipeline" for imported in code.names(path)), path


def test_lectures_and_benchmarks_import_the_pipeline_and_nothing_imports_them() -> None:
    for path in (ROOT / "lectures").glob("*.py"):
        assert not {imported.split(".")[0] for imported in code.names(path)} & {
            "serving",
            "tests",
            "tensorflow",
            "mlflow",
        }, path
    for path in (ROOT / "benchmarks").glob("*.py"):
        assert "tests" not in {imported.split(".")[0] for imported in code.names(path)}, path
    for path in modules():
        if path.parent == PIPELINE / "cli":
            continue
        assert not {imported.split(".")[0] for imported in code.names(path)} & {
            "lectures",
            "benchmarks",
            "tests",
        }, path


def test_serving_is_written_for_python_3_9() -> None:
    for path in (ROOT / "serving").rglob("*.py"):
        ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))


def test_only_verification_the_bundle_and_the_registry_cross_to_serving() -> None:
    crossing = {
        name(path)
        for path in modules()
        if path.relative_to(ROOT).parts[0] != "serving"
        and any(i.split(".")[0] == "serving" for i in code.names(path))
    }
    bundle = {
        "pipeline/package.py",
        *(name(path) for path in (ROOT / "pipeline/bundle").glob("[a-z]*.py")),
    }
    assert (
        crossing - bundle
        == {
            "pipeline/datasets/image_folder.py",  # pictures are read in the line as they are on a device,
            "pipeline/datasets/imdb.py",  # and texts become ids
            "pipeline/runtimes/environments.py",
            "pipeline/reporting/statistics.py",  # the statistics of the gate, which the device has too
            "pipeline/reporting/summary.py",
            "pipeline/verification/emulated.py",
            "pipeline/verification/native.py",
            "pipeline/verification/pair.py",
            "pipeline/verify.py",
            "pipeline/runtimes/inspect_model.py",
            "pipeline/tracking/registry.py",
            "pipeline/field/judge.py",  # what the device logged, and a folder as the device sees it
            "pipeline/field/observations.py",
        }
    )


def test_tensorflow_and_mlflow_are_imported_only_where_they_are_needed() -> None:
    for path in modules():
        roots = {imported.split(".")[0] for imported in code.names(path)}
        if roots & HEAVY:
            assert path.stem in MAY_IMPORT_HEAVY or path.parent.name in (
                "architectures",
                "formats",
                "training",
            ), path
        if "mlflow" in roots:
            assert path.parent.name == "tracking", path


def test_the_training_loop_is_keras_alone() -> None:
    roots = {
        imported.split(".")[0]
        for folder in ("training", "architectures")
        for path in (ROOT / "pipeline" / folder).glob("*.py")
        if path.stem not in KNOW_TENSORFLOW
        for imported in code.names(path)
    }
    assert "tensorflow" not in roots


def closure(stage: str) -> set[Path]:
    """The modules on which depends what a stage writes."""
    seen: set[Path] = set()
    todo = [PIPELINE / f"{stage}.py"]
    while todo:
        path = todo.pop()
        if path not in seen:
            seen.add(path)
            todo += [
                file
                for file in own(path)
                if not name(file).startswith(NO_DEPENDENCY) and not is_empty(file)
            ]
    return seen


def covers(dep: str, path: Path) -> bool:
    """Whether a line of dvc.yaml names a module, its folder, or the part of that folder which params.yaml names."""
    pattern = re.sub(r"\\\$\\\{[^}]*\}", "[a-z][a-z0-9_]*", re.escape(dep))
    return re.fullmatch(rf"{pattern}(/.*)?", name(path)) is not None


@pytest.mark.parametrize("stage", STAGES)
def test_dvc_yaml_names_every_module_that_a_stage_depends_on(stage: str) -> None:
    for path in closure(stage):
        assert any(covers(dep, path) for dep in DVC["stages"][stage]["deps"]), (
            f"{stage} depends on {name(path)}"
        )


@pytest.mark.parametrize("stage", STAGES)
def test_dvc_yaml_names_no_module_that_a_stage_does_not_use(stage: str) -> None:
    used = closure(stage)
    for dep in DVC["stages"][stage]["deps"]:
        if dep.startswith(("pipeline/", "serving")) and not dep.endswith(".lock"):
            assert any(covers(dep, path) for path in used), f"{stage} does not use {dep}"


@pytest.mark.parametrize("stage", ["download", "train"])
def test_a_new_file_neither_downloads_nor_trains_again(stage: str) -> None:
    """Where a folder is a dependency, all of it is used; where a file is, a new one is none."""
    for dep in DVC["stages"][stage]["deps"]:
        for path in (ROOT / dep).rglob("*.py") if dep.startswith(("pipeline/", "serving")) else ():
            assert path in closure(stage) or is_empty(path), f"{stage} does not use {name(path)}"
    assert not (ROOT / params.NONE).is_dir()


def test_the_fingerprint_of_a_training_knows_all_code_that_fits_the_weights() -> None:
    for architecture in parts.choices("architectures"):
        known = fingerprint.modules(architecture)
        assert PIPELINE / f"architectures/{architecture}.py" in known
        assert (
            PIPELINE / "training/learning_curves.py" in known
        )  # whose best_epoch says which weights are kept
        assert not [
            path
            for path in known
            if path.parent.name == "architectures" and path.stem not in (architecture, "_layers")
        ]


@pytest.mark.parametrize("stage", STAGES)
def test_every_dependency_in_dvc_yaml_exists_or_is_made_by_an_earlier_stage(stage: str) -> None:
    made: list[str] = []
    for earlier in STAGES[: STAGES.index(stage)]:
        entry = DVC["stages"][earlier]
        made += [*entry.get("outs", []), *entry.get("metrics", [])]
    for dep in DVC["stages"][stage]["deps"]:
        known = any(
            dep == out or dep.startswith(f"{out}/") or out.startswith(f"{dep}/") for out in made
        )
        assert known or "${" in dep or (ROOT / dep).exists(), dep


def test_dvc_yaml_lists_the_stages_in_the_order_they_run_each_with_a_description() -> None:
    assert tuple(DVC["stages"]) == STAGES
    assert all(stage["desc"] for stage in DVC["stages"].values())


def test_train_never_sees_the_test_set() -> None:
    assert not [
        dep
        for dep in DVC["stages"]["train"]["deps"]
        if dep in ("data/prepared", "data/raw") or "test" in dep
    ]


def test_no_value_a_person_may_change_lives_outside_params_yaml() -> None:
    params.load(ROOT / "params.yaml")
    for path in modules():
        if path.name != "params.py":
            assert (
                "yaml.load" not in path.read_text(encoding="utf-8") or path.name == "record.py"
            ), path


README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_make_target_in_the_readme_exists() -> None:
    targets = set(
        re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert (
        set(re.findall(r"`make ([a-z-]+)", README))
        | set(re.findall(r"^make ([a-z-]+)", README, re.MULTILINE))
        <= targets
    )


def test_every_module_in_the_readme_exists() -> None:
    for module in re.findall(r"python -m ((?:pipeline|serving|lectures|benchmarks)[\w.]*)", README):
        stem = ROOT.joinpath(*module.split("."))
        assert stem.with_suffix(".py").exists() or (stem / "__main__.py").exists(), module


def test_every_file_in_the_readme_exists() -> None:
    for path in re.findall(r"`((?:pipeline|serving|lectures|tests|benchmarks)/[\w./-]+)`", README):
        assert (ROOT / path).exists() or path.endswith("/mine.py"), path


def test_the_readmes_table_shows_what_the_line_must_reach() -> None:
    block = README.split(summary.BEGIN)[1].split(summary.END)[0]
    header, _, *lines = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in block.splitlines()
        if line.startswith("|")
    ]
    assert header == list(summary.COLUMNS)
    rows = [dict(zip(header, line, strict=True)) for line in lines]
    size = {row["model"]: int(row["bytes"].replace(",", "")) for row in rows[1:]}
    assert set(params.load(ROOT / "params.yaml").export.formats) | {"Keras"} == set(size)
    keras = number(rows[1]["test accuracy"])
    assert keras >= 99.5
    for row in rows[2:]:
        agreement = {"float32": 100.0, "float16": 99.9, "dynamic": 99.9, "int8": 99.8}[
            row["model"].split("_")[1]
        ]
        assert number(row["agreement"]) >= agreement, row
        assert keras - number(row["test accuracy"]) <= 0.1 + 1e-9, row
        assert row["verdict"] == "proven"
    assert size["tflite_int8"] <= min(100_000, 0.3 * size["tflite_float32"])


def number(cell: str) -> float:
    return float(cell.removesuffix(" %"))


def test_the_readme_says_what_few_images_of_ones_own_can_show() -> None:
    chosen = params.load(ROOT / "params.yaml")
    for images in (200, 1000, 2000):
        most = gate.accuracy_lost_bound(0, 0, unseen(images, chosen))
        assert f"**{images:,} images**" in README
        assert f": {unseen(images, chosen):,} unseen, " in README
        assert f"at most {100 * most:.2g} %.\n" in README
    needed = gate.images_needed(chosen.export.max_accuracy_drop)
    assert needed is not None
    assert f"{needed:,} unseen images can\nprove 0.2 %, which takes 5,568 in all" in README
    assert unseen(5568, chosen) == needed > unseen(5565, chosen)


def unseen(images: int, chosen: params.Params) -> int:
    """How many images of one's own, without a test part, the weights do not see."""
    rows = splits.splits(np.zeros(images, int), chosen.dataset.test, chosen.preprocess)
    return len(rows["test"]) + len(rows["validation"])


def test_the_readmes_table_is_the_one_that_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the reports lie that the committed dvc.lock names; another processor measures other times and may train other weights."""
    committed = subprocess.run(
        ["git", "show", "HEAD:dvc.lock"], cwd=ROOT, capture_output=True, check=True
    ).stdout
    outs = {
        out["path"]: out.get("md5")
        for stage in YAML(typ="safe").load(committed)["stages"].values()
        for out in stage.get("outs", [])
    }
    reports = [f"reports/{name}.json" for name in ("baseline", "evaluate", "verify", "diagnose")]
    if any(
        not (ROOT / path).exists()
        or hashlib.md5((ROOT / path).read_bytes()).hexdigest() != outs[path]
        for path in reports
    ):
        pytest.skip("the reports here are of another run")
    monkeypatch.chdir(ROOT)
    assert summary.block() in README
