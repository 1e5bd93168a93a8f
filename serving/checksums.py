"""SHA256SUMS: the names of a bundle's files with their SHA-256, as `sha256sum --check` reads it."""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePosixPath
from typing import Dict, Mapping

from serving.errors import BundleError
from serving.model_card import FILE

MANIFEST = "SHA256SUMS"

# A name that every file system can hold: ASCII, no dot at the end, and not a device of Windows
PART = re.compile(r"[0-9A-Za-z._+-]*[0-9A-Za-z_+-]")
MOST_FOLDERS, LONGEST_NAME = 16, 255  # of a name: its parents, its bytes
DEVICE = re.compile(r"(?:CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])(?:\..*)?", re.IGNORECASE)

Digests = Dict[str, str]  # file name -> SHA-256


def manifest(files: Mapping[str, bytes]) -> bytes:
    """The SHA256SUMS of `files` (name -> bytes)."""
    return listing({name: hashlib.sha256(data).hexdigest() for name, data in files.items()})


def listing(digests: Mapping[str, str]) -> bytes:
    """The SHA256SUMS of `digests` (name -> SHA-256)."""
    return "".join(f"{digests[name]}  {name}\n" for name in sorted(digests)).encode()


def parse(data: bytes) -> Digests:
    """Reads SHA256SUMS. Raises BundleError unless `data` is exactly what `listing` writes."""
    digests: Digests = {}
    try:
        for line in data.decode().splitlines():
            digest, name = line[:64], line[66:]
            if len(bytes.fromhex(digest)) != 32:
                raise ValueError("a line does not begin with a SHA-256")
            if not is_portable(name):
                raise ValueError(f"not every system can hold a file named {name[:80]!r}")
            digests[name] = digest
        if data != listing(digests) or FILE not in digests:
            raise ValueError(f"it is not a sorted list of files with {FILE}")
        folders = {str(folder) for name in digests for folder in PurePosixPath(name).parents}
        names = [MANIFEST, *digests, *folders]
        if len({name.lower() for name in names}) < len(names):
            raise ValueError("two of its names are the same on some systems")
    except ValueError as error:
        raise BundleError(
            f"the {MANIFEST} of the bundle is damaged ({error}); fetch the bundle again"
        ) from None
    return digests


def is_portable(name: str) -> bool:
    """Is it a relative path inside the bundle that every system can hold?"""
    if len(name) > LONGEST_NAME or name.count("/") > MOST_FOLDERS:
        return False
    return all(PART.fullmatch(part) and not DEVICE.fullmatch(part) for part in name.split("/"))
