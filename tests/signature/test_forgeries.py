"""Each forged or broken signature is refused, and the sentence says what is wrong with it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from serving import Bundle, BundleError, signature
from tests.hostile_bundles import (
    WRONG,
    places,
    replaced,
)
from tests.signature.conftest import Release, forged, unpacked
from tests.signing import pem


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
    root = unpacked(signed, tmp_path)
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
