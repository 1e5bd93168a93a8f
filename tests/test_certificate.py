"""The keys behind a signature: ECDSA, public keys, and chains of certificates."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID as Purpose
from hypothesis import given, settings
from hypothesis import strategies as st

from serving import certificate, signature
from tests.signing import NOW, certify, point


@settings(max_examples=25)
@given(
    message=st.binary(max_size=200),
    secret=st.integers(1, signature.N - 1),
    flip=st.integers(0, 7),
    place=st.integers(0, 10_000),
)
def test_ecdsa_agrees_with_openssl(message: bytes, secret: int, flip: int, place: int) -> None:
    key = ec.derive_private_key(secret, ec.SECP256R1())
    ecdsa = key.sign(message, ec.ECDSA(hashes.SHA256()))
    assert signature.valid(point(key), message, ecdsa)
    assert not signature.valid(point(key), message + b"!", ecdsa)
    damaged = bytearray(ecdsa)
    damaged[place % len(ecdsa)] ^= 1 << flip
    try:
        accepted = signature.valid(point(key), message, bytes(damaged))
    except ValueError:
        return
    assert not accepted


def test_the_public_key_is_read_and_other_curves_are_refused() -> None:
    curves = ((ec.SECP256R1(), True), (ec.SECP384R1(), False), (ec.SECP256K1(), False))
    for curve, accepted in curves:
        key = ec.generate_private_key(curve)
        text = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        if accepted:
            assert signature.public_key(text) == point(key)
        else:
            with pytest.raises(ValueError, match="P-256"):
                signature.public_key(text)


def chain(
    leaf: dict[str, Any], middle: dict[str, Any], root: dict[str, Any]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """The key that a chain of three certificates vouches for, and the maker's key."""
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
    signer, maker = chain({}, middle, {})
    assert signer == maker


DAY = datetime.timedelta(1)
EXPIRED = {"begin": NOW - 9 * DAY, "end": NOW - DAY}
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
        (0, EXPIRED, "on 20..-..-.., the date of this device: cert is not valid"),
        (0, {"begin": NOW + DAY}, "cert is not valid"),
        (1, EXPIRED, "cert is not valid"),
        (1, {"begin": NOW + DAY}, "cert is not valid"),
        (1, {"authority": False}, "must be asserted in a CA certificate|lacks keyCertSign"),
        (1, {"uses": ("digital_signature",)}, "lacks keyCertSign"),
        (
            1,
            {"purposes": (Purpose.SERVER_AUTH,)},
            "authority's extended key usage lacks codeSigning",
        ),
        (1, {"more": CONFINED}, "prohibited extension"),
        (2, EXPIRED, "cert is not valid"),
        (2, {"begin": NOW + DAY}, "cert is not valid"),
        (2, {"length": 0}, "path length"),
    ],
)
def test_a_flawed_chain_is_refused(place: int, change: dict[str, Any], reason: str) -> None:
    changes: list[dict[str, Any]] = [{}, {}, {}]
    changes[place] = dict(change)
    with pytest.raises(ValueError, match=reason):
        chain(*changes)
