"""Signatures: made by OpenSSF's model-signing, verified on the device without it; each forgery is refused."""

from __future__ import annotations

import base64
import datetime
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import environments
from serving import Bundle, BundleError, certificate, signature
from tests.conftest import ROOT, Project

Key = ec.EllipticCurvePrivateKey
BEGIN = datetime.datetime(2026, 1, 1)


def point(key: Key) -> tuple[int, int]:
    numbers = key.public_key().public_numbers()
    return numbers.x, numbers.y


def pem(folder: Path, name: str, thing: Any) -> Path:
    """Writes a private key, public key or certificate."""
    path = folder / f"{name}.pem"
    encoding = serialization.Encoding.PEM
    if isinstance(thing, ec.EllipticCurvePrivateKey):
        path.write_bytes(thing.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    elif isinstance(thing, ec.EllipticCurvePublicKey):
        path.write_bytes(thing.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo))
    else:
        path.write_bytes(thing.public_bytes(encoding))
    return path


def certify(
    key: Key, name: str, issuer: str, issuer_key: Key, *, authority: bool, begin: datetime.datetime = BEGIN, length: int | None = None
) -> x509.Certificate:
    """A certificate that says what one of its kind should."""
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign", "encipher_only", "decipher_only"),
        False,
    )
    names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)]) for text in (name, issuer)]
    return (
        x509.CertificateBuilder(names[1], names[0], key.public_key(), x509.random_serial_number(), begin, begin + datetime.timedelta(3650))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=length), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=not authority, key_cert_sign=authority, **usage), critical=True)
        .sign(issuer_key, hashes.SHA256())
    )


@settings(max_examples=25, deadline=None)
@given(message=st.binary(max_size=200), secret=st.integers(1, signature.N - 1), flip=st.integers(0, 7), place=st.integers(0, 10_000))
def test_ecdsa_agrees_with_openssl(message: bytes, secret: int, flip: int, place: int) -> None:
    key = ec.derive_private_key(secret, ec.SECP256R1())
    made = key.sign(message, ec.ECDSA(hashes.SHA256()))
    assert signature.valid(point(key), message, made)
    assert not signature.valid(point(key), message + b"!", made)
    damaged = bytearray(made)
    damaged[place % len(made)] ^= 1 << flip
    try:
        accepted = signature.valid(point(key), message, bytes(damaged))
    except ValueError:
        return
    assert not accepted


def test_the_public_key_is_read_and_other_curves_are_refused() -> None:
    for curve, allowed in ((ec.SECP256R1(), True), (ec.SECP384R1(), False), (ec.SECP256K1(), False)):
        key = ec.generate_private_key(curve)
        data = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        if allowed:
            assert certificate.public_key(data) == point(key)
        else:
            with pytest.raises(ValueError, match="P-256"):
                certificate.public_key(data)


def chain(**changes: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    """The key that a chain of three certificates vouches for, and the maker's own."""
    root, between, maker = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    certificates = [
        certify(maker, "maker", "between", changes.get("forger", between), authority=changes.get("maker_is_authority", False)),
        certify(between, "between", "authority", root, authority=changes.get("authority", True), length=changes.get("length")),
        certify(root, "authority", "authority", root, authority=True, begin=changes.get("root_begin", BEGIN)),
    ]
    leaf, middle, trusted = (item.public_bytes(serialization.Encoding.DER) for item in certificates)
    return certificate.signer([leaf, middle], [trusted]), point(maker)


def test_a_chain_is_followed_to_the_authority() -> None:
    found, maker = chain(length=0)
    assert found == maker


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"forger": ec.generate_private_key(ec.SECP256R1())}, "does not lead to the authority"),
        ({"authority": False}, "does not lead to the authority"),
        ({"root_begin": BEGIN + datetime.timedelta(1)}, "does not lead to the authority"),
        ({"maker_is_authority": True}, "is not for signing"),
    ],
)
def test_a_chain_with_a_flaw_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        chain(**changes)


class Release(NamedTuple):
    """A signed bundle and the files of its maker."""

    archive: Path
    signature: Path
    folder: Path


def keep(project: Project, folder: Path) -> Release:
    """Moves what was released out of the project, which is left as it was."""
    moved = Path(shutil.move(project.folder / "release", folder / "release"))
    return Release(next(moved.glob("*.tar.gz")), next(moved.glob("*.sig")), folder)


@pytest.fixture(scope="module")
def signed(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """By a key."""
    folder = tmp_path_factory.mktemp("signed")
    key = ec.generate_private_key(ec.SECP256R1())
    pem(folder, "public", key.public_key())
    finished.run("python", "-m", "pipeline.sign", str(pem(folder, "private", key)))
    return keep(finished, folder)


@pytest.fixture(scope="module")
def certified(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """By a key that an authority of one's own vouches for."""
    folder = tmp_path_factory.mktemp("certified")
    root, between, maker = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    pem(folder, "authority", certify(root, "authority", "authority", root, authority=True))
    key = pem(folder, "private", maker)
    leaf = pem(folder, "maker", certify(maker, "maker", "between", between, authority=False))
    middle = pem(folder, "between", certify(between, "between", "authority", root, authority=True, length=0))
    finished.run("python", "-m", "pipeline.sign", str(key), "--certificate", str(leaf), "--chain", str(middle))
    return keep(finished, folder)


@pytest.mark.slow
def test_what_model_signing_signed_is_verified_without_it(finished: Project, signed: Release, certified: Release) -> None:
    for release, trust, way in ((signed, "public.pem", "key"), (certified, "authority.pem", "certificate")):
        opened = Bundle(release.archive, trust=release.folder / trust)
        assert opened.signed
        head = finished.run("git", "rev-parse", "HEAD").strip()
        assert opened.card.provenance["git_commit"] == head
        assert head in opened.read("MODEL_CARD.md").decode()
        root = unpacked(release)
        assert Bundle(root, trust=release.folder / trust, signature=release.signature).signed
        option = "--public_key" if way == "key" else "--certificate_chain"
        command = [str(environments.python("signing")), "-m", "model_signing", "verify", way, option, str(release.folder / trust)]
        subprocess.run([*command, "--signature", str(release.signature), str(root)], check=True, capture_output=True)


def unpacked(release: Release) -> Path:
    subprocess.run(["tar", "-xzf", release.archive, "-C", release.folder], check=True)
    return release.folder / release.archive.name.removesuffix(".tar.gz")


@pytest.mark.slow
def test_the_command_line_tells_whether_the_signature_holds(signed: Release, certified: Release) -> None:
    command = [sys.executable, "-m", "serving", "check", str(signed.archive), "--format", "onnx_int8", "--trust"]
    good = subprocess.run([*command, signed.folder / "public.pem"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert good.returncode == 0
    assert "and the signature holds" in good.stdout
    bad = subprocess.run([*command, certified.folder / "authority.pem"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert bad.returncode == 1
    assert bad.stdout.startswith("This device may not run it: ")


def forged(release: Release, folder: Path, change: Any) -> Path:
    """A signature in which `change` was made to the parsed JSON."""
    content = json.loads(release.signature.read_text())
    change(content)
    (folder / "forged.sig").write_text(json.dumps(content))
    return folder / "forged.sig"


@pytest.mark.slow
def test_every_forgery_is_refused(signed: Release, certified: Release, archive: Path, tmp_path: Path) -> None:
    public, authority = signed.folder / "public.pem", certified.folder / "authority.pem"

    def rename(content: Any) -> None:
        payload = base64.b64decode(content["dsseEnvelope"]["payload"]).replace(b"tflite_int8", b"tflite_int7")
        content["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()

    other = json.loads(certified.signature.read_text())["dsseEnvelope"]["signatures"]
    (tmp_path / "short.sig").write_bytes(signed.signature.read_bytes()[:-100])
    for bundle, trust, made in (
        (signed.archive, public, certified.signature),  # wrongly signed
        (signed.archive, authority, signed.signature),
        (certified.archive, signed.folder / "public.pem", certified.signature),
        (archive, public, signed.signature),  # signed, but not this bundle: its card names no commit
        (archive, public, tmp_path / "none.sig"),  # not signed
        (signed.archive, public, tmp_path / "short.sig"),  # cut short
        (signed.archive, public, forged(signed, tmp_path, rename)),
    ):
        with pytest.raises(BundleError) as caught:
            Bundle(bundle, trust=trust, signature=made)
        assert len(str(caught.value).splitlines()) == 1
    root = unpacked(signed)
    added = root / "embedded" / "json.py"
    added.write_text("")
    with pytest.raises(BundleError, match=r"holds embedded/json.py, which its SHA256SUMS does not name"):
        Bundle(root, trust=public, signature=signed.signature)
    added.unlink()
    trusted = root / "public.pem"  # the caller's own
    trusted.write_bytes(public.read_bytes())
    assert Bundle(root, trust=trusted, signature=signed.signature).signed
    with pytest.raises(BundleError, match="was not made by the key"):
        made = forged(signed, tmp_path, lambda content: content["dsseEnvelope"].update(signatures=other))
        Bundle(signed.archive, trust=public, signature=made)
    with pytest.raises(BundleError, match="neither a certificate nor a public key"):
        (tmp_path / "text.pem").write_text("no key")
        Bundle(signed.archive, trust=tmp_path / "text.pem", signature=signed.signature)


@pytest.mark.slow
def test_what_no_commit_describes_is_not_signed(finished: Project, signed: Release) -> None:
    changed = finished.folder / "params.yaml"
    original = changed.read_bytes()
    try:
        changed.write_bytes(original + b"# changed\n")
        done = finished.attempt("python", "-m", "pipeline.sign", str(signed.folder / "private.pem"))
        missing = finished.attempt("python", "-m", "pipeline.sign", "nokey.pem")
    finally:
        changed.write_bytes(original)
    assert missing.stderr == "error: nokey.pem is no file; name a private key, certificate or chain in PEM\n"
    assert done.returncode == 1
    assert done.stderr.startswith("error: params.yaml is not committed; commit it")
    earlier = finished.folder / "release/earlier.sig"
    earlier.parent.mkdir(exist_ok=True)
    earlier.write_text("an earlier release")
    wrong = finished.attempt("python", "-m", "pipeline.sign", str(signed.folder / "public.pem"))
    assert wrong.returncode == 1
    assert "cannot sign" in wrong.stderr
    assert list(earlier.parent.iterdir()) == [earlier]
    earlier.unlink()
