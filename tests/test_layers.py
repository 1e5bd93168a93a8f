"""The architecture: the order of imports, and what each module may know."""

from __future__ import annotations

import ast
import re
import statistics
from functools import cache
from pathlib import Path

from pipeline.config import params
from pipeline.files import code
from tests.conftest import ROOT, STAGES
from tests.dependencies import PIPELINE, name, own

STAGE_FILES = {PIPELINE / f"{stage}.py" for stage in STAGES}
# A folder may import those before it. Folders in one entry may import each other, but no module may
# import itself indirectly.
ORDER = (
    "process",
    "config",
    "files",
    "reporting",
    "runtimes",
    "datasets",
    # An architecture builds Keras objects by name, and `fit` imports an architecture by name.
    "architectures training",
    "diagnosis",
    "inputs",
    "targets",
    "formats",
    "bundle",
    "verification",
    "embedded",
    "tracking",
    "field",
    "planning",
    "stages",
    "proving",
    "doctor",
    "search",
    "team",
    "cli",
)
KNOW_NO_DEVICE = {
    *("process", "config", "architectures", "training", "diagnosis", "inputs", "formats"),
    *("planning", "doctor", "team", "cli"),
}
VERIFYING = {PIPELINE / "verify.py", PIPELINE / "package.py"}
SHARE_INPUTS_AND_GATE = {"files", "datasets", "reporting", "targets"}
# Of `serving`: how inputs are read, and how a file of a model is judged
INPUTS_AND_GATE = {
    *("errors", "framing", "inputs", "log_mel", "recording", "words"),
    *("comparison", "gate", "metric", "model_file"),
}
HEAVY = {"tensorflow", "keras", "tf2onnx"}
MAY_IMPORT_HEAVY = {"train", "evaluate", "export", "spread", "batch_losses", "imports"}
# The only files of the training loop that use more than Keras.
KNOW_TENSORFLOW = {"batch_normalization", "keras_files", "layer_statistics"}


def modules() -> list[Path]:
    return sorted([*PIPELINE.rglob("*.py"), *(ROOT / "serving").rglob("*.py")])


def lengths(path: Path) -> list[int]:
    """The lines of each function of a module."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = [node for node in ast.walk(tree) if isinstance(node, functions)]
    return [(node.end_lineno or node.lineno) - node.lineno + 1 for node in nodes]


def folder(path: Path) -> str:
    """The folder of a module of the pipeline, as in ORDER."""
    relative = path.relative_to(PIPELINE).parts
    return relative[0] if len(relative) > 1 else "stages"


def floor(path: Path) -> int:
    return next(number for number, entry in enumerate(ORDER) if folder(path) in entry.split())


def test_a_file_of_the_pipeline_is_a_stage_and_a_folder_has_its_place() -> None:
    assert set(PIPELINE.glob("*.py")) == STAGE_FILES | {PIPELINE / "__init__.py"}
    assert {folder(path) for path in PIPELINE.rglob("*.py")} == set(" ".join(ORDER).split())


def test_no_module_is_over_300_lines() -> None:
    foreign = [path for kind in ("c", "js", "cpp") for path in PIPELINE.rglob(f"*.{kind}")]
    outside = ("benchmarks", "lectures", "tests")
    beside = [path for kind in outside for path in (ROOT / kind).rglob("*.py")]
    for path in [*modules(), *beside, *foreign]:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= 300, f"{name(path)} has {lines} lines; split it by what it is for"


def test_functions_are_short() -> None:
    """Half of them have at most 9 lines, and at most 5 % have more than 30."""
    lines = [length for path in modules() for length in lengths(path)]
    assert statistics.median(lines) <= 9
    assert sum(length > 30 for length in lines) <= 0.05 * len(lines)


def test_a_percentage_is_written_in_one_form() -> None:
    """`99.63 %`, as the International System of Units writes it."""
    for path in [*modules(), *ROOT.glob("lectures/**/*.py"), *ROOT.glob("benchmarks/**/*.py")]:
        assert not re.search(r":[\d.>]*%\}", path.read_text(encoding="utf-8")), name(path)
    for path in [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("lectures/**/*.md")]:
        assert not re.search(r"\d%", path.read_text(encoding="utf-8")), name(path)


def test_imports_run_down() -> None:
    for path in PIPELINE.rglob("*.py"):
        for other in own(path):
            if other.is_relative_to(PIPELINE) and other != PIPELINE / "__init__.py":
                assert floor(other) <= floor(path), f"{name(path)} imports {name(other)}"


def test_only_the_command_line_imports_the_search() -> None:
    for path in modules():
        if path.parent.name not in ("search", "cli"):
            assert not {other for other in own(path) if other.parent.name == "search"}, path


def test_only_the_command_line_and_the_worker_of_a_cluster_import_a_stage() -> None:
    for path in modules():
        if path.parent.name != "cli" and name(path) != "pipeline/search/remote_training.py":
            assert not own(path) & STAGE_FILES, path


def test_no_module_imports_itself_indirectly() -> None:
    for path in modules():
        if path.name != "__init__.py":  # Python imports it with every module of its folder
            others = {file for module in own(path) for file in below(module)}
            assert path not in others, path


@cache
def below(path: Path) -> frozenset[Path]:
    """The modules that a module imports, directly or not, but not through an `__init__.py`."""
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
    for path in (ROOT / "lectures").rglob("*.py"):
        assert not {imported.split(".")[0] for imported in code.names(path)} & {
            "serving",
            "tests",
            "tensorflow",
            "mlflow",
        }, path
    for path in (ROOT / "benchmarks").rglob("*.py"):
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


def test_what_makes_a_model_knows_no_device() -> None:
    """Data and reports share inputs and the gate with it; what proves a model runs what ships."""
    for path in PIPELINE.rglob("*.py"):
        shared = {i.split(".")[1] for i in code.names(path) if i.split(".")[0] == "serving"}
        if folder(path) in KNOW_NO_DEVICE or path in STAGE_FILES - VERIFYING:
            assert shared <= {"errors"}, f"{name(path)} imports {shared} of serving"
        elif folder(path) in SHARE_INPUTS_AND_GATE:
            assert shared <= INPUTS_AND_GATE, f"{name(path)} imports {shared - INPUTS_AND_GATE}"


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


def test_no_value_a_person_may_change_lives_outside_params_yaml() -> None:
    params.load(ROOT / "params.yaml")
    for path in modules():
        if path.name != "params.py":
            assert (
                "yaml.load" not in path.read_text(encoding="utf-8") or path.name == "record.py"
            ), path
