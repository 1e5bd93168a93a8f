"""How a person in a browser presents the token: once, in a form that sets a cookie.

The token never appears in an address. The cookie is derived from it and does not reveal it; scripts
cannot read the cookie, and browsers send it to this server alone. It has no path, so that it covers
the whole server even where a proxy serves it below a path (RFC 6265, 5.1.4).
"""

from __future__ import annotations

import hashlib
import hmac
import html
from pathlib import Path
from typing import List, Tuple
from urllib.parse import parse_qs, quote

from serving.errors import RequestError, ServingError
from serving.server.messages import Request

PATH = "/login"
LONGEST_TOKEN = 4096  # characters, to fit into the headers of a request
POLICY = (
    b"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = [
    (b"content-security-policy", POLICY),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>serving: log in</title>
<style>
  :root {{ color-scheme: light dark; }}
  body {{
    font: 16px/1.5 system-ui, sans-serif; max-width: 30rem; margin: 4rem auto; padding: 0 1rem;
  }}
  input, button {{ font: inherit; padding: .3rem .6rem; }}
</style>
</head>
<body>
<h1>This server requires a token</h1>
<p role="status">{message}</p>
<form method="post" action="{action}">
<label>Token
<input name="token" type="password" autocomplete="current-password" required autofocus></label>
<input name="page" type="hidden" value="{page}">
<button>Log in</button>
</form>
</body>
</html>
"""


def read(path: Path) -> str:
    """The token in a file. Raises ServingError."""
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not ASCII"
        raise ServingError(f"{path} is not readable ({reason}); name a file with a token") from None
    if not token:
        raise ServingError(f"{path} is empty; it must hold the token that requests carry")
    if not token.isprintable() or len(token) > LONGEST_TOKEN:
        raise ServingError(
            f"{path} holds a token that no header can carry; "
            f"expected one line of at most {LONGEST_TOKEN:,} characters"
        )
    return token


class Token:
    def __init__(self, token: str) -> None:
        self._token = token.encode()
        self._session = self._derived(b"serving session")
        # All ports of a host share their cookies, so every token gets a cookie name of its own.
        self._cookie = f"serving_{self._derived(b'name')[:8]}"

    def _derived(self, purpose: bytes) -> str:
        return hmac.new(self._token, purpose, hashlib.sha256).hexdigest()

    def is_held_by(self, request: Request) -> bool:
        """Whether the request carries the token, or the cookie that stands for it."""
        authorization = request.headers.get(b"authorization", b"")
        if authorization[:7].lower() == b"bearer " and hmac.compare_digest(
            authorization[7:].strip(), self._token
        ):
            return True
        cookies = (part.strip().partition("=") for part in request.header(b"cookie").split(";"))
        return any(
            name == self._cookie and hmac.compare_digest(value.encode(), self._session.encode())
            for name, _, value in cookies
        )

    def login(self, body: bytes) -> List[Tuple[bytes, bytes]]:
        """The response headers to a submitted form: the cookie, and the page to go to.

        Raises RequestError for a wrong token.
        """
        try:
            fields = parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=4)
        except ValueError:
            raise RequestError(
                400, "the form cannot be read; expected the fields token and page"
            ) from None
        token = fields.get("token", [""])[0].strip()
        if not hmac.compare_digest(token.encode("utf-8", "replace"), self._token):
            raise RequestError(
                401, "That is not the token of this server.", (b"www-authenticate", b"Bearer")
            )
        page = quote(fields.get("page", [""])[0].lstrip("/"))
        cookie = f"{self._cookie}={self._session}; HttpOnly; SameSite=Strict"
        return [(b"location", f"./{page}".encode()), (b"set-cookie", cookie.encode())]


def accepts_html(request: Request) -> bool:
    """Whether a person is waiting for a page."""
    return request.method in ("GET", "HEAD") and "text/html" in request.header(b"accept").lower()


def page(path: str, message: str = "") -> bytes:
    """The form as shown at `path`, to which it leads back.

    Its links are relative, because a proxy may serve us below a path.
    """
    action = "../" * (path.count("/") - 1) + PATH.lstrip("/")
    back = "" if path.rstrip("/") == PATH else path.lstrip("/")
    return PAGE.format(action=action, page=html.escape(back), message=html.escape(message)).encode()
