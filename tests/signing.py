"""Keys and certificates of a maker and of authorities."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID as Purpose

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


def pem(folder: Path, name: str, content: Any) -> Path:
    """Writes a private key, a public key or a certificate."""
    path = folder / f"{name}.pem"
    encoding = serialization.Encoding.PEM
    if isinstance(content, ec.EllipticCurvePrivateKey):
        pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        path.write_bytes(content.private_bytes(encoding, pkcs8, plain))
    elif isinstance(content, ec.EllipticCurvePublicKey):
        key_info = serialization.PublicFormat.SubjectPublicKeyInfo
        path.write_bytes(content.public_bytes(encoding, key_info))
    else:
        path.write_bytes(content.public_bytes(encoding))
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
    """A certificate with the usual extensions of its kind, unless others are given."""
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
