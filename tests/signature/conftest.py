"""Releases that are signed, by a key or by a certificate, and forgeries of them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.conftest import EDGEPROOF, Project
from tests.signing import certify, pem


class Release(NamedTuple):
    """A signed bundle and the files of its maker."""

    archive: Path
    signature: Path
    folder: Path


def keep(project: Project, folder: Path) -> Release:
    """Moves the release out of the project, which is left unchanged."""
    moved = Path(shutil.move(project.folder / "release", folder / "release"))
    return Release(next(moved.glob("*.tar.gz")), next(moved.glob("*.sig")), folder)


@pytest.fixture(scope="session")
def signed(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A release signed by a key."""
    folder = tmp_path_factory.mktemp("signed")
    key = ec.generate_private_key(ec.SECP256R1())
    pem(folder, "public", key.public_key())
    finished.run(*EDGEPROOF, "sign", str(pem(folder, "private", key)))
    return keep(finished, folder)


@pytest.fixture(scope="session")
def certified(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A release signed by a key that a private authority vouches for."""
    folder = tmp_path_factory.mktemp("certified")
    root, between, maker = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    pem(folder, "authority", certify(root, "authority", "authority", root, authority=True))
    key = pem(folder, "private", maker)
    leaf = pem(folder, "maker", certify(maker, "maker", "between", between, authority=False))
    middle = pem(
        folder, "between", certify(between, "between", "authority", root, authority=True, length=0)
    )
    arguments = [str(key), "--certificate", str(leaf), "--chain", str(middle)]
    finished.run(*EDGEPROOF, "sign", *arguments)
    return keep(finished, folder)


def unpacked(release: Release, folder: Path) -> Path:
    """The bundle as a folder of the test's own, which it may change."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["tar", "-xzf", release.archive, "-C", folder], check=True)
    return folder / release.archive.name.removesuffix(".tar.gz")


def forged(release: Release, folder: Path, change: Any) -> Path:
    """The signature after `change` of its parsed JSON."""
    content = json.loads(release.signature.read_text())
    change(content)
    (folder / "forged.sig").write_text(json.dumps(content))
    return folder / "forged.sig"
