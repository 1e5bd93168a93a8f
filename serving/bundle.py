"""A bundle: a folder or the .tar.gz itself, of which not one byte is parsed that is not the byte
that was packed.

`SHA256SUMS` names every file with its SHA-256, as `sha256sum --check` reads it. Opening a bundle
checks them all; reading a file checks the bytes that are returned. Where a signature is asked for,
it is verified first, and must cover the very same files: of what nobody signed, no more is looked
at than the list of checksums.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import zlib
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Dict, Iterator, List, Mapping, Optional, Union

from serving import archive, model_card
from serving.errors import BundleError
from serving.model_card import FILE, ModelCard
from serving.versions import older

MANIFEST = "SHA256SUMS"
SUFFIX = ".tar.gz"
SIGNATURE_SUFFIX = ".sig"
LARGEST_MANIFEST = 1 << 20  # bytes; also of a signature or a PEM file
CHUNK = 1 << 20
LARGEST = {
    MANIFEST: LARGEST_MANIFEST,
    FILE: model_card.LARGEST_BYTES,
}  # of other files the archive's limit holds
# What every file system takes for one name, and not for another one or a device: letters in ASCII, and no dot at the end
PART = re.compile(r"[0-9A-Za-z._+-]*[0-9A-Za-z_+-]")
DEVICE = re.compile(r"(?:CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])(?:\..*)?", re.IGNORECASE)  # of Windows
KEPT = (
    64 << 10
)  # bytes up to which a file of an archive stays in memory; larger ones are unpacked again when they are read
NAME_A_BUNDLE = "name a bundle, or fetch it again"
Source = Union[str, Path]
Digests = Dict[str, str]  # SHA-256 by the name of the file


def manifest(files: Mapping[str, bytes]) -> bytes:
    """The SHA256SUMS of `files` (name -> bytes)."""
    return listing({name: hashlib.sha256(data).hexdigest() for name, data in files.items()})


def listing(digests: Mapping[str, str]) -> bytes:
    """SHA256SUMS, from the SHA-256 by name."""
    return "".join(f"{digests[name]}  {name}\n" for name in sorted(digests)).encode()


class Bundle:
    """The files of one bundle, each verified whenever it is read."""

    def __init__(
        self,
        path: Source,
        trust: Optional[Source] = None,
        signature: Optional[Source] = None,
        draft: bool = False,
        at_least: Optional[str] = None,
    ) -> None:
        """Opens and verifies the bundle at `path`, or the only one in the folder `path`.

        `trust` is a PEM file with the maker's public key or a certificate authority: with it the bundle must be signed,
        by default in `signature`, which is the file `<name>-<version>.sig` beside it. `draft` opens also a bundle that is
        marked as not proven; one of a version older than `at_least` is refused. Raises BundleError.
        """
        if signature is not None and trust is None:
            cure = "name the maker's public key or certificate authority there"
            raise BundleError(f"the signature {signature} is checked only with --trust; {cure}")
        self.path = locate(Path(path))
        self.signed = trust is not None
        self._files: Dict[str, bytes] = {}  # of an archive, those that are kept
        self._sizes: Dict[str, int] = {}  # of all of them
        root = None
        if is_folder(self.path):
            covered = self._covered(trust, signature)
            self.digests = self._listed(self._on_disk(MANIFEST), covered)
            self._check_folder([Path(own) for own in (trust, signature) if own is not None])
        else:
            with _opened(self.path) as file:
                covered = self._covered(trust, signature)
                root = self._check_archive(file, covered)
        self.card = ModelCard.parse(self.read(FILE))
        if at_least is not None and older(self.card.version, at_least):
            raise BundleError(
                f"{self.path} has version {self.card.version}, older than {at_least}; fetch a newer bundle"
            )
        if self.card.not_proven and not draft:
            raise BundleError(
                f"{self.path} is {self.card.draft}; open it with --draft to try it all the same"
            )
        for entry in self.card.files:
            if self.digests.get(entry.file) != entry.sha256:
                raise BundleError(
                    f"{self.path}: {entry.file} is not the file that was verified (its SHA-256 differs); make the bundle again"
                )
        if root not in (None, f"{self.card.name}-{self.card.version}"):  # no signature covers it
            raise BundleError(
                f"{self.path} would unpack to the folder {root}, expected {self.card.name}-{self.card.version}; fetch it again"
            )

    def read(self, name: str) -> bytes:
        """The verified bytes of one file. Raises BundleError."""
        if name not in self.digests:
            held = ", ".join(self.digests)
            raise BundleError(f"{self.path} has no file {name}; it holds {held}")
        data = self._files.get(name)
        if data is None:
            data = self._on_disk(name) if is_folder(self.path) else self._unpacked(name)
        self._verify(name, hashlib.sha256(data).hexdigest())
        return data

    def _verify(self, name: str, digest: str) -> None:
        if digest != self.digests[name]:
            raise BundleError(
                f"{self.path}: {name} is damaged (its SHA-256 is not the one in {MANIFEST}); fetch the bundle again"
            )

    def _covered(self, trust: Optional[Source], signature: Optional[Source]) -> Optional[Digests]:
        """The SHA-256 of every file that the signature names; None where none is asked for."""
        if trust is None:
            return None
        from serving import signature as signatures

        path = self._default_signature() if signature is None else Path(signature)
        cure = "name a PEM file with a public key or a certificate"
        pem = _contents(Path(trust), LARGEST_MANIFEST, cure)
        envelope = _contents(path, LARGEST_MANIFEST, "sign it", f"{self.path} is not signed: ")
        return signatures.verify(envelope, pem, str(path))

    def _listed(self, data: bytes, covered: Optional[Digests]) -> Digests:
        """SHA-256 by name, of a list that the signature covers."""
        digests = _parse(data)
        if covered is not None and covered != {
            **digests,
            MANIFEST: hashlib.sha256(data).hexdigest(),
        }:
            raise BundleError(
                f"{self.path} is not the bundle that was signed: its signature covers other files; fetch both again"
            )
        return digests

    def _check_archive(self, file: BinaryIO, covered: Optional[Digests]) -> str:
        """Verifies the files, each before the next one is unpacked. Returns the folder they would unpack to."""
        with self._sound():
            reader = archive.Reader(file)
            self.digests = self._listed(reader.first(MANIFEST, LARGEST_MANIFEST), covered)
            if "/" in reader.root or not _plain(reader.root):
                raise ValueError(f"its files lie in {reader.root!r}, expected one folder")
            for name in self.digests:
                self._check_pieces(name, reader.next(name))
            reader.end()
        return reader.root

    def _check_pieces(self, name: str, pieces: Iterator[bytes]) -> None:
        """Verifies a file of the archive, and keeps it where it is small. Raises ValueError for one that is too large."""
        largest = LARGEST.get(name, archive.LARGEST_BYTES)
        digest, size, kept = hashlib.sha256(), 0, bytearray()
        for piece in pieces:
            digest.update(piece)
            size += len(piece)
            if size > largest:
                raise ValueError(f"{name} has more than {largest:,} bytes")
            if size <= KEPT:
                kept += piece
        self._verify(name, digest.hexdigest())
        self._sizes[name] = size
        if size <= KEPT:
            self._files[name] = bytes(kept)

    def _unpacked(self, name: str) -> bytes:
        """A file of the archive that was too large to keep."""
        with _opened(self.path) as file, self._sound():
            reader = archive.Reader(file)
            reader.first(MANIFEST, LARGEST_MANIFEST)
            for other in self.digests:
                pieces = reader.next(other)
                if other == name:
                    break
                for _ in pieces:
                    pass
            return b"".join(self._at_most(self._sizes[name], pieces))

    def _at_most(self, size: int, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Raises ValueError where the archive has changed, and there is more than was verified."""
        for piece in pieces:
            size -= len(piece)
            if size < 0:
                raise ValueError("a file in it has grown")
            yield piece

    @contextmanager
    def _sound(self) -> Iterator[None]:
        """Raises BundleError for what the reader of archives raises."""
        try:
            yield
        except (ValueError, zlib.error, OSError) as error:
            raise BundleError(
                f"{self.path} is damaged or no bundle ({error}); fetch it again"
            ) from None

    def _check_folder(self, own: List[Path]) -> None:
        """Verifies the files. Of a signed folder, none may run as another user (set-uid, set-gid), and beside them
        it holds nothing but the caller's `own`."""
        for name in self.digests:
            self._verify(name, _sha256(self.path / name))
        if not self.signed:
            return
        for name in (*self.digests, MANIFEST):
            if (self.path / name).stat().st_mode & (stat.S_ISUID | stat.S_ISGID):
                raise BundleError(
                    f"{self.path} holds {name} with a set-uid or set-gid bit, which no bundle has; unpack it again"
                )
        kept = {path.resolve() for path in own}
        for path in sorted(self.path.rglob("*")):
            name = path.relative_to(self.path).as_posix()
            expected = is_folder(path) and not path.is_symlink()
            if not (expected or name in (*self.digests, MANIFEST) or path.resolve() in kept):
                sentence = (
                    f"holds {name}, which its {MANIFEST} does not name; fetch the bundle again"
                )
                raise BundleError(f"{self.path} {sentence}")

    def _on_disk(self, name: str) -> bytes:
        return _contents(self.path / name, LARGEST.get(name, archive.LARGEST_BYTES))

    def _default_signature(self) -> Path:
        path = self.path.resolve()  # `.` has no name of its own
        name = path.name[: -len(SUFFIX)] if path.name.endswith(SUFFIX) else path.name
        return path.with_name(name + SIGNATURE_SUFFIX)


def is_folder(path: Source) -> bool:
    """Without the error that Path.is_dir has for a name that is too long or in a closed folder: who reads it will tell."""
    return os.path.isdir(path)  # noqa: PTH112


def locate(path: Path) -> Path:
    """The bundle that `path` means: itself, or the only bundle in it. Raises BundleError."""
    if not is_folder(path) or os.path.exists(path / MANIFEST):  # noqa: PTH110  for the same reason
        return path
    found = sorted(
        [*path.glob(f"*{SUFFIX}"), *(entry.parent for entry in path.glob(f"*/{MANIFEST}"))]
    )
    if len(found) == 1:
        return found[0]
    if not found:
        raise BundleError(
            f"{path} is no bundle and holds none; name a {SUFFIX} of a bundle or the folder it was unpacked to"
        )
    names = " and ".join(entry.name for entry in found[:2])
    raise BundleError(f"{path} holds {len(found)} bundles, {names}; name one of them")


def _opened(path: Path, cure: str = NAME_A_BUNDLE, before: str = "") -> BinaryIO:
    """A file to read, and no pipe or device, which might never end. Raises BundleError."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):  # of a folder the system tells what is wrong
            return path.open("rb")
        reason = "it is not a file"
    except OSError as error:
        reason = str(error.strerror)
    except ValueError as error:  # a NUL in its name
        reason = str(error)
    raise BundleError(f"{before}{path} is not readable ({reason}); {cure}")


def _contents(path: Path, largest: int, cure: str = NAME_A_BUNDLE, before: str = "") -> bytes:
    """The bytes of a file that has at most `largest`. Raises BundleError."""
    with _opened(path, cure, before) as file:
        size = os.fstat(
            file.fileno()
        ).st_size  # more is not asked for: Python makes room for all of it
        data = file.read(min(size, largest) + 1)
    if len(data) > largest:
        raise BundleError(f"{before}{path} is too large (more than {largest:,} bytes); {cure}")
    return data


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with _opened(path) as file:
        for chunk in iter(lambda: file.read(CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()


def _parse(data: bytes) -> Digests:
    """SHA256SUMS -> SHA-256 by name; only the very bytes that `listing` writes will do."""
    digests: Digests = {}
    try:
        for line in data.decode().splitlines():
            digest, name = line[:64], line[66:]
            if len(bytes.fromhex(digest)) != 32:
                raise ValueError("a line does not begin with a SHA-256")
            if not _plain(name):
                raise ValueError(f"not every system can hold a file named {name[:80]!r}")
            digests[name] = digest
        if data != listing(digests) or FILE not in digests:
            raise ValueError(f"it is not a sorted list of files with {FILE}")
        folders = {str(folder) for name in digests for folder in PurePosixPath(name).parents}
        names = [MANIFEST, *digests, *folders]
        if len({name.lower() for name in names}) < len(names):
            raise ValueError("two of its names are one on some systems")
    except ValueError as error:
        raise BundleError(
            f"the {MANIFEST} of the bundle is damaged ({error}); fetch the bundle again"
        ) from None
    return digests


def _plain(name: str) -> bool:
    """A relative path that stays inside the bundle and that every system can hold."""
    return all(PART.fullmatch(part) and not DEVICE.fullmatch(part) for part in name.split("/"))
