"""The files of a bundle for browsers: its page, and what that reads."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Dict, List, Optional, Tuple

from serving.bundle import Bundle
from serving.errors import ServingError
from serving.model_card import FILE

FOLDER = "embedded/browser/"
INDEX = "index.html"
FOLDERS = (FOLDER, "pictures/", "recordings/")
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
    ".wav": "audio/wav",
}
ETAG = re.compile(r'"[!#-~\x80-\xff]*"')
# The server sets the policy, because a bundle may come from anybody: its page contacts only this
# server, and no other site can show it in a frame.
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True)
class PublicFile:
    content: bytes
    content_type: bytes
    tag: str
    root: str  # the way up from the file's folder, since a proxy may serve us below a path
    engine: str = ""

    def is_cached(self, if_none_match: str) -> bool:
        """Whether the client has this content, by the weak comparison of RFC 9110, 13.1.2."""
        return if_none_match.strip() == "*" or self.tag[len("W/") :] in ETAG.findall(if_none_match)

    @property
    def headers(self) -> List[Tuple[bytes, bytes]]:
        headers = [
            ("etag", self.tag),
            ("cache-control", "no-cache"),  # revalidate every time, because a bundle can change
            ("x-content-type-options", "nosniff"),
        ]
        if b"html" in self.content_type:
            headers.append(("content-security-policy", POLICY))
            headers.append(("link", f'<{self.root}docs>; rel="service-doc"{self.engine}'))
        headers.append(("referrer-policy", "no-referrer"))
        return [(name.encode(), value.encode()) for name, value in headers]


def public_files(bundle: Bundle, engine: Optional[Path] = None) -> Dict[str, PublicFile]:
    """The public files of a bundle by their names in it; empty if it holds no page.

    `engine` is a folder of onnxruntime-web; raises ServingError if it is not.
    """
    if FOLDER + INDEX not in bundle.digests:
        return {}
    models = [file.file for file in bundle.card.files if file.file.endswith(".onnx")]
    names = [name for name in bundle.digests if name.startswith(FOLDERS) or name in (FILE, *models)]
    files = {name: _file(name, bundle.read(name)) for name in names}
    if engine is None:
        return files
    page = replace(files[FOLDER + INDEX], engine=', <node_modules>; rel="related"')
    return {**files, FOLDER + INDEX: page, **_engine_files(engine)}


def _engine_files(folder: Path) -> Dict[str, PublicFile]:
    try:
        contents = {name: (folder / "dist" / name).read_bytes() for name in ENGINE_FILES}
    except OSError as error:
        raise ServingError(
            f"{folder} is not a folder of onnxruntime-web ({error.filename}: {error.strerror}); "
            "create one with npm install"
        ) from None
    return {ENGINE + name: _file(name, content) for name, content in contents.items()}


def _file(name: str, content: bytes) -> PublicFile:
    content_type = TYPES.get(PurePosixPath(name).suffix, "application/octet-stream")
    tag = f'W/"{hashlib.sha256(content).hexdigest()}"'
    root = "../" * (name.count("/") + len(("bundles", "NAME")))
    return PublicFile(content, content_type.encode(), tag, root)
