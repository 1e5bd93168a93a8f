"""Settings of the user and the machine that must not change a run, or are named in a sentence."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.bundle import wheel
from pipeline.files.reports.run import RunReports
from pipeline.process import git, stage
from pipeline.runtimes import environments
from pipeline.tracking import record
from tests.conftest import EDGEPROOF, ROOT, Project
from tests.device import written_to
from tests.small_disk import small_disk

DRAW = """
from pathlib import Path
from pipeline.reporting import drawing
with drawing.figure(Path({!r}), (2, 2)) as figure:
    figure.suptitle("a title")
"""
KERAS = """
from pipeline.process import imports
with imports.keras_import():
    import keras
print(keras.config.image_data_format(), keras.config.floatx(), keras.config.epsilon())
"""
RUN_PROGRAM = """
import subprocess
from pipeline.process import stage
stage.run(lambda: subprocess.run([{!r}]))
"""
LARGE_FILE = """
import resource
from pathlib import Path
from pipeline.process import stage
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # not even a probe of tempfile
stage.run(lambda: print(Path({!r}).write_bytes(bytes(100))))
"""
OUTPUT = "from pipeline.process import stage; stage.run(lambda: print('x' * {}))"


def python(
    program: str, folder: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_pictures_do_not_depend_on_the_users_matplotlibrc(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("text.usetex: true\nfigure.facecolor: red\n")
    plain = str(tmp_path / "none")
    for name, current, settings in (
        ("plain", ROOT, plain),
        ("home", ROOT, str(tmp_path)),
        ("project", tmp_path, plain),
    ):
        program = DRAW.format(str(tmp_path / f"{name}.png"))
        done = python(program, current, MPLCONFIGDIR=settings)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / f"{name}.png").read_bytes() == (tmp_path / "plain.png").read_bytes()


def test_keras_does_not_depend_on_the_users_keras_json(tmp_path: Path) -> None:
    settings = {"image_data_format": "channels_first", "floatx": "float16", "epsilon": 0.01}
    (tmp_path / "keras.json").write_text(json.dumps({**settings, "backend": "torch"}))
    done = python(KERAS, KERAS_HOME=str(tmp_path))
    assert done.stdout == "channels_last float32 1e-07\n", done.stderr


def test_a_backend_that_is_not_installed_is_one_sentence() -> None:
    done = python(KERAS, KERAS_BACKEND="torch")
    assert done.returncode == 1
    assert done.stderr == (
        "error: KERAS_BACKEND is torch, which is not installed here; "
        "unset it, and the training runs on TensorFlow\n"
    )


@pytest.mark.parametrize("length", [1, 10**6])
def test_output_that_nobody_reads_ends_a_stage_with_one_sentence(length: int) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = written_to(writing, sys.executable, "-c", OUTPUT.format(length))
    os.close(writing)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: the reader of the output, such as `head`, stopped early; run again to go on"
    ]


@pytest.mark.slow
def test_braces_in_the_path_are_named_with_a_cure(project: Project) -> None:
    project.run("dvc", "cache", "dir", "--local", str(project.folder.parent / "c{d}"))
    done = project.attempt("dvc", "repro", "download")
    assert "/c{d}/files/md5, as the path has a brace; rename the folder" in done.stderr
    project.run("dvc", "config", "--local", "--unset", "cache.dir")
    project.folder = project.folder.rename(project.folder.with_name("a{b}"))
    sentence = (
        f"error: DVC cannot use its cache {project.folder}/.dvc/cache/files/md5, as the path has a "
        "brace; rename the folder, or put the cache elsewhere by `dvc cache dir --local FOLDER`\n"
    )
    done = project.attempt(*EDGEPROOF, "run", "download")
    assert (done.returncode, done.stderr) == (1, sentence)
    done = project.attempt("dvc", "repro", "download")
    assert done.returncode != 0
    assert sentence in done.stderr
    project.run("dvc", "cache", "dir", "--local", str(project.folder.parent / "cache"))
    project.run(*EDGEPROOF, "run", "download")


@pytest.mark.slow
def test_without_a_writable_home_the_runtimes_stay_and_requirements_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pyproject.toml", "uv.lock"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "none"))
    for name in ("XDG_CACHE_HOME", "UV_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "none").touch()  # in which there can be no folder
    assert environments.python("litert").exists()
    shutil.copytree(ROOT / wheel.DEVICES, wheel.DEVICES)
    assert "ai-edge-litert==" in wheel.requirements("litert")


def test_without_git_a_run_names_no_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert git.commit()
    monkeypatch.setenv("PATH", str(tmp_path))
    tags = record.tags("0" * 64, RunReports())
    assert not [name for name in tags if "commit" in name]


def test_a_user_without_a_name_is_known_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "")  # which counts as not set
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 9)
    stage.run(lambda: None)
    assert getpass.getuser() == str(2**31 - 9)


def test_a_temporary_folder_in_which_no_program_may_run_is_named(tmp_path: Path) -> None:
    with small_disk(tmp_path, "noexec"):
        program = tmp_path / "program"
        program.write_text("#!/bin/sh")
        program.chmod(0o700)
        done = python(RUN_PROGRAM.format(str(program)), TMPDIR=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == (
        f"error: programs may not run in {tmp_path} (noexec): set TMPDIR to another folder\n"
    )


def test_a_file_larger_than_the_limit_is_one_sentence(tmp_path: Path) -> None:
    done = python(LARGE_FILE.format(str(tmp_path / "file")))
    assert done.returncode == 1
    assert done.stderr == (
        "error: the output could not be written: it is larger than `ulimit -f` or the file system "
        "allows\n"
    )


def test_a_port_that_is_taken_is_named_before_mlflow_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        command = [sys.executable, "-m", "pipeline.cli", "ui", "--port", str(port)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: cannot listen on 127.0.0.1 port {port} (Address already")


def test_a_clone_has_the_same_bytes_whatever_git_makes_of_line_ends(tmp_path: Path) -> None:
    settings = ["-c", "core.autocrlf=true", "-c", "core.safecrlf=true"]
    clone = tmp_path / "clone"
    command = ["git", *settings, "clone", "--quiet", "--depth", "1", ROOT.as_uri(), str(clone)]
    subprocess.run(command, check=True)
    assert b"\r" not in (clone / "Makefile").read_bytes()


@pytest.mark.slow
def test_a_folder_without_git_is_told_how_to_run(project: Project) -> None:
    shutil.rmtree(project.folder / ".git")
    sentence = (
        "this folder is not a git checkout, as after a download as zip; run `git init`, "
        "or `dvc config --local core.no_scm true` to do without git\n"
    )
    done = project.attempt(*EDGEPROOF, "run")
    assert (done.returncode, done.stderr) == (1, f"error: {sentence}")
    done = project.attempt(*EDGEPROOF, "doctor")
    assert done.returncode == 1, done.stderr
    assert done.stdout.endswith(f"fault DVC: {sentence}")
    assert " GB free here" in done.stdout
    project.run("dvc", "config", "--local", "core.no_scm", "true")
    project.run(*EDGEPROOF, "run", "check")
