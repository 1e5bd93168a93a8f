"""Signatures: made by OpenSSF's model-signing, verified on the device without it; each forgery is refused."""

from __future__ import annotations

import base64
import datetime
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
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID as Purpose
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.runtimes import environments
from serving import Bundle, BundleError, certificate, signature
from serving import archive as layout
from serving.bundle import MANIFEST, listing
from tests.conftest import EDGEPROOF, ROOT, Project
from tests.test_bundle_attacks import MEMORY, OPEN, WRONG, bomb, packed, places, replaced

Key = ec.EllipticCurvePrivateKey
NOW = datetime.datetime.now(datetime.UTC)
BEGIN, END = NOW - datetime.timedelta(1), NOW + datetime.timedelta(1)
USES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def point(key: Key) -> tuple[int, int]:
    numbers = key.public_key().public_numbers()
    return numbers.x, numbers.y


def pem(folder: Path, name: str, thing: Any) -> Path:
    """Writes a private key, public key or certificate."""
    path = folder / f"{name}.pem"
    encoding = serialization.Encoding.PEM
    if isinstance(thing, ec.EllipticCurvePrivateKey):
        path.write_bytes(
            thing.private_bytes(
                encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    elif isinstance(thing, ec.EllipticCurvePublicKey):
        path.write_bytes(
            thing.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
    else:
        path.write_bytes(thing.public_bytes(encoding))
    return path


def certify(
    key: Key,
    name: str,
    issuer: str,
    issuer_key: Key,
    *,
    authority: bool,
    begin: datetime.datetime = BEGIN,
    end: datetime.datetime = END,
    length: int | None = None,
    uses: tuple[str, ...] | None = None,
    purposes: tuple[x509.ObjectIdentifier, ...] | None = None,
    more: x509.ExtensionType | None = None,
) -> x509.Certificate:
    """A certificate that says what one of its kind should, where nothing else is named."""
    names = [
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)]) for text in (name, issuer)
    ]
    usual = ("key_cert_sign",) if authority else ("digital_signature",)
    usage = {use: use in (usual if uses is None else uses) for use in USES}
    purposes = (() if authority else (Purpose.CODE_SIGNING,)) if purposes is None else purposes
    builder = x509.CertificateBuilder(
        names[1], names[0], key.public_key(), x509.random_serial_number(), begin, end
    )
    builder = builder.add_extension(
        x509.BasicConstraints(ca=authority, path_length=length), critical=True
    )
    if uses != ():
        builder = builder.add_extension(x509.KeyUsage(**usage), critical=True)
    if purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    if more:
        builder = builder.add_extension(more, critical=True)
    return builder.sign(issuer_key, hashes.SHA256())


@settings(max_examples=25, deadline=None)
@given(
    message=st.binary(max_size=200),
    secret=st.integers(1, signature.N - 1),
    flip=st.integers(0, 7),
    place=st.integers(0, 10_000),
)
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
    for curve, allowed in (
        (ec.SECP256R1(), True),
        (ec.SECP384R1(), False),
        (ec.SECP256K1(), False),
    ):
        key = ec.generate_private_key(curve)
        text = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        if allowed:
            assert signature.public_key(text) == point(key)
        else:
            with pytest.raises(ValueError, match="P-256"):
                signature.public_key(text)


def chain(
    leaf: dict[str, Any], middle: dict[str, Any], root: dict[str, Any]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """The key that a chain of three certificates vouches for, and the maker's own."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
    maker, between, authority = keys[0], keys[1], keys[2]
    certificates = [
        certify(
            maker, "maker", "between", leaf.pop("forger", between), **{"authority": False, **leaf}
        ),
        certify(between, "between", "authority", authority, **{"authority": True, **middle}),
        certify(authority, "authority", "authority", authority, **{"authority": True, **root}),
    ]
    encoded = [item.public_bytes(serialization.Encoding.DER) for item in certificates[:2]]
    trusted = certificates[2].public_bytes(serialization.Encoding.PEM)
    return certificate.signer(encoded, trusted), point(maker)


@pytest.mark.parametrize(
    "middle", [{}, {"length": 0}, {"purposes": (Purpose.CODE_SIGNING,)}, {"uses": ()}]
)
def test_a_chain_is_followed_to_the_authority(middle: dict[str, Any]) -> None:
    found, maker = chain({}, middle, {})
    assert found == maker


DAY = datetime.timedelta(1)
CONFINED = x509.NameConstraints([x509.DirectoryName(x509.Name([]))], None)


@pytest.mark.parametrize(
    ("place", "change", "reason"),
    [
        (0, {"forger": ec.generate_private_key(ec.SECP256R1())}, "signature does not match"),
        (0, {"authority": True}, "lacks digitalSignature|an authority's own certificate"),
        (0, {"authority": True, "uses": ("digital_signature",)}, "an authority's own certificate"),
        (0, {"purposes": (Purpose.SERVER_AUTH,)}, "lacks codeSigning"),
        (0, {"purposes": (Purpose.SERVER_AUTH, Purpose.CLIENT_AUTH)}, "lacks codeSigning"),
        (0, {"purposes": (Purpose.ANY_EXTENDED_KEY_USAGE,)}, "lacks codeSigning"),
        (0, {"purposes": ()}, "lacks codeSigning"),
        (0, {"uses": ("key_encipherment",)}, "lacks digitalSignature"),
        (0, {"uses": ()}, "lacks digitalSignature"),
        (
            0,
            {"begin": NOW - 9 * DAY, "end": NOW - DAY},
            "on 20..-..-.., the date of this device: cert is not valid",
        ),
        (0, {"begin": NOW + DAY}, "cert is not valid"),
        (1, {"begin": NOW - 9 * DAY, "end": NOW - DAY}, "cert is not valid"),
        (1, {"begin": NOW + DAY}, "cert is not valid"),
        (1, {"authority": False}, "must be asserted in a CA certificate|lacks keyCertSign"),
        (1, {"uses": ("digital_signature",)}, "lacks keyCertSign"),
        (
            1,
            {"purposes": (Purpose.SERVER_AUTH,)},
            "an authority's extended key usage lacks codeSigning",
        ),
        (1, {"more": CONFINED}, "prohibited extension"),
        (2, {"begin": NOW - 9 * DAY, "end": NOW - DAY}, "cert is not valid"),
        (2, {"begin": NOW + DAY}, "cert is not valid"),
        (2, {"length": 0}, "path length"),
    ],
)
def test_a_chain_with_a_flaw_is_refused(place: int, change: dict[str, Any], reason: str) -> None:
    changes: list[dict[str, Any]] = [{}, {}, {}]
    changes[place] = dict(change)
    with pytest.raises(ValueError, match=reason):
        chain(*changes)


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
    finished.run(*EDGEPROOF, "sign", str(pem(folder, "private", key)))
    return keep(finished, folder)


@pytest.fixture(scope="module")
def certified(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """By a key that an authority of one's own vouches for."""
    folder = tmp_path_factory.mktemp("certified")
    root, between, maker = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    pem(folder, "authority", certify(root, "authority", "authority", root, authority=True))
    key = pem(folder, "private", maker)
    leaf = pem(folder, "maker", certify(maker, "maker", "between", between, authority=False))
    middle = pem(
        folder, "between", certify(between, "between", "authority", root, authority=True, length=0)
    )
    finished.run(
        "python",
        "-m",
        "pipeline.bundle.sign",
        str(key),
        "--certificate",
        str(leaf),
        "--chain",
        str(middle),
    )
    return keep(finished, folder)


@pytest.mark.slow
def test_what_model_signing_signed_is_verified_without_it(
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
        command = [
            str(environments.python("signing")),
            "-m",
            "model_signing",
            "verify",
            way,
            option,
            str(release.folder / trust),
        ]
        subprocess.run(
            [*command, "--signature", str(release.signature), str(root)],
            check=True,
            capture_output=True,
        )


def unpacked(release: Release) -> Path:
    subprocess.run(["tar", "-xzf", release.archive, "-C", release.folder], check=True)
    return release.folder / release.archive.name.removesuffix(".tar.gz")


@pytest.mark.slow
def test_the_command_line_tells_whether_the_signature_holds(
    signed: Release, certified: Release
) -> None:
    command = [
        sys.executable,
        "-m",
        "serving",
        "check",
        str(signed.archive),
        "--format",
        "onnx_int8",
        "--trust",
    ]
    good = subprocess.run(
        [*command, signed.folder / "public.pem"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert good.returncode == 0
    assert "and the signature holds" in good.stdout
    bad = subprocess.run(
        [*command, certified.folder / "authority.pem"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert bad.returncode == 1
    assert bad.stdout.startswith("This device may not run it: ")


def forged(release: Release, folder: Path, change: Any) -> Path:
    """A signature in which `change` was made to the parsed JSON."""
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
        payload = base64.b64decode(content["dsseEnvelope"]["payload"]).replace(
            b"tflite_int8", b"tflite_int7"
        )
        content["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()

    other = json.loads(certified.signature.read_text())["dsseEnvelope"]["signatures"]
    (tmp_path / "short.sig").write_bytes(signed.signature.read_bytes()[:-100])
    for bundle, trust, made in (
        (signed.archive, public, certified.signature),  # wrongly signed
        (signed.archive, authority, signed.signature),
        (certified.archive, signed.folder / "public.pem", certified.signature),
        (
            archive,
            public,
            signed.signature,
        ),  # signed, but not this bundle: its card names no commit
        (archive, public, tmp_path / "none.sig"),  # not signed
        (signed.archive, public, tmp_path / "short.sig"),  # cut short
        (signed.archive, public, forged(signed, tmp_path, rename)),
    ):
        with pytest.raises(BundleError) as caught:
            Bundle(bundle, trust=trust, signature=made)
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
    with pytest.raises(BundleError, match="was not made by the key"):
        made = forged(
            signed, tmp_path, lambda content: content["dsseEnvelope"].update(signatures=other)
        )
        Bundle(signed.archive, trust=public, signature=made)
    with pytest.raises(BundleError, match="neither a certificate nor a public key"):
        (tmp_path / "text.pem").write_text("no key")
        Bundle(signed.archive, trust=tmp_path / "text.pem", signature=signed.signature)


@pytest.mark.slow
def test_a_signature_is_the_very_one_or_it_is_refused_in_one_sentence(
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
            assert opened.digests == whole  # what was changed is a part that nobody relies on
    assert refused > 100


@pytest.mark.slow
def test_the_statement_that_was_signed_names_files_or_is_refused(
    tmp_path: Path, archive: Path
) -> None:
    """By a maker who is trusted, and signs something else."""
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
        encoded = b"DSSEv1 %d %b %d %b" % (
            len(signature.PAYLOAD_TYPE),
            signature.PAYLOAD_TYPE.encode(),
            len(statement),
            statement,
        )
        made = base64.b64encode(key.sign(encoded, ec.ECDSA(hashes.SHA256()))).decode()
        payload = base64.b64encode(statement).decode()
        envelope = {
            "payload": payload,
            "payloadType": signature.PAYLOAD_TYPE,
            "signatures": [{"sig": made}],
        }
        (tmp_path / "made.sig").write_text(
            json.dumps({"verificationMaterial": {}, "dsseEnvelope": envelope})
        )
        with pytest.raises(BundleError, match="is no signature that can be trusted") as caught:
            Bundle(archive, trust=trust, signature=tmp_path / "made.sig")
        assert str(caught.value).isprintable()


@pytest.mark.slow
def test_what_a_signature_lacks_is_named(
    signed: Release, certified: Release, tmp_path: Path
) -> None:
    made = forged(signed, tmp_path, lambda content: content["dsseEnvelope"].pop("payloadType"))
    with pytest.raises(
        BundleError,
        match=r"is no signature that can be trusted \(it has no payloadType\); fetch it again",
    ):
        Bundle(signed.archive, trust=signed.folder / "public.pem", signature=made)
    made = forged(
        certified,
        tmp_path,
        lambda content: content["verificationMaterial"]["x509CertificateChain"].update(
            certificates=[]
        ),
    )
    with pytest.raises(BundleError, match=r"\(it holds no certificate of its signer\)"):
        Bundle(certified.archive, trust=certified.folder / "authority.pem", signature=made)


@pytest.mark.slow
def test_of_what_was_not_signed_no_more_is_unpacked_than_the_list_of_checksums(
    signed: Release, tmp_path: Path
) -> None:
    opened = Bundle(signed.archive)
    files = {name: opened.read(name) for name in opened.digests}
    path = tmp_path / "bomb.tar.gz"
    path.write_bytes(bomb(files, 1 << 30, 1))
    arguments = [str(path), str(signed.folder / "public.pem"), str(signed.signature)]
    done = subprocess.run(
        [sys.executable, "-c", OPEN, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    sentence, memory = done.stdout.splitlines()
    assert "is not the bundle that was signed" in sentence
    assert int(memory) < MEMORY
    path.write_bytes(b"no archive at all")
    with pytest.raises(BundleError, match="is not signed"):
        Bundle(path, trust=arguments[1])


@pytest.mark.slow
def test_of_a_file_that_is_not_the_signed_one_little_is_in_memory(
    signed: Release, tmp_path: Path
) -> None:
    """Behind the genuine list of checksums."""
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
    done = subprocess.run(
        [sys.executable, "-c", OPEN, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    sentence, memory = done.stdout.splitlines()
    assert f"{first} is damaged" in sentence
    assert int(memory) < MEMORY // 2


@pytest.mark.slow
def test_a_signature_is_not_looked_at_without_a_key_and_an_older_version_is_refused_where_that_is_asked(
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
def test_a_folder_that_was_signed_holds_no_file_that_runs_as_another_user(
    signed: Release, tmp_path: Path, bit: int
) -> None:
    subprocess.run(["tar", "-xzf", signed.archive, "-C", tmp_path], check=True)
    root = tmp_path / signed.archive.name.removesuffix(".tar.gz")
    root.chmod(
        root.stat().st_mode | stat.S_ISGID
    )  # of a folder it only says which group new files have
    assert Bundle(root, trust=signed.folder / "public.pem", signature=signed.signature).signed
    (root / "golden.npz").chmod(0o755 | bit)
    with pytest.raises(BundleError, match=r"holds golden\.npz with a set-uid or set-gid bit"):
        Bundle(root, trust=signed.folder / "public.pem", signature=signed.signature)


@pytest.mark.slow
def test_a_folder_that_was_signed_holds_no_links_and_pipes_beside_it(
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
def test_certificates_need_a_package_and_a_key_none(signed: Release, certified: Release) -> None:
    """A runtime's own environment is as a device has it."""
    python = Path(sys.prefix) / "runtimes/onnxruntime/bin/python"
    for release, trust in ((signed, "public.pem"), (certified, "authority.pem")):
        done = subprocess.run(
            [python, "-c", OPEN, release.archive, release.folder / trust],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert (
            "install serving[certificates], or trust the maker's public key" in done.stdout
        ) == (release is certified)


@pytest.mark.slow
def test_a_key_inside_the_work_tree_does_not_sign(finished: Project, signed: Release) -> None:
    inside = finished.folder / "private.pem"
    (signed.folder / "linked.pem").symlink_to(inside)
    try:
        shutil.copy(signed.folder / "private.pem", inside)
        assert finished.run("git", "status", "--porcelain", "--untracked-files=all") == ""
        for key in (
            "private.pem",
            str(inside),
            "pipeline/../private.pem",
            str(signed.folder / "linked.pem"),
        ):
            done = finished.attempt(*EDGEPROOF, "sign", key)
            assert done.returncode == 1
            assert done.stderr.startswith(f"error: {key} lies inside the work tree")
            assert len(done.stderr.splitlines()) == 1
        inside.unlink()
        inside.symlink_to(signed.folder / "private.pem")
        assert "inside the work tree" in finished.attempt(*EDGEPROOF, "sign", "private.pem").stderr
    finally:
        inside.unlink()


@pytest.mark.slow
def test_what_no_commit_describes_is_not_signed(finished: Project, signed: Release) -> None:
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
        == "error: nokey.pem is no file; name a private key, certificate or chain in PEM\n"
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: params.yaml is not committed; commit it")
    earlier = finished.folder / "release/earlier.sig"
    earlier.parent.mkdir(exist_ok=True)
    earlier.write_text("an earlier release")
    wrong = finished.attempt(*EDGEPROOF, "sign", str(signed.folder / "public.pem"))
    assert wrong.returncode == 1
    assert "cannot sign" in wrong.stderr
    assert list(earlier.parent.iterdir()) == [earlier]
    earlier.unlink()
