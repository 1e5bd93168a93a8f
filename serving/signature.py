"""Verifies signatures of OpenSSF's model-signing. For a public key the standard library is enough.

The signature is a Sigstore bundle (JSON): a DSSE envelope around an in-toto statement that names
every file with its SHA-256. It is signed with ECDSA on P-256 (FIPS 186-5), by the maker's own key
or one that a certificate authority vouches for. Nothing here is secret, so nothing needs to run in
constant time.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any, Dict, Optional, Tuple

from serving import typed_json
from serving.errors import BundleError

PAYLOAD_TYPE = "application/vnd.in-toto+json"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"

# P-256: y^2 = x^3 - 3x + B modulo P, base point G of order N (NIST SP 800-186, section 3.2.1.3)
P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)

# The DER of a P-256 SubjectPublicKeyInfo before the 64 bytes of its point (RFC 5480)
P256_KEY = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")

Point = Optional[Tuple[int, int]]  # None is the point at infinity


def verify(envelope: bytes, pem: bytes, name: str) -> Dict[str, str]:
    """The SHA-256 of every file that the signature `envelope` covers, by name.

    `pem` holds the maker's public key or the certificates of authorities. Raises BundleError unless
    it vouches for the signature, which errors call `name`.
    """
    try:
        bundle = typed_json.loads(envelope)
        dsse = bundle["dsseEnvelope"]
        if len(dsse["signatures"]) != 1:
            raise ValueError(f"it has {len(dsse['signatures'])} signatures, expected one")
        payload, ecdsa = _decoded(dsse["payload"]), _decoded(dsse["signatures"][0]["sig"])
        key = _key(pem, bundle["verificationMaterial"])
        signed = _pre_authentication_encoding(dsse["payloadType"], payload)
        if dsse["payloadType"] != PAYLOAD_TYPE or not valid(key, signed, ecdsa):
            raise BundleError(
                f"{name} was not made by the trusted key; "
                "ask the maker for a signature, or for the right key"
            )
        return _files(typed_json.loads(payload))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(
            f"{name} is not a signature that can be trusted ({_reason(error)}); "
            "fetch it again, or trust another key"
        ) from None


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"it has no {error.args[0]}"
    return str(error) if isinstance(error, ValueError) else "it is not laid out like a signature"


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError("a part of it is not in base64") from None


def _key(pem: bytes, material: Any) -> Tuple[int, int]:
    """The public key in `pem`, or the signer's if an authority in `pem` vouches for it."""
    if b"-----BEGIN CERTIFICATE-----" not in pem:
        return public_key(pem)
    try:
        from serving import certificate
    except ImportError:
        raise BundleError(
            "certificates need the package cryptography, 45 or newer; "
            "install requirements/certificates.txt of the bundle, or trust the maker's public key"
        ) from None
    certificates = material["x509CertificateChain"]["certificates"]
    return certificate.signer([_decoded(entry["rawBytes"]) for entry in certificates], pem)


def _pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """The signed bytes: https://github.com/secure-systems-lab/dsse/blob/master/protocol.md"""
    return b"DSSEv1 %d %b %d %b" % (len(payload_type), payload_type.encode(), len(payload), payload)


def _files(statement: Any) -> Dict[str, str]:
    predicate = statement["predicate"]
    if (
        statement["predicateType"] != PREDICATE_TYPE
        or predicate["serialization"]["method"] != "files"
    ):
        raise ValueError("it does not name files")
    resources = predicate["resources"]
    if any(resource["algorithm"] != "sha256" for resource in resources):
        raise ValueError("it has digests that are not SHA-256")
    files = {resource["name"]: resource["digest"] for resource in resources}
    if len(files) < len(resources):
        raise ValueError("it names a file twice")
    return files


def public_key(pem: bytes) -> Tuple[int, int]:
    """The point of the first public key in a PEM file. Raises ValueError unless it is on P-256."""
    match = re.search(
        rb"-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]*)-----END PUBLIC KEY-----", pem
    )
    if match is None:
        raise ValueError("the trusted file holds neither a certificate nor a public key")
    data = base64.b64decode(b"".join(match[1].split()), validate=True)
    x, y = int.from_bytes(data[-64:-32], "big"), int.from_bytes(data[-32:], "big")
    if data[:-64] != P256_KEY or not on_curve(x, y):
        raise ValueError("the trusted key is not on the curve P-256, the only one supported")
    return x, y


def valid(key: Tuple[int, int], message: bytes, signature: bytes) -> bool:
    """Is `signature` (DER) the ECDSA signature of `message` by the owner of `key`, with SHA-256?

    FIPS 186-5, section 6.4.2.
    """
    r, s = _two_integers(signature)
    if not (0 < r < N and 0 < s < N):
        return False
    digest, inverse = int.from_bytes(hashlib.sha256(message).digest(), "big"), pow(s, -1, N)
    point = _add(_multiply(digest * inverse % N, G), _multiply(r * inverse % N, key))
    return point is not None and point[0] % N == r


def _two_integers(der: bytes) -> Tuple[int, int]:
    """The two numbers of a DER sequence (X.690) of at most 127 bytes.

    Raises ValueError unless it is the canonical encoding of two positive numbers.
    """
    values, rest = [], der[2:]
    for _ in range(2):
        if len(rest) < 2:
            raise ValueError("it does not hold two numbers")
        length = rest[1]
        values.append(int.from_bytes(rest[2 : 2 + length], "big", signed=True))
        rest = rest[2 + length :]
    r, s = values
    if r <= 0 or s <= 0 or der != _field(0x30, _field(0x02, _bytes(r)) + _field(0x02, _bytes(s))):
        raise ValueError("it does not hold two numbers")
    return r, s


def _field(tag: int, content: bytes) -> bytes:
    return bytes([tag, len(content)]) + content


def _bytes(number: int) -> bytes:
    """A positive number in the shortest two's complement."""
    return number.to_bytes(number.bit_length() // 8 + 1, "big")


def on_curve(x: int, y: int) -> bool:
    return 0 <= x < P and 0 <= y < P and (y * y - x * x * x + 3 * x - B) % P == 0


def _add(left: Point, right: Point) -> Point:
    """The sum of two points of the curve."""
    if left is None or right is None:
        return left or right
    if left[0] == right[0] and (left[1] + right[1]) % P == 0:
        return None
    if left == right:
        slope = 3 * (left[0] * left[0] - 1) * pow(2 * left[1], -1, P)
    else:
        slope = (right[1] - left[1]) * pow(right[0] - left[0], -1, P)
    x = (slope * slope - left[0] - right[0]) % P
    return x, (slope * (left[0] - x) - left[1]) % P


def _multiply(factor: int, point: Point) -> Point:
    result: Point = None
    while factor:
        if factor & 1:
            result = _add(result, point)
        point, factor = _add(point, point), factor >> 1
    return result
