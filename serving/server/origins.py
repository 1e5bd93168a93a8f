"""Which pages in browsers may ask the server, and by which names it may be addressed.

A browser sends requests for any page that somebody has open. Two things keep such a page from writing here: the browser says
where the page came from (Sec-Fetch-Site, Origin), and a page that has its own name resolved to this machine (DNS rebinding)
has the browser send that name as Host. What is no browser says nothing of the kind, and can only be kept out by a token.

CORS: https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, FrozenSet, List, Tuple
from urllib.parse import urlsplit

from serving.errors import InputError, RequestError

if TYPE_CHECKING:
    from serving.server.service import Request

ANY = "*"
ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[0-9a-z._-]+)(:[0-9]+)?")
HOST = re.compile(r"(\[[0-9a-f:.]+\]|[0-9a-z._-]+)")
EXPOSED = (b"access-control-expose-headers", b"inference-header-content-length, retry-after")
PREFLIGHT_SECONDS = b"600"
PORTS = {"http": 80, "https": 443}

Headers = List[Tuple[bytes, bytes]]


@dataclass(frozen=True)
class Origins:
    """`allowed` are origins whose pages may ask, or "*" for all; `hosts` are names beside localhost and IP addresses."""

    allowed: FrozenSet[str] = frozenset()
    hosts: FrozenSet[str] = frozenset()

    @classmethod
    def parse(cls, allowed: List[str], hosts: List[str], bound: str) -> Origins:
        """Of what the command line gave; `bound` is the host to listen on. Raises InputError."""
        for origin in allowed:
            if origin != ANY and not ORIGIN.fullmatch(origin.lower()):
                expected = "scheme and host as in https://app.example:8443, or *"
                raise InputError(f"--allow-origin is {origin!r}; expected {expected}")
        for host in hosts:
            if not HOST.fullmatch(host.lower()):
                raise InputError(
                    f"--allow-host is {host!r}; expected a name such as models.example, without a port"
                )
        return cls(frozenset(map(str.lower, allowed)), frozenset(map(str.lower, [*hosts, bound])))

    def admit_write(self, request: Request, by_anything: bool) -> None:
        """Raises RequestError where a page may not do this; `by_anything`: the Host counts, whatever the client is."""
        origin, site = request.header(b"origin").lower(), request.header(b"sec-fetch-site").lower()
        host = request.header(b"host")
        if host and (by_anything or origin or site) and not self._knows(host):
            expected = "an IP address, localhost, or a name that the server was started with (--allow-host NAME)"
            raise RequestError(403, f"the Host is {host[:80]!r}; expected {expected}")
        if self._allows(origin) or not (origin or site) or site in ("same-origin", "none"):
            return
        if site or not _same(origin, host):
            page = origin[:80] or "another site"
            sentence = f"a page of {page} may not do this; start the server with --allow-origin ORIGIN where it should"
            raise RequestError(403, sentence)

    def headers(self, request: Request) -> Headers:
        """What lets the page that asks read the answer."""
        if ANY in self.allowed:
            return [(b"access-control-allow-origin", b"*"), EXPOSED]
        origin = request.headers.get(b"origin", b"")
        return (
            [(b"access-control-allow-origin", origin), EXPOSED]
            if self._allows(origin.decode("latin-1").lower())
            else []
        )

    def preflight(self, request: Request, methods: Tuple[str, ...]) -> Headers:
        """What a browser asks before it lets a page of another origin send a request. Raises RequestError."""
        origin = request.header(b"origin")
        if not self._allows(origin.lower()):
            sentence = f"pages of {origin[:80]} may not ask here; start the server with --allow-origin ORIGIN where they should"
            raise RequestError(403, sentence)
        asked = request.headers.get(b"access-control-request-headers", b"")
        return [
            (b"access-control-allow-methods", ", ".join(methods).encode()),
            *([(b"access-control-allow-headers", asked)] if asked else []),
            (b"access-control-max-age", PREFLIGHT_SECONDS),
        ]

    @property
    def vary(self) -> Tuple[str, ...]:
        """The header that answers depend on."""
        return ("origin",) if self.allowed - {ANY} else ()

    def _allows(self, origin: str) -> bool:
        return bool(origin) and (ANY in self.allowed or origin in self.allowed)

    def _knows(self, host: str) -> bool:
        name = _name(host)
        if name in self.hosts or name == "localhost" or name.endswith(".localhost"):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _name(host: str) -> str:
    """The name or address of a Host header, without its port."""
    name = host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    return name.lower().rstrip(".")


def _same(origin: str, host: str) -> bool:
    """Whether a page of this origin came from the server that has this Host."""
    try:
        page = urlsplit(origin)
        here = urlsplit(f"{page.scheme}://{host.lower()}")
        ports = [each.port or PORTS.get(page.scheme) for each in (page, here)]
    except ValueError:
        return False
    return bool(page.hostname) and page.hostname == here.hostname and ports[0] == ports[1]
