"""The OCI image of the model server: built from a bundle, and run by runc."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.bundle import image, oci
from pipeline.process.errors import UserError
from tests.tracking.conftest import free_port, is_up
from tests.waiting import SECONDS, wait_for

PROGRAMS = ("mmdebstrap", "umoci", "runc")
LARGEST = 120 * 10**6  # bytes
NAME = f"edgeproof-{os.getpid()}"


@pytest.fixture
def programs() -> None:
    """Root installs Debian's packages if they are missing; others skip the test."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *missing]
        subprocess.run(install, capture_output=True, check=False)
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs root, and Debian's {', '.join(PROGRAMS)}")


@contextmanager
def container(folder: Path, bundle: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The image unpacked in `folder`, running on a port of loopback with this bundle.

    Its file system is read-only and it has no capability; the user, the command and the rest are
    the image's.
    """
    settings = folder / "config.json"
    config = json.loads(settings.read_text("utf-8"))
    assert config["process"]["user"] == {"uid": image.USER, "gid": image.USER}
    config["process"].update(terminal=False, capabilities={})
    config["process"]["args"] += ["--host", "127.0.0.1", "--port", str(port)]
    config["root"]["readonly"] = True
    config["linux"].pop("resources", None)
    kept = [each for each in config["linux"]["namespaces"] if each["type"] != "network"]
    config["linux"]["namespaces"] = kept  # loopback is this machine's
    models = {"destination": image.MODELS, "source": str(bundle), "type": "bind"}
    config["mounts"].append({**models, "options": ["rbind", "ro"]})
    settings.write_text(json.dumps(config), "utf-8")
    process = subprocess.Popen(["runc", "run", "--bundle", folder, NAME])
    try:
        yield process
    finally:
        subprocess.run(["runc", "kill", NAME, "KILL"], capture_output=True, check=False)
        process.wait(SECONDS)


def inside(code: str) -> str:
    """What Python prints in the running container."""
    command = ["runc", "exec", NAME, "/usr/bin/python3.11", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.long
def test_the_image_is_small_and_predicts_read_only_and_without_root(
    programs: None, archive: Path, bundle: Path, tmp_path: Path
) -> None:
    size = image.build(archive, tmp_path / "image")
    assert size < LARGEST
    tag = json.loads((tmp_path / "image/index.json").read_text("utf-8"))["manifests"][0]
    version = tag["annotations"]["org.opencontainers.image.ref.name"]
    layout, run = tmp_path / "image", tmp_path / "run"
    unpack: list[str | Path] = ["umoci", "unpack", "--image", f"{layout}:{version}", run]
    subprocess.run(unpack, check=True, capture_output=True)
    assert not [*(tmp_path / "run/rootfs").rglob("bin/*sh")]
    for path in (bundle, *bundle.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    photo = (bundle / "photos/as-it-is.png").read_bytes()
    with container(tmp_path / "run", bundle, port) as process:
        wait_for(lambda: is_up(f"{url}/v2/health/ready"), process)
        with urllib.request.urlopen(f"{url}/predict", photo) as response:
            answer = json.load(response)
        assert answer["class"] == predicted(bundle, bundle / "photos/as-it-is.png")
        assert inside("import os; print(os.getuid())") == str(image.USER)
        for place in ("/written", "/tmp/written", f"{image.MODELS}/written"):
            refused = f"open({place!r}, 'w')"
            code = f"try:\n {refused}\nexcept OSError as error:\n print(error.strerror)"
            assert inside(code) == "Read-only file system"
        subprocess.run(["runc", "kill", NAME, "TERM"], check=True)
        assert process.wait(SECONDS) == 0


def predicted(bundle: Path, photo: Path) -> str:
    """The class that `serving predict` gives the photo here."""
    command: list[str | Path] = [sys.executable, "-m", "serving", "predict", bundle, photo]
    command += ["--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return str(json.loads(done.stdout)["class"])


def test_equal_files_give_an_equal_image_and_each_blob_is_named_by_its_hash(
    tmp_path: Path,
) -> None:
    layer = tmp_path / "layer.tar"
    with tarfile.open(layer, "w") as tar:
        tar.add(Path(__file__), "test.py")
    sizes = [
        oci.write(tmp_path / name, "1.0", layer, "amd64", image.CONFIG) for name in ("one", "two")
    ]
    assert sizes[0] == sizes[1]
    first, second = (
        sorted(path for path in (tmp_path / name).rglob("*")) for name in ("one", "two")
    )
    assert [path.relative_to(tmp_path / "one") for path in first] == [
        path.relative_to(tmp_path / "two") for path in second
    ]
    for path, other in zip(first, second, strict=True):
        if path.is_file():
            assert path.read_bytes() == other.read_bytes()
            if path.parent.name == "sha256":
                assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name


def test_a_missing_program_is_named_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="on Debian: apt-get install mmdebstrap"):
        image.build(tmp_path / "bundle.tar.gz", tmp_path / "image")
