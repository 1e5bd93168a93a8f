"""As much of DER and X.509 (RFC 5280) as it takes to follow a chain of ECDSA certificates to one that is trusted.

Like model-signing, it judges a chain by the time at which the signer's certificate began to be valid: a model outlives the
certificate of its maker, and a device without a network may not know the time.
"""

from __future__ import annotations

import base64
import re
from typing import Dict, List, NamedTuple, Optional, Tuple

from serving import signature

EC_P256 = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")  # id-ecPublicKey, prime256v1 (RFC 5480)
ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")  # ecdsa-with-SHA256 (RFC 5758)
BASIC_CONSTRAINTS, KEY_USAGE, EXTENDED_KEY_USAGE = (bytes.fromhex(f"0603551d{last}") for last in ("13", "0f", "25"))
CODE_SIGNING = bytes.fromhex("06082b06010505070303")
UNDERSTOOD = {BASIC_CONSTRAINTS, KEY_USAGE, EXTENDED_KEY_USAGE}
DIGITAL_SIGNATURE, CERTIFICATE_SIGN = 0, 5  # bits of key usage
LONGEST_CHAIN = 8


class Certificate(NamedTuple):
    """What a chain is judged by; `extensions` are their values by the DER of their names."""

    signed: bytes
    signature: bytes
    issuer: bytes
    subject: bytes
    begin: str
    end: str
    key: Tuple[int, int]
    extensions: Dict[bytes, bytes]

    def may(self, use: int) -> Optional[bool]:
        """Whether the key usage allows `use`; None where the certificate has no key usage."""
        if KEY_USAGE not in self.extensions:
            return None
        (_, bits, _), *_ = elements(self.extensions[KEY_USAGE])
        return len(bits) > 1 and bool(bits[1] & (0x80 >> use))

    def authority(self) -> Optional[float]:
        """How many authorities may stand between this one and a signer; None where this is no authority."""
        if BASIC_CONSTRAINTS not in self.extensions or self.may(CERTIFICATE_SIGN) is False:
            return None
        values = elements(elements(self.extensions[BASIC_CONSTRAINTS])[0][1])
        if not values or values[0][1:2] != (b"\xff",):
            return None
        return int.from_bytes(values[1][1], "big") if len(values) > 1 else float("inf")


def signer(chain: List[bytes], trusted: List[bytes]) -> Tuple[int, int]:
    """The public key of the first certificate of `chain`, once it leads to a trusted one. Raises ValueError."""
    leaf, *between = (parse(data) for data in chain)
    anchors = [parse(data) for data in trusted]
    usage = leaf.may(DIGITAL_SIGNATURE)
    if not usage and CODE_SIGNING not in leaf.extensions.get(EXTENDED_KEY_USAGE, b""):
        raise ValueError("the certificate of its signer is not for signing")
    current = leaf
    for depth in range(LONGEST_CHAIN):
        anchor = next((issuer for issuer in anchors if issued(current, issuer, depth, leaf.begin)), None)
        if anchor is not None:
            return leaf.key
        following = next((issuer for issuer in between if issuer is not current and issued(current, issuer, depth, leaf.begin)), None)
        if following is None:
            break
        current = following
    raise ValueError("the certificate of its signer does not lead to the authority that is trusted here")


def issued(certificate: Certificate, issuer: Certificate, depth: int, time: str) -> bool:
    """Was `certificate`, with `depth` authorities below it, issued by the authority `issuer`, valid at `time`?"""
    limit = issuer.authority()
    return (
        certificate.issuer == issuer.subject
        and limit is not None
        and depth <= limit
        and issuer.begin <= time <= issuer.end
        and signature.valid(issuer.key, certificate.signed, certificate.signature)
    )


def from_pem(text: str, label: str = "CERTIFICATE") -> List[bytes]:
    """The DER of every part of a PEM file with that label. Raises ValueError where there is none."""
    parts = re.findall(f"-----BEGIN {label}-----(.*?)-----END {label}-----", text, re.DOTALL)
    if not parts:
        raise ValueError(f"the trusted file holds neither a certificate nor a {label.lower()}")
    return [base64.b64decode("".join(part.split()), validate=True) for part in parts]


def elements(data: bytes) -> List[Tuple[int, bytes, bytes]]:
    """(tag, content, whole encoding) of the DER values that follow each other in `data`. Raises ValueError."""
    result, start = [], 0
    while start < len(data):
        if start + 2 > len(data):
            raise ValueError("it is cut short")
        tag, length, begin = data[start], data[start + 1], start + 2
        if length & 0x80:
            begin += length & 0x7F
            length = int.from_bytes(data[start + 2 : begin], "big")
        if begin + length > len(data):
            raise ValueError("it is cut short")
        result.append((tag, data[begin : begin + length], data[start : begin + length]))
        start = begin + length
    return result


def integers(data: bytes) -> List[int]:
    """The numbers of a DER sequence of integers, as an ECDSA signature is one of two."""
    ((tag, content, _),) = elements(data)
    parts = elements(content)
    if tag != 0x30 or any(tag != 0x02 for tag, _, _ in parts):
        raise ValueError("it is no sequence of numbers")
    return [int.from_bytes(value, "big", signed=True) for _, value, _ in parts]


def public_key(data: bytes) -> Tuple[int, int]:
    """The point of a SubjectPublicKeyInfo on P-256. Raises ValueError for a key of another kind."""
    ((_, content, _),) = elements(data)
    (_, _, algorithm), (_, bits, _) = elements(content)
    if algorithm != EC_P256 or len(bits) != 66 or bits[:2] != b"\x00\x04":
        raise ValueError("the key is not on the curve P-256, the only one that is read here")
    x, y = int.from_bytes(bits[2:34], "big"), int.from_bytes(bits[34:], "big")
    if not signature.on_curve(x, y):
        raise ValueError("the key is no point of the curve P-256")
    return x, y


def parse(data: bytes) -> Certificate:
    """One certificate. Raises ValueError for what this module does not understand."""
    ((_, content, _),) = elements(data)
    (_, body, signed), (_, _, algorithm), (_, bits, _) = elements(content)
    fields = [field for field in elements(body) if field[0] != 0xA0]  # without the version
    if algorithm != ECDSA_SHA256 or fields[1][2] != ECDSA_SHA256:
        raise ValueError("a certificate is not signed with ECDSA and SHA-256, the only way that is read here")
    begin, end = (_time(tag, value) for tag, value, _ in elements(fields[3][1]))
    wrapped = next((value for tag, value, _ in fields[6:] if tag == 0xA3), None)
    extensions = {} if wrapped is None else _extensions(elements(wrapped)[0][1])
    return Certificate(signed, bits[1:], fields[2][2], fields[4][2], begin, end, public_key(fields[5][2]), extensions)


def _time(tag: int, value: bytes) -> str:
    """UTCTime, whose years are 1950 to 2049, or GeneralizedTime -> YYYYMMDDHHMMSSZ."""
    text = value.decode("ascii")
    if tag == 0x17:
        return ("19" if text[:2] >= "50" else "20") + text
    return text


def _extensions(data: bytes) -> Dict[bytes, bytes]:
    result = {}
    for _, content, _ in elements(data):
        (_, _, name), *critical, (_, value, _) = elements(content)
        if critical and name not in UNDERSTOOD:
            raise ValueError("a certificate has a critical extension that is not understood here")
        result[name] = value
    return result
