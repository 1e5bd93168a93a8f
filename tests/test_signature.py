"""Signatures made by OpenSSF's model-signing and verified without it; each forgery is refused."""

from __future__ import annotations

import base64
import gzip
import json
import os
import random
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from pipeline.runtimes import environments
from serving import Bundle, BundleError, signature
from serving import archive as layout
from serving.checksums import MANIFEST, listing
from tests.conftest import EDGEPROOF, ROOT, Project
from tests.device import call
from tests.hostile_bundles import (
    MEMORY,
    OPEN,
    WRONG,
    bomb,
    opened_in_a_process,
    packed,
    places,
    replaced,
)
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


@pytest.fixture(scope="module")
def signed(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A release signed by a key."""
    folder = tmp_path_factory.mktemp("signed")
    key = ec.generate_private_key(ec.SECP256R1())
    pem(folder, "public", key.public_key())
    finished.run(*EDGEPROOF, "sign", str(pem(folder, "private", key)))
    return keep(finished, folder)


@pytest.fixture(scope="module")
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


@pytest.mark.slow
def test_a_signature_of_model_signing_is_verified_without_it(
    finished: Project, signed: Release, certified: Release
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
        root = unpacked(release)
        assert Bundle(root, trust=release.folder / trust, signature=release.signature).signed
        option = "--public_key" if way == "key" else "--certificate_chain"
        command = [environments.python("signing"), "-m", "model_signing", "verify", way]
        command += [option, release.folder / trust, "--signature", release.signature, root]
        done = call(*command)
        assert done.returncode == 0, done.stderr


def unpacked(release: Release) -> Path:
    subprocess.run(["tar", "-xzf", release.archive, "-C", release.folder], check=True)
    return release.folder / release.archive.name.removesuffix(".tar.gz")


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


def forged(release: Release, folder: Path, change: Any) -> Path:
    """The signature after `change` of its parsed JSON."""
    content = json.loads(release.signature.read_text())
    change(content)
    (folder / "forged.sig").write_text(json.dumps(content))
    return folder / "forged.sig"


@pytest.mark.slow
def test_every_forgery_is_refused(
    signed: Release, certified: Release, archive: Path, tmp_path: Path
) -> None:
    public, authority = signed.folder / "public.pem", certified.folder / "authority.pem"

    def rename(content: Any) -> None:
        payload = base64.b64decode(content["dsseEnvelope"]["payload"])
        payload = payload.replace(b"tflite_int8", b"tflite_int7")
        content["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()

    other = json.loads(certified.signature.read_text())["dsseEnvelope"]["signatures"]
    (tmp_path / "short.sig").write_bytes(signed.signature.read_bytes()[:-100])
    for bundle, trust, forgery in (
        (signed.archive, public, certified.signature),  # by another key
        (signed.archive, authority, signed.signature),
        (certified.archive, signed.folder / "public.pem", certified.signature),
        (archive, public, signed.signature),  # of another bundle: its card names no commit
        (archive, public, tmp_path / "none.sig"),  # not signed
        (signed.archive, public, tmp_path / "short.sig"),  # cut short
        (signed.archive, public, forged(signed, tmp_path, rename)),
    ):
        with pytest.raises(BundleError) as caught:
            Bundle(bundle, trust=trust, signature=forgery)
        assert len(str(caught.value).splitlines()) == 1
    root = unpacked(signed)
    added = root / "embedded" / "json.py"
    added.parent.mkdir(exist_ok=True)
    added.write_text("")
    with pytest.raises(
        BundleError, match=r"holds embedded/json.py, which its SHA256SUMS does not name"
    ):
        Bundle(root, trust=public, signature=signed.signature)
    added.unlink()
    trusted = root / "public.pem"  # the caller's own
    trusted.write_bytes(public.read_bytes())
    assert Bundle(root, trust=trusted, signature=signed.signature).signed
    with pytest.raises(BundleError, match="was not made by the trusted key"):
        forgery = forged(
            signed, tmp_path, lambda content: content["dsseEnvelope"].update(signatures=other)
        )
        Bundle(signed.archive, trust=public, signature=forgery)
    with pytest.raises(BundleError, match="neither a certificate nor a public key"):
        (tmp_path / "text.pem").write_text("no key")
        Bundle(signed.archive, trust=tmp_path / "text.pem", signature=signed.signature)


@pytest.mark.slow
def test_a_changed_signature_is_refused_in_one_sentence_or_makes_no_difference(
    signed: Release, tmp_path: Path
) -> None:
    trust, content = signed.folder / "public.pem", json.loads(signed.signature.read_text())
    whole = Bundle(signed.archive, trust=trust).digests
    texts = [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[]",
        b"{}",
        b"null",
        b"\xff",
        b"",
        b"1" * 5000,
        signed.signature.read_bytes() * 2,
    ]
    changed = [
        replaced(content, path, other)
        for path in places(content)
        for other in WRONG[: None if path else -1]
    ]
    refused = 0
    for data in [*texts, *(json.dumps(value).encode() for value in changed)]:
        (tmp_path / "changed.sig").write_bytes(data)
        try:
            opened = Bundle(signed.archive, trust=trust, signature=tmp_path / "changed.sig")
        except BundleError as error:
            refused += 1
            assert str(error).isprintable()
        else:
            assert opened.digests == whole  # the changed part is not used
    assert refused > 100


def envelope(key: ec.EllipticCurvePrivateKey, statement: bytes) -> dict[str, Any]:
    """The DSSE envelope around any statement, with a valid signature."""
    kind = signature.PAYLOAD_TYPE
    encoded = b"DSSEv1 %d %b %d %b" % (len(kind), kind.encode(), len(statement), statement)
    ecdsa = base64.b64encode(key.sign(encoded, ec.ECDSA(hashes.SHA256()))).decode()
    payload = base64.b64encode(statement).decode()
    return {"payload": payload, "payloadType": kind, "signatures": [{"sig": ecdsa}]}


@pytest.mark.slow
def test_a_signed_statement_that_names_no_files_is_refused(tmp_path: Path, archive: Path) -> None:
    """From a trusted maker who signs something else."""
    key = ec.generate_private_key(ec.SECP256R1())
    trust = pem(tmp_path, "public", key.public_key())
    for statement in (
        b"[" * 100_000,
        b"[]",
        b"{}",
        b'{"predicateType": 1, "predicate": 2}',
        b'{"predicate": []}',
        b"\xff",
    ):
        content = {"verificationMaterial": {}, "dsseEnvelope": envelope(key, statement)}
        (tmp_path / "made.sig").write_text(json.dumps(content))
        with pytest.raises(BundleError, match="is not a signature that can be trusted") as caught:
            Bundle(archive, trust=trust, signature=tmp_path / "made.sig")
        assert str(caught.value).isprintable()


@pytest.mark.slow
def test_an_error_names_what_a_signature_lacks(
    signed: Release, certified: Release, tmp_path: Path
) -> None:
    forgery = forged(signed, tmp_path, lambda content: content["dsseEnvelope"].pop("payloadType"))
    sentence = r"is not a signature that can be trusted \(it has no payloadType\); fetch it again"
    with pytest.raises(BundleError, match=sentence):
        Bundle(signed.archive, trust=signed.folder / "public.pem", signature=forgery)

    def empty_chain(content: Any) -> None:
        content["verificationMaterial"]["x509CertificateChain"]["certificates"] = []

    forgery = forged(certified, tmp_path, empty_chain)
    with pytest.raises(BundleError, match=r"\(it holds no certificate of its signer\)"):
        Bundle(certified.archive, trust=certified.folder / "authority.pem", signature=forgery)


RESOURCE = {"name": "golden.npz", "digest": "0" * 64, "algorithm": "sha256"}


@pytest.mark.parametrize(
    ("changes", "resources", "reason"),
    [
        ([], [], "it is not laid out like a signature"),
        ({"signatures": 5}, [], "it is not laid out like a signature"),
        ({"signatures": []}, [], "it has 0 signatures, expected one"),
        ({"signatures": [{"sig": "AA=="}] * 2}, [], "it has 2 signatures, expected one"),
        ({"payload": "x"}, [], "a part of it is not in base64"),
        ({}, 7, "it is not laid out like a signature"),
        ({}, [RESOURCE, {**RESOURCE, "digest": "1" * 64}], "it names a file twice"),
    ],
)
def test_what_is_wrong_with_a_signature_is_said_in_words(
    tmp_path: Path, changes: Any, resources: Any, reason: str
) -> None:
    """Without Python's own messages, and even if the trusted key has signed it."""
    key = ec.generate_private_key(ec.SECP256R1())
    predicate = {"serialization": {"method": "files"}, "resources": resources}
    statement = {"predicateType": signature.PREDICATE_TYPE, "predicate": predicate}
    whole = envelope(key, json.dumps(statement).encode())
    dsse = {**whole, **changes} if isinstance(changes, dict) else changes
    content = json.dumps({"verificationMaterial": {}, "dsseEnvelope": dsse}).encode()
    with pytest.raises(BundleError) as caught:
        signature.verify(content, pem(tmp_path, "public", key.public_key()).read_bytes(), "it.sig")
    assert f"it.sig is not a signature that can be trusted ({reason}); " in str(caught.value)


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
@pytest.mark.parametrize("bit", [stat.S_ISUID, stat.S_ISGID])
def test_a_signed_folder_may_not_hold_a_file_that_runs_as_another_user(
    signed: Release, tmp_path: Path, bit: int
) -> None:
    subprocess.run(["tar", "-xzf", signed.archive, "-C", tmp_path], check=True)
    root = tmp_path / signed.archive.name.removesuffix(".tar.gz")
    # For a folder the bit only sets the group of new files.
    root.chmod(root.stat().st_mode | stat.S_ISGID)
    assert Bundle(root, trust=signed.folder / "public.pem", signature=signed.signature).signed
    (root / "golden.npz").chmod(0o755 | bit)
    with pytest.raises(BundleError, match=r"holds golden\.npz with a set-uid or set-gid bit"):
        Bundle(root, trust=signed.folder / "public.pem", signature=signed.signature)


@pytest.mark.slow
def test_a_signed_folder_may_not_hold_other_links_and_pipes(
    signed: Release, tmp_path: Path
) -> None:
    public = signed.folder / "public.pem"
    subprocess.run(["tar", "-xzf", signed.archive, "-C", tmp_path], check=True)
    root = tmp_path / signed.archive.name.removesuffix(".tar.gz")
    assert Bundle(root, trust=public, signature=signed.signature).signed
    (root / "linked").symlink_to("/usr/lib", target_is_directory=True)
    with pytest.raises(BundleError, match="holds linked, which its SHA256SUMS does not name"):
        Bundle(root, trust=public, signature=signed.signature)
    (root / "linked").unlink()
    (root / "golden.npz").unlink()
    os.mkfifo(root / "golden.npz")
    with pytest.raises(BundleError, match=r"golden\.npz is not readable"):
        Bundle(root, trust=public, signature=signed.signature)


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


@pytest.mark.slow
def test_a_key_inside_the_work_tree_does_not_sign(finished: Project, signed: Release) -> None:
    inside = finished.folder / "private.pem"
    (signed.folder / "linked.pem").symlink_to(inside)
    try:
        shutil.copy(signed.folder / "private.pem", inside)
        assert finished.run("git", "status", "--porcelain", "--untracked-files=all") == ""
        linked = str(signed.folder / "linked.pem")
        for key in ("private.pem", str(inside), "pipeline/../private.pem", linked):
            done = finished.attempt(*EDGEPROOF, "sign", key)
            assert done.returncode == 1
            assert done.stderr.startswith(f"error: {key} is inside the work tree")
            assert len(done.stderr.splitlines()) == 1
        inside.unlink()
        inside.symlink_to(signed.folder / "private.pem")
        assert "inside the work tree" in finished.attempt(*EDGEPROOF, "sign", "private.pem").stderr
    finally:
        inside.unlink()


@pytest.mark.slow
def test_uncommitted_changes_are_not_signed(finished: Project, signed: Release) -> None:
    changed = finished.folder / "params.yaml"
    original = changed.read_bytes()
    try:
        changed.write_bytes(original + b"# changed\n")
        done = finished.attempt(*EDGEPROOF, "sign", str(signed.folder / "private.pem"))
        missing = finished.attempt(*EDGEPROOF, "sign", "nokey.pem")
    finally:
        changed.write_bytes(original)
    assert (
        missing.stderr
        == "error: nokey.pem is not a file; name a private key, certificate or chain in PEM\n"
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: params.yaml has uncommitted changes; commit it")
    earlier = finished.folder / "release/earlier.sig"
    earlier.parent.mkdir(exist_ok=True)
    earlier.write_text("an earlier release")
    wrong = finished.attempt(*EDGEPROOF, "sign", str(signed.folder / "public.pem"))
    assert wrong.returncode == 1
    assert "cannot sign" in wrong.stderr
    assert list(earlier.parent.iterdir()) == [earlier]
    earlier.unlink()
