"""The command `edgeproof`: its help, its errors, its completion, and what it imports to start."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from pipeline.cli import version
from pipeline.cli.__main__ import PANELS, app
from tests.conftest import EDGEPROOF, ROOT, Project

COMMANDS = typer.main.get_group(app).commands
HEAVY = ("tensorflow", "keras", "mlflow", "dvc", "optuna", "sklearn", "scipy", "matplotlib")


@pytest.fixture
def checkout(tmp_path: Path, mirror: Path) -> Project:
    """A folder with params.yaml and dvc.yaml alone; commands run the code of this checkout."""
    project = Project(tmp_path, mirror)
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    project.environment["PYTHONPATH"] = str(ROOT)
    return project


def test_the_help_lists_every_command_in_its_panel(checkout: Project) -> None:
    shown = checkout.run(*EDGEPROOF, "--help")
    assert all(f" {panel} ─" in shown for panel in PANELS)
    assert all(shown.count(f"│ {command} ") == 1 for command in COMMANDS)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_a_help_text(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"], prog_name="edgeproof").output
    assert shown.split()[:3] == ["Usage:", "edgeproof", command]
    assert not re.search(r"<\w+", shown), "the type of a value in Python"


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['edgeproof', '--help']\n"
        "from pipeline.cli.__main__ import app\n"
        "try: app()\n"
        f"finally: print('imported', sorted(set(sys.modules) & {set(HEAVY)}))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert shown.stdout.endswith("imported []\n")


def test_the_version_is_that_of_the_checkout_with_its_commit(
    checkout: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert checkout.run(*EDGEPROOF, "--version") == f"{version.version()}\n"
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "edgeproof"\nversion = "7.8.9"\n')
    monkeypatch.setattr(version, "ROOT", tmp_path)
    assert version.version() == "edgeproof 7.8.9"
    git = ["git", "-C", str(tmp_path), "-c", "user.name=A", "-c", "user.email=a@example.org"]
    for arguments in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "first"]):
        subprocess.run([*git, *arguments], check=True)
    assert re.fullmatch(r"edgeproof 7\.8\.9, commit [0-9a-f]{7}", version.version())
    (tmp_path / "params.yaml").write_text("")
    assert version.version().endswith("-dirty")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert version.version() == "edgeproof 7.8.9", "git does not read another user's checkout"


def test_an_unknown_option_is_an_error_of_usage(checkout: Project) -> None:
    done = checkout.attempt(*EDGEPROOF, "folds", "--fold", "5")
    assert done.returncode == 2
    assert "No such option: --fold" in done.stderr
    assert "--folds" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["folds"], "data/raw/description.json is missing"),
        (["folds", "--workers", "0"], "--workers is 0; expected an integer of at least 1"),
        (["batch-size", "--sizes", "32 64"], "--sizes is 32 64; expected integers with commas"),
        (["sweep", "train.epochs"], "train.epochs has no value"),
        (["sign", "nokey.pem"], "nokey.pem is"),
        (["diagnose", "none.csv"], "none.csv is not a file"),
        (["lectures", "S77"], "'S77' is"),
        (["prove", "none.tflite"], "none.tflite is not a file; expected one that ends in .tflite"),
        (["prove", "a.h5", "--reference", "b.h5"], "--reference is for a .tflite or .onnx file"),
        (["run", "verfy"], "'verfy' is not a stage; expected check, download, preprocess"),
    ],
)
def test_a_mistake_is_one_line(checkout: Project, arguments: list[str], sentence: str) -> None:
    done = checkout.attempt(*EDGEPROOF, *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("edgeproof da", {"data-size"}),
        ("edgeproof sweep --pru", {"--prune"}),
        ("edgeproof run ev", {"evaluate"}),
        ("edgeproof lectures S1", {"S1", "S10", "S11", "S12", "S13"}),
    ],
)
def test_the_shell_completes_commands_options_and_names(
    checkout: Project, line: str, expected: set[str]
) -> None:
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
    completed = checkout.run(*EDGEPROOF, _EDGEPROOF_COMPLETE="complete_bash", **words)
    assert set(completed.split()) == expected


def test_completion_can_be_installed(checkout: Project) -> None:
    home = {"HOME": str(checkout.folder), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    checkout.run(*EDGEPROOF, "--install-completion", "bash", **home)
    assert "complete" in (checkout.folder / ".bash_completions/edgeproof.sh").read_text()
