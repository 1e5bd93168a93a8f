"""An OCI image of the model server, made without a registry, a daemon or root: `make image`.

    python -m pipeline.bundle.image

Reads the wheel of `serving` and the pinned requirements in the bundle in dist/. Writes image/, an
OCI layout. In it are Debian's Python 3.11, `serving` and ONNX Runtime, and no shell. Bundles are
not in it: the container gets them in MODELS.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pipeline.bundle import archive, oci
from pipeline.files import artifacts
from pipeline.files.reports.package import PackageReport
from pipeline.process import stage
from pipeline.process.errors import UserError
from serving.errors import ServingError

FOLDER = Path("image")
RUNTIME = "onnxruntime"
MODELS = "/mnt/models"  # where KServe puts a model
PORT = 8080  # KServe's
USER = 65532  # "nonroot", as images without a distribution number it
SUITE, PACKAGES = "bookworm", ("python3.11-minimal", "libpython3.11-stdlib", "libstdc++6")
SITE = "usr/local/lib/python3.11/dist-packages"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
KEPT = ("usr/bin/python3.11", "usr/lib/", "lib/", "lib64", "etc/python3.11")
LEFT_OUT = (
    *("lib/systemd", "usr/lib/binfmt.d", "usr/lib/mime", "usr/lib/x86_64-linux-gnu/gconv"),
    *(f"usr/lib/python3.11/{name}" for name in ("distutils", "lib2to3", "pydoc_data", "turtle.py")),
)
# A container's file system is read-only, so what is mounted needs a place.
PLACES = ("dev", "etc", "proc", "sys", "tmp", "mnt", MODELS.strip("/"))
CONFIG = {
    "User": f"{USER}:{USER}",
    "Entrypoint": ["/usr/bin/python3.11", "-m", "serving"],
    "Cmd": ["serve", MODELS, "--host", "0.0.0.0", "--port", str(PORT)],
    "Env": ["PATH=/usr/bin", "PYTHONUNBUFFERED=1"],
    "ExposedPorts": {f"{PORT}/tcp": {}},
    "WorkingDir": "/",
}


def build(packed: Path, folder: Path) -> int:
    """Writes the image into `folder`; returns its size in bytes. Raises UserError."""
    architecture = ARCHITECTURES.get(platform.machine())
    if architecture is None or shutil.which("mmdebstrap") is None:
        raise UserError(
            "the image needs mmdebstrap on x86-64 or 64-bit Arm; on Debian: apt-get install "
            "mmdebstrap"
        )
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        debian, packages, layer = work / "debian.tar", work / "packages", work / "layer.tar"
        include = f"--include={','.join(PACKAGES)}"
        _run("mmdebstrap", "--quiet", "--variant=extract", include, SUITE, debian)
        version = _install(packed, work, packages)
        _pack(debian, packages, layer)
        size = oci.write(work / "image", version, layer, architecture, CONFIG)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.move(work / "image", folder)
    return size


def _install(packed: Path, work: Path, packages: Path) -> str:
    """Installs what the bundle pins, with its hashes; returns the version of `serving`."""
    try:
        files = archive.unpack(packed, work)
    except ServingError as error:
        raise UserError(str(error)) from None
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile"]
    command += ["--require-hashes", "--only-binary=:all:", "--target", str(packages)]
    for name in (RUNTIME, "http"):
        command += ["--requirement", f"requirements/{name}.txt"]
    _run(*command, cwd=files)
    (wheel,) = (files / "wheels").iterdir()
    return wheel.name.split("-")[1]


def _run(*command: str | Path, cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"{command[0]} failed: {' '.join(done.stderr.split())[-300:]}")


def _pack(debian: Path, packages: Path, target: Path) -> None:
    """Writes the file system: equal packages give equal bytes."""
    with tarfile.open(debian) as source, tarfile.open(target, "w") as tar:
        for info in _kept(source):
            data = source.extractfile(info) if info.isreg() else None
            tar.addfile(_plain(info), data)
        for place in PLACES:
            tar.addfile(_folder(place))
        tar.add(packages, SITE, filter=_ours)


def _kept(source: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for info in sorted(source, key=lambda each: each.name):
        info.name, info.linkname = info.name.removeprefix("./"), info.linkname.removeprefix("./")
        if info.name.startswith(KEPT) and not info.name.startswith(LEFT_OUT):
            yield info


def _ours(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """A file of a package; not its tests, its programs, or where it was installed from."""
    parts = Path(info.name).relative_to(SITE).parts
    if (
        "tests" in parts
        or parts[:1] == ("bin",)
        or parts[-1:] in (("direct_url.json",), ("RECORD",))
    ):
        return None
    info.mode = 0o755 if info.isdir() or info.mode & 0o100 else 0o644
    return _plain(info)


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = ""
    return info


def _folder(name: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
    return info


def main() -> None:
    packed = artifacts.DIST / PackageReport.load().file  # there is none if a gate failed
    print("making the image, which takes about a minute", flush=True)
    size = build(packed, FOLDER)
    print(f"{FOLDER}/ is an OCI image of {size / 10**6:.1f} MB")


if __name__ == "__main__":
    stage.run(main)
