"""The signer's key, vouched for by a certificate authority. `cryptography` validates the path to it
(RFC 5280).

The signer's certificate must allow code signing: authorities certify servers and people too. Every
certificate must be valid now, by this device's clock. A signature carries no trusted time, so an
expired certificate vouches for nothing, even if it was valid when it signed. A device without a
clock, or one that outlives the certificate, should trust the maker's public key, which never
expires.
"""

from __future__ import annotations

import datetime
from typing import List, Optional, Tuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID as Purpose
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

LONGEST_CHAIN = 8  # authorities between the signer and the trusted one
EITHER = Criticality.AGNOSTIC  # an extension counts whether it is critical or not


def signer(chain: List[bytes], pem: bytes) -> Tuple[int, int]:
    """The public key (x, y) of the first certificate (DER) in `chain`, which must lead to `pem`.

    Raises ValueError.
    """
    if not chain:
        raise ValueError("it holds no certificate of its signer")
    now = datetime.datetime.now(datetime.timezone.utc)  # noqa: UP017  of Python 3.11
    try:
        leaf, *intermediates = map(x509.load_der_x509_certificate, chain)
        trusted = Store(x509.load_pem_x509_certificates(pem))
        builder = PolicyBuilder().time(now).store(trusted).max_chain_depth(LONGEST_CHAIN)
        builder = builder.extension_policies(ca_policy=_authority(), ee_policy=_signer())
        builder.build_client_verifier().verify(leaf, intermediates)
        key = leaf.public_key()
    except VerificationError as error:
        reason = str(error).partition(" (encountered")[0].rpartition(": ")[2]
        raise ValueError(
            f"no authority vouches for its signer on {now:%Y-%m-%d}, "
            f"the date of this device: {reason}"
        ) from None
    except Exception as error:  # each kind of malformed certificate raises its own
        raise ValueError(f"one of its certificates is not readable: {error}") from None
    if not (isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == ec.SECP256R1.name):
        raise ValueError("its signer's key is not on the curve P-256, the only one supported")
    return key.public_numbers().x, key.public_numbers().y


def _signer() -> ExtensionPolicy:
    policy = ExtensionPolicy.permit_all().may_be_present(x509.KeyUsage, EITHER, _signs)
    policy = policy.may_be_present(x509.ExtendedKeyUsage, EITHER, _signs_code)
    return policy.may_be_present(x509.BasicConstraints, EITHER, _is_no_authority)


def _authority() -> ExtensionPolicy:
    """Authorities limited to some names are refused, because names are not compared here."""
    policy = ExtensionPolicy.permit_all().require_present(x509.BasicConstraints, EITHER, None)
    policy = policy.may_be_present(x509.KeyUsage, EITHER, _certifies)
    policy = policy.may_be_present(x509.ExtendedKeyUsage, EITHER, _certifies_code)
    return policy.require_not_present(x509.NameConstraints)


def _signs(_: object, __: object, usage: Optional[x509.KeyUsage]) -> None:
    if usage is None or not usage.digital_signature:
        raise ValueError("its key usage lacks digitalSignature")


def _signs_code(_: object, __: object, usage: Optional[x509.ExtendedKeyUsage]) -> None:
    if usage is None or Purpose.CODE_SIGNING not in usage:
        raise ValueError("its extended key usage lacks codeSigning")


def _is_no_authority(_: object, __: object, constraints: Optional[x509.BasicConstraints]) -> None:
    if constraints and constraints.ca:
        raise ValueError("it is an authority's own certificate")


def _certifies(_: object, __: object, usage: Optional[x509.KeyUsage]) -> None:
    if usage and not usage.key_cert_sign:
        raise ValueError("an authority's key usage lacks keyCertSign")


def _certifies_code(_: object, __: object, usage: Optional[x509.ExtendedKeyUsage]) -> None:
    if usage and not {Purpose.CODE_SIGNING, Purpose.ANY_EXTENDED_KEY_USAGE} & set(usage):
        raise ValueError("an authority's extended key usage lacks codeSigning")
