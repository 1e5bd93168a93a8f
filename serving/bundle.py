"""A bundle: a folder or the .tar.gz itself, of which not one byte is parsed that is not the byte that was packed.

`SHA256SUMS` names every file with its SHA-256, as `sha256sum --check` reads it. Opening a bundle checks them all; reading
a file checks the bytes that are returned. Where a signature is asked for, it must cover the same files.
"""

from __future__ import annotations

import hashlib
import io
import os
import zlib
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Set, Union

from serving.errors import BundleError
from serving.model_card import FILE, ModelCard

MANIFEST = "SHA256SUMS"
SUFFIX = ".tar.gz"
SIGNATURE_SUFFIX = ".sig"
GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"  # RFC 1952: deflate, no name, no time, best compression, unknown system
Data = Union[bytes, memoryview]
LARGEST_BYTES = 1 << 30  # an archive that unpacks to more is no bundle for a device


def manifest(files: Mapping[str, bytes]) -> bytes:
    """The SHA256SUMS of `files` (name -> bytes)."""
    return b"".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n".encode() for name in sorted(files))


class Bundle:
    """The files of one bundle, each verified whenever it is read."""

    def __init__(
        self,
        path: Union[str, Path],
        trust: Union[str, Path, None] = None,
        signature: Union[str, Path, None] = None,
        draft: bool = False,
    ) -> None:
        """Opens and verifies the bundle at `path`, or the only one in the folder `path`.

        `trust` is a PEM file with the maker's public key or a certificate authority: with it the bundle must be signed,
        by default in `signature`, which is the file `<name>-<version>.sig` beside it. `draft` opens also a bundle that is
        marked as not proven. Raises BundleError.
        """
        self.path = locate(Path(path))
        self._files = None if is_folder(self.path) else _unpack(self.path)
        self.digests = _parse(bytes(self._read(MANIFEST)))
        for name in self.digests:
            self._verified(name)
        self.signed = trust is not None
        if trust is not None:
            self._check_signature(Path(trust), Path(signature or self._default_signature()))
        unlisted = sorted(self._names(trust, signature) - set(self.digests) - {MANIFEST})
        if unlisted:
            raise BundleError(f"{self.path} holds {unlisted[0]}, which its {MANIFEST} does not name; fetch the bundle again")
        self.card = ModelCard.parse(self.read(FILE))
        if self.card.not_proven and not draft:
            raise BundleError(
                f"{self.path} is a draft, NOT PROVEN ({self.card.not_proven[0]}); open it with --draft to try it all the same"
            )
        for file in self.card.files:
            if self.digests.get(file.file) != file.sha256:
                raise BundleError(f"{self.path}: {file.file} is not the file that was proven (its SHA-256 differs); make the bundle again")

    def read(self, name: str) -> bytes:
        """The verified bytes of one file. Raises BundleError."""
        if name not in self.digests:
            raise BundleError(f"{self.path} has no file {name}; it holds {', '.join(self.digests)}")
        return bytes(self._verified(name))

    def _verified(self, name: str) -> Data:
        data = self._read(name)
        if hashlib.sha256(data).hexdigest() != self.digests[name]:
            raise BundleError(f"{self.path}: {name} is damaged (its SHA-256 is not the one in {MANIFEST}); fetch the bundle again")
        return data

    def _read(self, name: str) -> Data:
        if self._files is not None:
            if name not in self._files:
                raise BundleError(f"{self.path} is no bundle: it has no {name}; fetch the bundle again")
            return self._files[name]
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise BundleError(f"{self.path / name} is not readable ({error.strerror}); name a bundle, or unpack it again") from None

    def _names(self, *own: Union[str, Path, None]) -> Set[str]:
        """What an archive holds; of a folder that must be signed, all that lies in it but the caller's `own` files."""
        if self._files is not None:
            return set(self._files)
        if not self.signed:
            return set()
        kept = {Path(path).resolve() for path in own if path is not None}
        return {path.relative_to(self.path).as_posix() for path in self.path.rglob("*") if not path.is_dir() and path.resolve() not in kept}

    def _default_signature(self) -> Path:
        path = self.path.resolve()  # `.` has no name of its own
        name = path.name if self._files is None else path.name[: -len(SUFFIX)]
        return path.with_name(name + SIGNATURE_SUFFIX)

    def _check_signature(self, trust: Path, signature: Path) -> None:
        from serving import signature as signatures

        try:
            pem = trust.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            raise BundleError(f"{trust} is not readable; name a PEM file with a public key or a certificate") from None
        try:
            envelope = signature.read_bytes()
        except OSError as error:
            raise BundleError(f"{self.path} is not signed: {signature} is not readable ({error.strerror}); sign it") from None
        covered = signatures.verify(envelope, pem, str(signature))
        actual = {**self.digests, MANIFEST: hashlib.sha256(self._read(MANIFEST)).hexdigest()}
        if covered != actual:
            raise BundleError(f"{self.path} is not the bundle that was signed: {signature} covers other files; fetch both again")


def is_folder(path: Union[str, Path]) -> bool:
    """Without the error that Path.is_dir has for a name that is too long or in a closed folder: who reads it will tell."""
    return os.path.isdir(path)  # noqa: PTH112


def locate(path: Path) -> Path:
    """The bundle that `path` means: itself, or the only bundle in it. Raises BundleError."""
    if not is_folder(path) or os.path.exists(path / MANIFEST):  # noqa: PTH110  for the same reason
        return path
    found = sorted([*path.glob(f"*{SUFFIX}"), *(entry.parent for entry in path.glob(f"*/{MANIFEST}"))])
    if len(found) == 1:
        return found[0]
    if not found:
        raise BundleError(f"{path} is no bundle and holds none; name a {SUFFIX} of a bundle or the folder it was unpacked to")
    raise BundleError(f"{path} holds {len(found)} bundles, {' and '.join(entry.name for entry in found[:2])}; name one of them")


def _parse(data: bytes) -> Dict[str, str]:
    """SHA256SUMS -> SHA-256 by name; only the very bytes that `manifest` writes will do."""
    digests: Dict[str, str] = {}
    try:
        for line in data.decode().splitlines():
            digest, name = line[:64], line[66:]
            if len(bytes.fromhex(digest)) != 32 or not _plain(name):
                raise ValueError
            digests[name] = digest
    except ValueError:
        raise BundleError(f"the {MANIFEST} of the bundle is damaged; fetch the bundle again") from None
    if data != "".join(f"{digests[name]}  {name}\n" for name in sorted(digests)).encode() or FILE not in digests:
        raise BundleError(f"the {MANIFEST} of the bundle is damaged; fetch the bundle again")
    return digests


def _plain(name: str) -> bool:
    """A relative path that stays inside the bundle."""
    return bool(name) and name.isprintable() and "\\" not in name and all(part not in ("", ".", "..") for part in name.split("/"))


def _unpack(path: Path) -> Dict[str, memoryview]:
    """The files of an archive by their names below its one root folder, as parts of one block of memory. Raises BundleError."""
    try:
        packed = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path} is not readable ({error.strerror}); name a {SUFFIX} of a bundle or its folder") from None
    import tarfile  # slow to import, and a folder does without

    try:
        return _members(_decompress(packed))
    except (tarfile.TarError, zlib.error, ValueError, EOFError, OSError) as error:
        raise BundleError(f"{path} is damaged or no bundle ({error}); fetch it again") from None


def _decompress(packed: bytes) -> bytes:
    if not packed.startswith(GZIP_HEADER):
        raise ValueError("it does not begin as our archives do")
    decompressor = zlib.decompressobj(wbits=31)  # gzip, which checks CRC-32 and length
    data = decompressor.decompress(packed, LARGEST_BYTES)
    if not decompressor.eof or decompressor.unused_data:
        raise ValueError("it is cut short or has something behind its end")
    return data


def _members(data: bytes) -> Dict[str, memoryview]:
    import tarfile

    files: Dict[str, memoryview] = {}
    roots: List[Optional[str]] = []
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        for member in tar:
            root, _, name = member.name.partition("/")
            if not member.isreg() or not _plain(name) or not _plain(root) or name in files:
                raise ValueError(f"its entry {member.name!r} is no plain file or is there twice")
            files[name] = memoryview(data)[member.offset_data : member.offset_data + member.size]
            if len(files[name]) != member.size:
                raise ValueError(f"its entry {member.name!r} is cut short")
            roots.append(root)
    if len(set(roots)) != 1:
        raise ValueError("its files do not lie in one folder")
    return files
