"""Keeps passwords in server addresses out of messages, logs and stores."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from urllib.parse import quote, unquote, urlsplit, urlunsplit

MASK = "***"
# An @ in a local path does not follow a password.
LOCAL = ("sqlite", "file:")
# In a web address, a name without a password before the @ is a token.
WEB = ("http:", "https:")
SCHEME = re.compile(r"[\w+.-]*:?/{1,3}")
ADDRESS = re.compile(r"([\w+.-]+:/{1,3})([^\s'\"<>]*)@")
QUERY = re.compile(r"([?&;][\w-]*(?:pass|pwd|token|secret|key)[\w-]*=)([^&;\s'\"]+)", re.IGNORECASE)
# A password with fewer characters is masked only where it is a whole word.
SHORT = 4


def masked(text: str, *addresses: str) -> str:
    """`text` with all passwords masked: those in addresses inside it, and all others known here.

    The others come from `addresses` and from MLflow's environment variables. Parts of a password
    are masked too, because a library may quote a part of an address that it cannot parse.
    """
    text = QUERY.sub(rf"\1{MASK}", ADDRESS.sub(without_password, text))
    secrets = {secret for address in addresses for secret in passwords(address)}
    secrets |= set(environment_passwords())
    for secret in sorted(secrets, key=lambda secret: (-len(secret), secret)):
        pattern = re.escape(secret)
        text = re.sub(pattern if len(secret) >= SHORT else rf"(?<!\w){pattern}(?!\w)", MASK, text)
    return text


def without_password(match: re.Match[str]) -> str:
    scheme, name = match.groups()
    user, colon, _ = name.partition(":")
    if scheme.startswith(LOCAL) or not (colon or scheme.startswith(WEB)):
        return match.group()
    return f"{scheme}{user}:{MASK}@" if colon else f"{scheme}{MASK}@"


def passwords(address: str) -> Iterator[str]:
    """Everything in an address, even a mistyped one, that may be a password.

    Includes the parts of a password and its other spellings.
    """
    candidates = [match.group(2) for match in QUERY.finditer(address)]
    before, at, _ = address.rpartition("@")
    if at and not address.startswith(LOCAL):
        user, colon, password = SCHEME.sub("", before, count=1).partition(":")
        if colon or address.startswith(WEB):
            candidates.append(password if colon else user)
    for secret in {*candidates, *map(unquote, candidates)}:
        for part in (secret, *re.split(r"[/@:?#]", secret)):
            yield from filter(None, {part, unquote(part), quote(part, safe="")})


def environment_passwords() -> Iterator[str]:
    """The passwords in MLflow's environment variables."""
    for name, value in os.environ.items():
        if name.startswith("MLFLOW_") and name.endswith("_URI"):
            yield from passwords(value)
        elif name.startswith("MLFLOW_") and name.endswith(("PASSWORD", "TOKEN")) and value:
            yield value


def moved_to_environment(address: str) -> str:
    """The address of a server without user and password, which move to MLflow's variables.

    MLflow prints the address of each run.
    """
    try:
        parts = urlsplit(address)
    except ValueError:
        return address  # MLflow reports what is wrong with it
    name, at, host = parts.netloc.rpartition("@")
    # With two @ it is unclear which one ends the password.
    if not at or not address.startswith(WEB) or "@" in parts.path:
        return address
    user, _, password = name.partition(":")
    os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(user)
    os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(password)
    return urlunsplit(parts._replace(netloc=host))
