"""The files of a bundle that a browser may have: the page in it, and what that reads."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Dict, List, Optional, Tuple

from serving.bundle import Bundle
from serving.errors import ServingError
from serving.model_card import FILE

FOLDER = "embedded/browser/"
INDEX = "index.html"
FOLDERS = (FOLDER, "pictures/")
ENGINE = f"{FOLDER}node_modules/onnxruntime-web/dist/"  # where the page looks for a second engine
ENGINE_FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".wasm": "application/wasm",
}
ETAG = re.compile(r'"[!#-~\x80-\xff]*"')
# The server's, because a bundle may come from anybody: nothing but this server is contacted, and no other site shows the page in a frame.
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True)
class PublicFile:
    content: bytes
    content_type: bytes
    tag: str
    up: str  # from the file's folder to the root of the server, which a proxy may have below a path

    def is_known_by(self, if_none_match: str) -> bool:
        """Whether the client has this content already: RFC 9110, 13.1.2, which compares weakly."""
        return if_none_match.strip() == "*" or self.tag[len("W/") :] in ETAG.findall(if_none_match)

    @property
    def headers(self) -> List[Tuple[bytes, bytes]]:
        """What is sent with it; a copy that is kept must be asked about, because a bundle can change."""
        link = f'<{self.up}docs>; rel="service-doc"'
        page = (
            [(b"content-security-policy", POLICY), (b"link", link)]
            if b"html" in self.content_type
            else []
        )
        values = [
            (b"etag", self.tag),
            (b"cache-control", "no-cache"),
            (b"x-content-type-options", "nosniff"),
            *page,
        ]
        return [
            (name, value.encode()) for name, value in [*values, (b"referrer-policy", "no-referrer")]
        ]


def public(bundle: Bundle, engine: Optional[Path] = None) -> Dict[str, PublicFile]:
    """The public files of a bundle by their names in it, none where it holds no page; `engine` is a folder of onnxruntime-web.

    Raises ServingError for a folder that holds no such package.
    """
    if FOLDER + INDEX not in bundle.digests:
        return {}
    models = [file.file for file in bundle.card.files if file.file.endswith(".onnx")]
    names = [name for name in bundle.digests if name.startswith(FOLDERS) or name in (FILE, *models)]
    files = {name: _file(name, bundle.read(name)) for name in names}
    return files if engine is None else {**files, **_engine(engine)}


def _engine(folder: Path) -> Dict[str, PublicFile]:
    try:
        contents = {name: (folder / "dist" / name).read_bytes() for name in ENGINE_FILES}
    except OSError as error:
        raise ServingError(
            f"{folder} is no folder of onnxruntime-web ({error.filename}: {error.strerror}); npm install makes one"
        ) from None
    return {ENGINE + name: _file(name, content) for name, content in contents.items()}


def _file(name: str, content: bytes) -> PublicFile:
    kind = TYPES.get(PurePosixPath(name).suffix, "application/octet-stream")
    up = "../" * (name.count("/") + len(("bundles", "NAME")))
    return PublicFile(content, kind.encode(), f'W/"{hashlib.sha256(content).hexdigest()}"', up)
