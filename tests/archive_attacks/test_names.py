"""Names in an archive: those that lead outside or are ambiguous are refused."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.bundle import archive as archives
from serving import Bundle
from serving.checksums import MANIFEST, manifest
from tests.archive_attacks.conftest import tar_of
from tests.hostile_bundles import ROOT_FOLDER, Files, packed

pytestmark = [pytest.mark.slow, pytest.mark.attacks]


def test_names_that_lead_outside_or_are_ambiguous_are_refused(
    files: Files, attack: Callable[[bytes], str]
) -> None:
    outside = ("../evil", "/evil", "a/../../evil", "a//b", "./a", "a\\b", "a\nb", "\x1b[31m")
    devices = (
        "NUL",
        "nul.txt",
        "a/Con",
        "com1.tar.gz",
        "a:b",
        "a.",
        "a./b",
        "a ",
        "e\u0301",
        "\u00e9",
    )
    for name in (
        *outside,
        *devices,
        "golden.npz/a",
        "Golden.npz",
        "PICTURES/a",
        "GOLDEN.npz/a",
        MANIFEST,
        "sha256sums",
    ):
        named = {**files, name: b"x"}
        members = [(MANIFEST, manifest(named)), *sorted(named.items())]
        parts = [(f"{ROOT_FOLDER}/{member}", data) for member, data in members]
        sentence = attack(packed(tar_of(parts)))
        assert sentence.startswith("the SHA256SUMS of the bundle is damaged ("), name


def test_a_long_name_is_split_as_every_tar_reads_it(files: Files, tmp_path: Path) -> None:
    long = f"{'folder/' * 15}{'name' * 10}"
    folder = tmp_path / "mnist-digits-1.0.0"
    for name, data in {**files, long: b"long"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    archives.write(folder, tmp_path / "long.tar.gz", folder.name)
    assert Bundle(tmp_path / "long.tar.gz").read(long) == b"long"
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "xzf", "../long.tar.gz"], cwd=tmp_path / "out", check=True)
    assert (tmp_path / "out" / folder.name / long).read_bytes() == b"long"
