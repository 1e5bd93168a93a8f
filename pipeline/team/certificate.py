"""The certificate by which the parts of a team's servers, and its members, know each other."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from pipeline.team.server import HOST
from pipeline.team.settings import write_secret

YEARS = 10


@dataclass(frozen=True)
class CertificateFiles:
    """A certificate that is its own authority, and its private key."""

    certificate: Path
    key: Path


def make(folder: Path) -> CertificateFiles:
    """The files in `folder`, made if there are none."""
    files = CertificateFiles((folder / "team.pem").absolute(), (folder / "team.key").absolute())
    if not files.key.exists():
        _write(files)
    return files


def _write(files: CertificateFiles) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID as Purpose
    from cryptography.x509.oid import NameOID

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Edgeproof team")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1))
    builder = builder.not_valid_after(now + datetime.timedelta(days=365 * YEARS))
    hosts = [x509.IPAddress(ipaddress.ip_address(HOST)), x509.DNSName("localhost")]
    for extension in (
        x509.BasicConstraints(ca=True, path_length=0),
        x509.SubjectAlternativeName(hosts),
        x509.ExtendedKeyUsage([Purpose.SERVER_AUTH, Purpose.CLIENT_AUTH]),
    ):
        builder = builder.add_extension(extension, critical=False)
    pem = serialization.Encoding.PEM
    write_secret(files.certificate, builder.sign(key, hashes.SHA256()).public_bytes(pem).decode())
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    write_secret(files.key, key.private_bytes(pem, pkcs8, plain).decode())
