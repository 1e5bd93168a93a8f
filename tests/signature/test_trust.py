"""Signatures made by OpenSSF's model-signing are verified without it, on any device."""

from __future__ import annotations

import gzip
import random
import sys
from pathlib import Path

import pytest

from pipeline.runtimes import environments
from serving import Bundle, BundleError
from serving import archive as layout
from serving.checksums import MANIFEST, listing
from tests.conftest import ROOT, Project
from tests.device import call
from tests.hostile_bundles import (
    MEMORY,
    OPEN,
    bomb,
    opened_in_a_process,
    packed,
)
from tests.signature.conftest import Release, unpacked


@pytest.mark.slow
def test_a_signature_of_model_signing_is_verified_without_it(
    finished: Project, signed: Release, certified: Release, tmp_path: Path
) -> None:
    for release, trust, way in (
        (signed, "public.pem", "key"),
        (certified, "authority.pem", "certificate"),
    ):
        opened = Bundle(release.archive, trust=release.folder / trust)
        assert opened.signed
        head = finished.run("git", "rev-parse", "HEAD").strip()
        assert opened.card.provenance["git_commit"] == head
        assert head in opened.read("MODEL_CARD.md").decode()
        root = unpacked(release, tmp_path / way)
        assert Bundle(root, trust=release.folder / trust, signature=release.signature).signed
        option = "--public_key" if way == "key" else "--certificate_chain"
        command = [environments.python("signing"), "-m", "model_signing", "verify", way]
        command += [option, release.folder / trust, "--signature", release.signature, root]
        done = call(*command)
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_command_line_reports_whether_the_signature_holds(
    signed: Release, certified: Release
) -> None:
    command = [sys.executable, "-m", "serving", "check", signed.archive, "--format", "onnx_int8"]
    good = call(*command, "--trust", signed.folder / "public.pem", cwd=ROOT)
    assert good.returncode == 0
    assert "and the signature holds" in good.stdout
    bad = call(*command, "--trust", certified.folder / "authority.pem", cwd=ROOT)
    assert bad.returncode == 1
    assert bad.stdout.startswith("This device may not run it: ")


@pytest.mark.slow
def test_of_an_unsigned_archive_only_the_list_of_checksums_is_unpacked(
    signed: Release, tmp_path: Path
) -> None:
    opened = Bundle(signed.archive)
    files = {name: opened.read(name) for name in opened.digests}
    path = tmp_path / "bomb.tar.gz"
    path.write_bytes(bomb(files, 1 << 30, 1))
    arguments = [str(path), str(signed.folder / "public.pem"), str(signed.signature)]
    sentence, memory = opened_in_a_process(*arguments)
    assert "is not the bundle that was signed" in sentence
    assert memory < MEMORY
    tar = gzip.decompress(signed.archive.read_bytes())
    path.write_bytes(packed(tar.replace(b"  MODEL_CARD.md", b" *MODEL_CARD.md", 1)))
    with pytest.raises(BundleError, match="is not the bundle that was signed"):  # nor is it parsed
        Bundle(path, trust=arguments[1], signature=arguments[2])
    path.write_bytes(b"no archive at all")
    with pytest.raises(BundleError, match="is not signed"):
        Bundle(path, trust=arguments[1])


@pytest.mark.slow
def test_a_large_file_that_was_not_signed_takes_little_memory(
    signed: Release, tmp_path: Path
) -> None:
    """It follows the genuine list of checksums."""
    opened = Bundle(signed.archive)
    root, first = signed.archive.name.removesuffix(".tar.gz"), next(iter(opened.digests))
    listed = listing(opened.digests)
    content = random.Random(0).randbytes(12 << 20) + bytes(80 << 20)
    parts = [
        layout.header(f"{root}/{name}", len(data)) + data + layout.filling(len(data))
        for name, data in ((MANIFEST, listed), (first, content))
    ]
    path = tmp_path / "other.tar.gz"
    path.write_bytes(packed(b"".join(parts)))
    arguments = [str(path), str(signed.folder / "public.pem"), str(signed.signature)]
    sentence, memory = opened_in_a_process(*arguments)
    assert f"{first} is damaged" in sentence
    assert memory < MEMORY // 2


@pytest.mark.slow
def test_a_signature_without_a_key_is_refused_and_an_older_version_only_on_request(
    signed: Release,
) -> None:
    with pytest.raises(BundleError, match=r"is checked only with --trust; name the maker"):
        Bundle(signed.archive, signature=signed.signature)
    assert Bundle(signed.archive, at_least="1.0").card.version == "1.0.0"
    with pytest.raises(
        BundleError, match=r"has version 1\.0\.0, older than 1\.0\.1; fetch a newer bundle"
    ):
        Bundle(signed.archive, at_least="1.0.1")


@pytest.mark.slow
def test_certificates_need_a_package_and_a_public_key_does_not(
    signed: Release, certified: Release
) -> None:
    """The environment of a runtime is like a device's."""
    python = Path(sys.prefix) / "runtimes/onnxruntime/bin/python"
    for release, trust in ((signed, "public.pem"), (certified, "authority.pem")):
        done = call(python, "-c", OPEN, release.archive, release.folder / trust, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        cure = "install requirements/certificates.txt of the bundle, or trust"
        assert (cure in done.stdout) == (release is certified)
