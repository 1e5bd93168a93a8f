"""Runtimes on other processors: QEMU's user mode with the wheels that devices install.

    python -m pipeline.runtimes.emulation       downloads what verify.processors needs

An emulated processor of this machine's architecture uses this machine's Python and packages. One
of another architecture gets Debian's Python and the wheels of its architecture. Nothing needs root,
and everything is stored below the virtual environment.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import uv

from pipeline.config import params
from pipeline.config.processors import EMULATED, HERE, Processor, has_wheel
from pipeline.files import artifacts, atomic, debian
from pipeline.process import stage
from pipeline.runtimes import environments
from pipeline.runtimes.process import Interpreter

FOLDER = Path(sys.prefix) / "emulated"
REQUIREMENTS = Path("pipeline/bundle/requirements")

# The first QEMU that emulates AVX and AVX2. An older one only warns, and runs without them.
OLDEST = (7, 2)

DEBIAN = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "armhf"}
QEMU = {"x86_64": "x86_64", "aarch64": "aarch64", "armv7l": "arm"}
PACKAGES = {
    "x86_64": ["python3", "libstdc++6"],
    "aarch64": ["python3", "libstdc++6"],
    "armv7l": ["python3", "libstdc++6", "python3-numpy"],  # PyPI has no NumPy wheel for armv7
}
# The files that the wheels' cpuinfo library reads on Arm. QEMU shows the host's own files, which
# crash the library if the host is an x86; a file below the emulated root takes precedence.
CPUINFO = """\
processor\t: 0
BogoMIPS\t: 108.00
Features\t: {features}
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: {part}
CPU revision\t: 3
"""
SYSTEM = {
    "possible": "0",
    "present": "0",
    "online": "0",
    "cpu0/topology/physical_package_id": "0",
    "cpu0/topology/core_id": "0",
    "cpu0/topology/core_siblings": "1",
    "cpu0/topology/core_siblings_list": "0",
    "cpu0/topology/thread_siblings": "1",
    "cpu0/topology/thread_siblings_list": "0",
}
BASIC, DOT_PRODUCTS = (
    "fp asimd evtstrm crc32 cpuid",
    " atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp",
)
PARTS = {"cortex-a53": "0xd03", "cortex-a72": "0xd08", "cortex-a76": "0xd0b"}


def interpreter(name: str, runtime: str) -> Interpreter:
    """How to run Python with `runtime` on the emulated processor `name`.

    Raises OSError with the reason and the cure.
    """
    processor = EMULATED[name]
    try:
        program = qemu(processor.architecture)
    except OSError as error:
        cure = "install QEMU's user mode, {}.{} or newer (Debian: qemu-user-static)".format(*OLDEST)
        raise _cannot(name, error, cure) from None
    try:
        return _interpreter(name, processor, runtime, program)
    except OSError as error:
        raise _cannot(name, error, "run `make env` where packages can be reached") from None


def here_or_emulated(runtime: str) -> Interpreter:
    """How to run Python with `runtime`: here, or without a wheel for it, on an emulated x86-64.

    Raises OSError with the reason.
    """
    if has_wheel(runtime):
        return Interpreter.here(environments.python(runtime))
    try:
        return _interpreter("haswell", EMULATED["haswell"], runtime, qemu("x86_64"))
    except OSError as error:
        raise OSError(
            f"{runtime} has no wheel for {HERE}, and no x86-64 is emulated: {error}"
        ) from None


def _cannot(name: str, error: OSError, cure: str) -> OSError:
    return OSError(
        f"{name} cannot be emulated here: {error}; {cure}, or remove {name} from verify.processors"
    )


def _interpreter(name: str, processor: Processor, runtime: str, program: Path) -> Interpreter:
    emulator = [str(program), "-cpu", processor.model]
    options = ["-s", "-S"]  # without site packages Python starts in half of the time
    if processor.architecture == HERE:
        python = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
        packages = environments.packages(runtime)
        return Interpreter((*emulator, str(python), *options), _environment(packages))
    system = root(processor.architecture)
    python = next((system / "usr/bin").glob("python3.[0-9]*"))
    packages = wheels(processor.architecture, python.name.removeprefix("python"), runtime)
    if name in PARTS:
        system = root_with_cpuinfo(name, system)
    own = system / "usr/lib/python3/dist-packages"
    return Interpreter(
        (*emulator, "-L", str(system), str(python), *options), _environment(packages, own)
    )


def _environment(*packages: Path) -> dict[str, str]:
    """The environment of an emulated Python, with a byte code cache for all later starts."""
    environment = dict(os.environ)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    environment["PYTHONPATH"] = os.pathsep.join(map(str, packages))
    environment["PYTHONPYCACHEPREFIX"] = str(FOLDER / "bytecode")
    return environment


def qemu(architecture: str) -> Path:
    """QEMU's user mode for an architecture: this machine's, or else Debian's. Raises OSError."""
    static = f"qemu-{QEMU[architecture]}-static"
    reasons = []
    for name in (static, f"qemu-{QEMU[architecture]}"):
        if path := shutil.which(name):
            try:
                return new_enough(Path(path))
            except OSError as error:
                reasons.append(str(error))
    try:
        return new_enough(debian_program(static))
    except OSError as error:
        raise OSError("; ".join([*reasons, str(error)])) from None


def new_enough(program: Path) -> Path:
    """Returns `program`. Raises OSError if it cannot emulate AVX."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    version = re.search(r"version (\d+)\.(\d+)", done.stdout)
    if version is None:
        raise OSError(f"{program} does not report its version")
    if tuple(map(int, version.groups())) < OLDEST:
        raise OSError(f"{program} is {version[0]}, which cannot emulate AVX")
    return program


def debian_program(name: str) -> Path:
    """A program of Debian's package qemu-user-static, downloaded once. Raises OSError."""

    def fill(folder: Path) -> None:
        members = [f"./usr/bin/qemu-{QEMU[each]}-static" for each in QEMU]
        debian.unpack(["qemu-user-static"], folder, members=members)

    program = _made_once("qemu", fill) / "usr/bin" / name
    if not program.exists():
        raise OSError(f"Debian's package qemu-user-static has no {name}")
    return program


def root(architecture: str) -> Path:
    """The root folder of a Debian for another architecture, with Python. Raises OSError."""

    def fill(folder: Path) -> None:
        debian.unpack(
            PACKAGES[architecture], folder, architecture=DEBIAN[architecture], dependencies=True
        )
        for name in ("blas", "lapack"):  # as update-alternatives would link them
            for library in folder.glob(f"usr/lib/*/{name}/lib{name}.so.3"):
                (library.parents[1] / library.name).symlink_to(f"{name}/{library.name}")

    return _made_once(f"debian_{DEBIAN[architecture]}", fill)


def root_with_cpuinfo(name: str, system: Path) -> Path:
    """The root folder `system` with the files that describe the processor `name`."""

    def fill(folder: Path) -> None:
        for entry in system.iterdir():
            (folder / entry.name).symlink_to(entry)
        (folder / "proc").unlink(missing_ok=True)
        (folder / "sys").unlink(missing_ok=True)
        features = BASIC + (DOT_PRODUCTS if name == "cortex-a76" else "")
        files = {f"sys/devices/system/cpu/{path}": f"{value}\n" for path, value in SYSTEM.items()}
        files["proc/cpuinfo"] = CPUINFO.format(features=features, part=PARTS[name])
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(content)

    return _made_once(f"root_{name}", fill)


def wheels(architecture: str, version: str, runtime: str) -> Path:
    """The packages of a runtime for Python `version`, as a device of that architecture has them.

    Raises OSError.
    """

    def fill(folder: Path) -> None:
        left_out = ("numpy", "pillow") if architecture == "armv7l" else ()
        export = [uv.find_uv_bin(), "export", "--frozen", "--quiet", "--no-header"]
        export += ["--project", str(REQUIREMENTS), "--only-group", runtime]
        for name in ("serving", *left_out):
            export += ["--no-emit-package", name]
        if architecture == "armv7l":  # uv does not know this platform
            install = [sys.executable, "-m", "pip", "install"]
            install += ["--platform", "manylinux_2_34_armv7l", "--implementation", "cp"]
        else:
            install = [uv.find_uv_bin(), "pip", "install"]
            install += ["--python-platform", f"{architecture}-manylinux_2_34"]
        install += ["--quiet", "--python-version", version, "--only-binary", ":all:"]
        install += ["--require-hashes", "--no-deps", "--target", str(folder)]
        # Outside the project, where uv does not apply the project's constraints.
        with tempfile.TemporaryDirectory() as outside:
            requirements = Path(outside) / "requirements.txt"
            requirements.write_text(_output(export))
            _output([*install, "--requirement", str(requirements)], Path(outside))

    digest = artifacts.sha256(REQUIREMENTS / "uv.lock")[:8]
    return _made_once(f"{architecture}_{version}_{runtime}_{digest}", fill)


def _output(command: list[str], folder: Path | None = None) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environments.variables(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise OSError(" ".join(done.stderr.split())[-300:])
    return done.stdout


def _made_once(name: str, fill: Callable[[Path], None]) -> Path:
    """The folder of that name; if there is none, one process makes it atomically with `fill`."""
    folder = FOLDER / name
    if folder.exists():
        return folder
    FOLDER.mkdir(parents=True, exist_ok=True)
    with atomic.alone(FOLDER / f"{name}.lock"):
        if not folder.exists():
            print(f"emulated processors: making {folder}, once", file=sys.stderr, flush=True)
            with tempfile.TemporaryDirectory(dir=FOLDER) as temporary:
                content = Path(temporary) / "content"
                content.mkdir()
                fill(content)
                content.rename(folder)
    return folder


def main() -> None:
    """Downloads everything. A failure is only a warning here: verification reports it again."""
    settings = params.load_or_none()
    if settings is None:
        return
    needed = [partial(interpreter, *place) for place in settings.verify.places]
    needed += [partial(here_or_emulated, name) for name in settings.verify.lacking]
    for make in needed:
        try:
            make()
        except OSError as error:
            print(f"warning: {error}", file=sys.stderr)


if __name__ == "__main__":
    stage.run(main)
