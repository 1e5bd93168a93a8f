"""Which web pages may send requests to the server, and by which names it may be addressed.

A browser sends requests on behalf of any page that is open in it. Two checks keep such a page from
writing here: the browser says where the page came from (Sec-Fetch-Site, Origin); and where a page
resolves its own name to this machine (DNS rebinding), the browser sends that name as Host. Clients
other than browsers say nothing of the kind, so that only a token keeps them out.

CORS: https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import FrozenSet, List, Tuple
from urllib.parse import urlsplit

from serving.errors import InputError, RequestError
from serving.server.messages import Request

ANY = "*"
ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[0-9a-z._-]+)(:[0-9]+)?")
HOST = re.compile(r"(\[[0-9a-f:.]+\]|[0-9a-z._-]+)")
EXPOSED = (b"access-control-expose-headers", b"inference-header-content-length, retry-after")
PREFLIGHT_SECONDS = b"600"
PORTS = {"http": 80, "https": 443}

Headers = List[Tuple[bytes, bytes]]


@dataclass(frozen=True)
class Origins:
    """`allowed`: origins whose pages may send requests, or "*" for all.

    `hosts`: names by which the server may be addressed, beside localhost and IP addresses.
    """

    allowed: FrozenSet[str] = frozenset()
    hosts: FrozenSet[str] = frozenset()

    @classmethod
    def parse(cls, allowed: List[str], hosts: List[str], bound: str) -> Origins:
        """From the command line; `bound` is the host to listen on. Raises InputError."""
        for origin in allowed:
            if origin != ANY and not ORIGIN.fullmatch(origin.lower()):
                expected = "scheme and host as in https://app.example:8443, or *"
                raise InputError(f"--allow-origin is {origin!r}; expected {expected}")
        for host in hosts:
            if not HOST.fullmatch(host.lower()):
                expected = "a name such as models.example, without a port"
                raise InputError(f"--allow-host is {host!r}; expected {expected}")
        return cls(frozenset(map(str.lower, allowed)), frozenset(map(str.lower, [*hosts, bound])))

    def admit_write(self, request: Request, any_client: bool) -> None:
        """Raises RequestError for a page that may not write.

        With `any_client` the Host is checked for every client, not for browsers alone.
        """
        origin, site = request.header(b"origin").lower(), request.header(b"sec-fetch-site").lower()
        host = request.header(b"host")
        if host and (any_client or origin or site) and not self._is_our_name(host):
            raise RequestError(
                403,
                f"the Host is {host[:80]!r}; expected an IP address, localhost, "
                "or a name that the server was started with (--allow-host NAME)",
            )
        is_own = site in ("", "none") and (not origin or _is_same_origin(origin, host))
        if not (is_own or site == "same-origin" or self._allows(origin)):
            page = origin[:80] or "another site"
            raise RequestError(
                403,
                f"a page of {page} may not do this; "
                "to allow it, start the server with --allow-origin ORIGIN",
            )

    def headers(self, request: Request) -> Headers:
        """What lets the requesting page read the response."""
        if ANY in self.allowed:
            return [(b"access-control-allow-origin", b"*"), EXPOSED]
        origin = request.headers.get(b"origin", b"")
        if not self._allows(origin.decode("latin-1").lower()):
            return []
        return [(b"access-control-allow-origin", origin), EXPOSED]

    def preflight(self, request: Request, methods: Tuple[str, ...]) -> Headers:
        """The headers by which a browser lets a page of another origin send a request.

        Raises RequestError for an origin that is not allowed.
        """
        origin = request.header(b"origin")
        if not self._allows(origin.lower()):
            raise RequestError(
                403,
                f"pages of {origin[:80]} may not send requests; "
                "to allow it, start the server with --allow-origin ORIGIN",
            )
        headers = [(b"access-control-allow-methods", ", ".join(methods).encode())]
        requested = request.headers.get(b"access-control-request-headers", b"")
        if requested:
            headers.append((b"access-control-allow-headers", requested))
        headers.append((b"access-control-max-age", PREFLIGHT_SECONDS))
        return headers

    @property
    def vary(self) -> Tuple[str, ...]:
        """The request headers that responses depend on."""
        return ("origin",) if self.allowed - {ANY} else ()

    def _allows(self, origin: str) -> bool:
        return bool(origin) and (ANY in self.allowed or origin in self.allowed)

    def _is_our_name(self, host: str) -> bool:
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


def _is_same_origin(origin: str, host: str) -> bool:
    """Whether a page of this origin came from the server that has this Host."""
    try:
        page = urlsplit(origin)
        here = urlsplit(f"{page.scheme}://{host.lower()}")
        ports = [url.port or PORTS.get(page.scheme) for url in (page, here)]
    except ValueError:
        return False
    return bool(page.hostname) and page.hostname == here.hostname and ports[0] == ports[1]
