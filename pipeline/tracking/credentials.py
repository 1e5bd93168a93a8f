"""Passwords in the addresses of servers: kept out of all that a person, a log or a store gets to see."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from urllib.parse import quote, unquote, urlsplit, urlunsplit

MASK = "***"
LOCAL = ("sqlite", "file:")  # an @ in a path has no password before it
WEB = ("http:", "https:")  # where a name alone before the @ is a token
SCHEME = re.compile(r"[\w+.-]*:?/{1,3}")
ADDRESS = re.compile(r"([\w+.-]+:/{1,3})([^\s'\"<>]*)@")
QUERY = re.compile(r"([?&;][\w-]*(?:pass|pwd|token|secret|key)[\w-]*=)([^&;\s'\"]+)", re.IGNORECASE)
SHORT = 4  # letters; a shorter password is looked for as a whole word alone


def masked(text: str, *addresses: str) -> str:
    """`text` without passwords: those of addresses in it, and those of `addresses` and of MLflow's variables, wherever they are.

    A library may quote a part of an address that it cannot read, so that parts of a password are looked for as well.
    """
    text = QUERY.sub(rf"\1{MASK}", ADDRESS.sub(without_password, text))
    secrets = {secret for address in addresses for secret in passwords(address)} | set(
        of_environment()
    )
    for secret in sorted(secrets, key=lambda secret: (-len(secret), secret)):
        pattern = re.escape(secret)
        text = re.sub(pattern if len(secret) >= SHORT else rf"(?<!\w){pattern}(?!\w)", MASK, text)
    return text


def without_password(found: re.Match[str]) -> str:
    scheme, name = found.groups()
    user, colon, _ = name.partition(":")
    if scheme.startswith(LOCAL) or not (colon or scheme.startswith(WEB)):
        return found.group()
    return f"{scheme}{user}:{MASK}@" if colon else f"{scheme}{MASK}@"


def passwords(address: str) -> Iterator[str]:
    """Whatever may be a password in an address, also in one that is mistyped, with its parts and in other spellings."""
    found = [match.group(2) for match in QUERY.finditer(address)]
    before, at, _ = address.rpartition("@")
    if at and not address.startswith(LOCAL):
        user, colon, password = SCHEME.sub("", before, count=1).partition(":")
        if colon or address.startswith(WEB):
            found.append(password if colon else user)
    for secret in {*found, *map(unquote, found)}:
        for part in (secret, *re.split(r"[/@:?#]", secret)):
            yield from filter(None, {part, unquote(part), quote(part, safe="")})


def of_environment() -> Iterator[str]:
    """The passwords in MLflow's variables."""
    for name, value in os.environ.items():
        if name.startswith("MLFLOW_") and name.endswith("_URI"):
            yield from passwords(value)
        elif name.startswith("MLFLOW_") and name.endswith(("PASSWORD", "TOKEN")) and value:
            yield value


def handed_over(address: str) -> str:
    """A server's address without user and password, which MLflow gets by its variables: it prints the address of each run."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return address  # MLflow says what is wrong with it
    name, at, host = parts.netloc.rpartition("@")
    if (
        not at or not address.startswith(WEB) or "@" in parts.path
    ):  # of two @ nobody can say which ends the password
        return address
    user, _, password = name.partition(":")
    os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"] = (
        unquote(user),
        unquote(password),
    )
    return urlunsplit(parts._replace(netloc=host))
