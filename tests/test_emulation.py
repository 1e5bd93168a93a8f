"""Emulated processors: what they are, what they need, and what is said when one is missing."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.bundle import gates
from pipeline.config.params import Params
from pipeline.config.processors import EMULATED
from pipeline.runtimes import emulation, environments
from pipeline.runtimes.process import Interpreter
from tests.conftest import ROOT, Project, emulated
from tests.reports import checked, report, reports

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["haswell", "cortex-a72", "cortex-a7"])
def test_a_real_wheel_runs_on_an_emulated_processor(name: str) -> None:
    runtime = "tflite_runtime" if name == "cortex-a7" else "onnxruntime"
    code = f"import platform, {runtime}; print(platform.machine())"
    assert output_of(emulated(name, runtime), code) == EMULATED[name].architecture


def output_of(interpreter: Interpreter, code: str) -> str:
    """What Python code prints on an emulated processor."""
    done = subprocess.run(
        [*interpreter.command, "-c", code],
        env=interpreter.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("name", "instructions"),
    [
        ("nehalem", []),
        ("haswell", ["AVX", "AVX2", "FMA3"]),
        ("cortex-a53", []),
        ("cortex-a72", []),
        ("cortex-a76", ["ASIMDDP"]),  # dot products
    ],
)
def test_an_emulated_processor_has_its_instructions_and_no_others(
    name: str, instructions: list[str]
) -> None:
    names = ["AVX", "AVX2", "FMA3", "AVX512F", "AVX512VNNI", "ASIMDDP"]
    code = (
        "from numpy._core._multiarray_umath import __cpu_features__ as has; "
        f"print([name for name in {names} if has.get(name)])"
    )
    assert output_of(emulated(name, "onnxruntime"), code) == str(instructions)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the PATH of this process; nothing has been downloaded before."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(emulation, "FOLDER", tmp_path / "emulated")
    return folder


def program(path: Path, output: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{output}'\n")
    path.chmod(0o755)
    return path


def test_a_qemu_that_cannot_emulate_avx_is_refused_and_debians_is_used(tools: Path) -> None:
    old = program(
        tools / "qemu-x86_64-static", "qemu-x86_64 version 6.2.0 (Debian 1:6.2+dfsg-2ubuntu6)"
    )
    with pytest.raises(
        OSError,
        match=r"is version 6\.2, which cannot emulate AVX; "
        r"apt-get is not installed on this machine; install .* 7\.2 or newer",
    ):
        emulation.interpreter("haswell", "onnxruntime")
    new = program(
        emulation.FOLDER / "qemu/usr/bin/qemu-x86_64-static",
        "qemu-x86_64 version 7.2.22 (Debian 1:7.2)",
    )
    assert emulation.qemu("x86_64") == new
    program(old, "qemu-x86_64 version 10.0.2")
    assert emulation.qemu("x86_64") == old
    program(new, "qemu-x86_64 version 5.2.0")
    program(old, "nothing of the kind")
    with pytest.raises(
        OSError, match=r"does not report its version; .* is version 5\.2, which cannot emulate AVX"
    ):
        emulation.qemu("x86_64")


def test_a_failed_download_is_not_blamed_on_qemu(tools: Path) -> None:
    program(tools / "qemu-aarch64-static", "qemu-aarch64 version 7.2.22")
    with pytest.raises(
        OSError,
        match="apt-get is not installed on this machine; "
        "run `make env` where packages can be reached, or remove cortex-a72",
    ):
        emulation.interpreter("cortex-a72", "litert")


def keep_formats(project: Project, *formats: str) -> None:
    """Makes a project forget that it exported other formats too."""
    exported = report(project, "export")
    exported["formats"] = {name: exported["formats"][name] for name in formats}
    path = project.folder / "reports/export.json"
    path.unlink()  # DVC's link to its cache, perhaps
    path.write_text(json.dumps(exported))


def test_a_processor_that_cannot_be_emulated_says_why_and_fails_nothing(
    finished: Project, tmp_path: Path
) -> None:
    """There is no QEMU, and no apt to download it."""
    copy = finished.copy(tmp_path / "project")
    keep_formats(copy, "tflite_int8", "onnx_float32")
    (tmp_path / "bin").mkdir()
    for tool in ("git", "uname"):
        (tmp_path / "bin" / tool).symlink_to(Path("/usr/bin") / tool)
    code = (
        "from pathlib import Path; from pipeline import verify; "
        "from pipeline.runtimes import emulation; "
        "emulation.FOLDER = Path('none'); verify.main()"
    )
    copy.run(sys.executable, "-c", code, PATH=str(tmp_path / "bin"))
    pairs = [pair for pair in report(copy, "verify")["pairs"] if pair["processor"] == "nehalem"]
    assert pairs
    for pair in pairs:
        assert pair["state"] == "could not run"
        assert (
            "install QEMU's user mode, 7.2 or newer (Debian: qemu-user-static), "
            "or remove nehalem from" in pair["reason"]
        )
        assert pair["reason"].endswith(f"; then `{' '.join(AGAIN)}` tries again")
    assert not gates.failures(Params.model_validate(copy.params()), checked(reports(copy)))


AGAIN = ("dvc", "repro", "--force", "--downstream", "verify")


def test_the_command_that_tries_again_runs_verify_and_what_follows_and_trains_nothing(
    finished: Project,
) -> None:
    assert re.findall("Running stage '(.*)'", finished.run("dvc", "repro", "--dry")) == []
    assert re.findall("Running stage '(.*)'", finished.run(*AGAIN, "--dry")) == [
        "verify",
        "embed",
        "package",
    ]


def test_a_runtime_that_is_emulated_alone_and_has_no_environment_could_not_run(
    finished: Project, tmp_path: Path
) -> None:
    """Its environment is missing, and uv cannot make it offline."""
    copy = finished.copy(tmp_path / "project")
    copy.change({"verify.runtimes": ["tflite_runtime"], "verify.emulated_runtimes": ["litert"]})
    keep_formats(copy, "tflite_int8")
    (tmp_path / "runtimes").mkdir()
    (tmp_path / "runtimes/tflite_runtime").symlink_to(environments.FOLDER / "tflite_runtime")
    code = (
        "from pathlib import Path; from pipeline import verify; "
        "from pipeline.runtimes import environments; "
        f"environments.FOLDER = Path('{tmp_path}/runtimes'); verify.main()"
    )
    cache = str(tmp_path / "cache")
    copy.run(sys.executable, "-c", code, UV_OFFLINE="1", UV_CACHE_DIR=cache)
    native, failed = report(copy, "verify")["pairs"]
    assert (native["runtime"], native["state"]) == ("tflite_runtime", "proven")
    assert (failed["runtime"], failed["processor"]) == ("litert", "nehalem")
    assert failed["state"] == "could not run"
    assert failed["reason"].startswith("no environment for litert: ")
    cure = "; run `make env` where packages can be reached; "
    assert f"{cure}then `dvc repro --force --downstream verify`" in failed["reason"]


def test_make_env_also_makes_emulated_runtimes_and_prints_no_needless_warning(
    project: Project,
) -> None:
    emulated("cortex-a7", "tflite_runtime")
    emulated("nehalem", "litert")
    project.change(
        {
            "verify.runtimes": ["onnxruntime"],
            "verify.processors": ["native", "nehalem", "cortex-a7"],
            "verify.emulated_runtimes": ["litert", "tflite_runtime"],
        }
    )
    pythons = project.run("python", "-m", "pipeline.runtimes.environments").splitlines()
    names = [Path(path).parts[-3] for path in pythons]
    assert names == ["onnxruntime", "litert", "tflite_runtime", "embedded"]
    assert project.attempt("python", "-m", "pipeline.runtimes.emulation").stderr == ""


def test_a_folder_that_two_processes_make_at_once_is_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emulation, "FOLDER", tmp_path)

    def fill(folder: Path) -> None:
        (folder / "first").touch()
        time.sleep(0.1)
        if (tmp_path / "full").exists():
            raise OSError("the disk is full")
        (folder / f"made-{time.monotonic()}").touch()

    with ThreadPoolExecutor(2) as pool:
        (folder,) = set(pool.map(lambda _: emulation._made_once("tools", fill), range(2)))
    assert len(list(folder.glob("made-*"))) == len(list(folder.iterdir())) - 1 == 1
    (tmp_path / "full").touch()
    with pytest.raises(OSError, match="the disk is full"):
        emulation._made_once("others", fill)
    assert {path.name for path in tmp_path.iterdir()} == {"full", "tools"}


def test_an_environment_that_is_missing_is_announced_and_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(environments, "FOLDER", tmp_path)
    monkeypatch.chdir(ROOT)
    try:
        environments.python("tflite_micro")
    except OSError as error:  # neither uv's cache nor the package index has its packages
        pytest.skip(str(error))
    folder = tmp_path / "tflite_micro"
    announced = f"runtimes: fetching the packages of tflite_micro into {folder}, once\n"
    assert capsys.readouterr().err == announced
    environments.python("tflite_micro")
    assert capsys.readouterr().err == ""
