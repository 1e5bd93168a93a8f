"""How a person in a browser shows the token: once, in a form, for which the browser gets a cookie; never in an address.

The cookie is no token: it is derived from it, other scripts cannot read it, and a browser sends it to this server alone. Its
path is left out, so that it holds for all of the server, also where a proxy has it below a path (RFC 6265, 5.1.4).
"""

from __future__ import annotations

import hashlib
import hmac
import html
from typing import TYPE_CHECKING, List, Tuple
from urllib.parse import parse_qs, quote

from serving.errors import RequestError

if TYPE_CHECKING:
    from serving.server.service import Request

PATH = "/login"
HEADERS = [
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
    ),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>serving: the token</title>
<style>
  body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 30rem; margin: 4rem auto; padding: 0 1rem; color: #222; background: #fff; }}
  input, button {{ font: inherit; padding: .3rem .6rem; }}
  @media (prefers-color-scheme: dark) {{ body {{ color: #ddd; background: #181818; }} }}
</style>
</head>
<body>
<h1>This server asks for a token</h1>
<p role="status">{message}</p>
<form method="post" action="{action}">
<label>Token <input name="token" type="password" autocomplete="current-password" required autofocus></label>
<input name="page" type="hidden" value="{page}">
<button>Open</button>
</form>
</body>
</html>
"""


class Token:
    def __init__(self, token: str) -> None:
        self._token = token.encode()
        self._session = hmac.new(self._token, b"serving session", hashlib.sha256).hexdigest()
        self._name = f"serving_{hmac.new(self._token, b'name', hashlib.sha256).hexdigest()[:8]}"  # ports share cookies

    def holds(self, request: Request) -> bool:
        """Whether the request brings the token, or the cookie that was given for it."""
        given = request.headers.get(b"authorization", b"")
        if given[:7].lower() == b"bearer " and hmac.compare_digest(given[7:].strip(), self._token):
            return True
        pairs = (part.strip().partition("=") for part in request.header(b"cookie").split(";"))
        return any(
            name == self._name and hmac.compare_digest(value.encode(), self._session.encode())
            for name, _, value in pairs
        )

    def login(self, body: bytes) -> List[Tuple[bytes, bytes]]:
        """The headers that answer a form: the cookie, and the page to go to. Raises RequestError for another token."""
        try:
            fields = parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=4)
        except ValueError:
            raise RequestError(
                400, "the form cannot be read; expected the fields token and page"
            ) from None
        given = fields.get("token", [""])[0].strip()
        if not hmac.compare_digest(given.encode("utf-8", "replace"), self._token):
            raise RequestError(
                401, "That is not the token of this server.", (b"www-authenticate", b"Bearer")
            )
        page = quote(fields.get("page", [""])[0].lstrip("/"))
        cookie = f"{self._name}={self._session}; HttpOnly; SameSite=Strict"
        return [(b"location", f"./{page}".encode()), (b"set-cookie", cookie.encode())]


def wanted(request: Request) -> bool:
    """Whether a person waits for a page."""
    return request.method in ("GET", "HEAD") and "text/html" in request.header(b"accept").lower()


def page(path: str, message: str = "") -> bytes:
    """The form, at `path`, to which it leads back; links are relative, as a proxy may have the server below a path."""
    action = "../" * (path.count("/") - 1) + PATH.lstrip("/")
    back = "" if path.rstrip("/") == PATH else path.lstrip("/")
    return PAGE.format(action=action, page=html.escape(back), message=html.escape(message)).encode()
