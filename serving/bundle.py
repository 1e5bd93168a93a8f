"""A bundle: a folder or its .tar.gz. Every file's checksum is verified before the file is parsed.

Opening a bundle verifies all files against `SHA256SUMS`; reading a file verifies the bytes that
are returned. If a signature is required, it is verified first and must cover exactly these files:
of an unsigned archive nothing but the list of checksums is read.
"""

from __future__ import annotations

import hashlib
import os
import stat
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Dict, Iterator, List, Optional, Union

from serving import archive, checksums, model_card
from serving.checksums import MANIFEST, Digests
from serving.errors import BundleError
from serving.model_card import FILE, ModelCard
from serving.versions import older

SUFFIX = ".tar.gz"
SIGNATURE_SUFFIX = ".sig"
LARGEST_MANIFEST = 1 << 20  # bytes; also of a signature or a PEM file
CHUNK = 1 << 20
# The archive's own limit holds for all other files.
LARGEST = {MANIFEST: LARGEST_MANIFEST, FILE: model_card.LARGEST_BYTES}
# Bytes: larger files of an archive are not kept in memory but unpacked again when they are read.
KEPT = 64 << 10
NAME_A_BUNDLE = "name a bundle, or fetch it again"
Source = Union[str, Path]


class Bundle:
    """The files of one bundle. Each is verified whenever it is read."""

    def __init__(
        self,
        path: Source,
        trust: Optional[Source] = None,
        signature: Optional[Source] = None,
        draft: bool = False,
        at_least: Optional[str] = None,
    ) -> None:
        """Opens and verifies the bundle at `path`, or the only bundle in the folder `path`.

        `trust` is a PEM file with the maker's public key or a certificate authority. If it is
        given, the bundle must be signed; `signature` defaults to `<name>-<version>.sig` beside the
        bundle. `draft` accepts a bundle that is marked as not proven. A version older than
        `at_least` is refused. Raises BundleError.
        """
        if signature is not None and trust is None:
            cure = "name the maker's public key or certificate authority there"
            raise BundleError(f"the signature {signature} is checked only with --trust; {cure}")
        self.path = locate(Path(path))
        self.signed = trust is not None
        self._files: Dict[str, bytes] = {}  # the small files of an archive
        self._sizes: Dict[str, int] = {}  # all files of an archive
        root = None
        if is_folder(self.path):
            covered = self._covered(trust, signature)
            self.digests = self._listed(self._on_disk(MANIFEST), covered)
            self._check_folder([Path(own) for own in (trust, signature) if own is not None])
        else:
            with _open_file(self.path) as file:
                covered = self._covered(trust, signature)
                root = self._check_archive(file, covered)
        self.card = ModelCard.parse(self.read(FILE))
        self._check_card(root, draft, at_least)

    def _check_card(self, root: Optional[str], draft: bool, at_least: Optional[str]) -> None:
        """Raises BundleError unless the card is acceptable and belongs to these files.

        `root` is the folder that an archive would be unpacked to.
        """
        card = self.card
        if at_least is not None and older(card.version, at_least):
            raise BundleError(
                f"{self.path} has version {card.version}, older than {at_least}; "
                "fetch a newer bundle"
            )
        if card.not_proven and not draft:
            raise BundleError(f"{self.path} is {card.draft}; open it with --draft to try it anyway")
        for entry in card.files:
            if self.digests.get(entry.file) != entry.sha256:
                raise BundleError(
                    f"{self.path}: {entry.file} is not the file that was verified "
                    "(its SHA-256 differs); make the bundle again"
                )
        expected = f"{card.name}-{card.version}"
        if root not in (None, expected):  # no signature covers it
            raise BundleError(
                f"{self.path} would unpack to the folder {root}, expected {expected}; "
                "fetch it again"
            )

    def read(self, name: str) -> bytes:
        """The verified bytes of one file. Raises BundleError."""
        if name not in self.digests:
            names = ", ".join(self.digests)
            raise BundleError(f"{self.path} has no file {name}; it holds {names}")
        data = self._files.get(name)
        if data is None:
            data = self._on_disk(name) if is_folder(self.path) else self._unpacked(name)
        self._verify(name, hashlib.sha256(data).hexdigest())
        return data

    def _verify(self, name: str, digest: str) -> None:
        if digest != self.digests[name]:
            raise BundleError(
                f"{self.path}: {name} is damaged (its SHA-256 is not the one in {MANIFEST}); "
                "fetch the bundle again"
            )

    def _covered(self, trust: Optional[Source], signature: Optional[Source]) -> Optional[Digests]:
        """The SHA-256 of every file that the signature names; None if none is required."""
        if trust is None:
            return None
        from serving import signature as signatures

        path = self._default_signature() if signature is None else Path(signature)
        cure = "name a PEM file with a public key or a certificate"
        pem = _contents(Path(trust), LARGEST_MANIFEST, cure)
        envelope = _contents(path, LARGEST_MANIFEST, "sign it", f"{self.path} is not signed: ")
        return signatures.verify(envelope, pem, str(path))

    def _listed(self, data: bytes, covered: Optional[Digests]) -> Digests:
        """Parses SHA256SUMS, which the signature must cover with all its files."""
        own = {MANIFEST: hashlib.sha256(data).hexdigest()}
        if covered is None:
            return checksums.parse(data)
        # Nothing that was not signed is parsed.
        digests = checksums.parse(data) if own.items() <= covered.items() else {}
        if covered != {**digests, **own}:
            raise BundleError(
                f"{self.path} is not the bundle that was signed: "
                "its signature covers other files; fetch both again"
            )
        return digests

    def _check_archive(self, file: BinaryIO, covered: Optional[Digests]) -> str:
        """Verifies each file before the next is unpacked. Returns the folder of the archive."""
        with self._archive_errors():
            reader = archive.Reader(file)
            self.digests = self._listed(reader.first(MANIFEST, LARGEST_MANIFEST), covered)
            if "/" in reader.root or not checksums.is_portable(reader.root):
                raise ValueError(f"its files lie in {reader.root!r}, expected one folder")
            for name in self.digests:
                self._check_pieces(name, reader.next(name))
            reader.end()
        return reader.root

    def _check_pieces(self, name: str, pieces: Iterator[bytes]) -> None:
        """Verifies a file of the archive and keeps it if it is small.

        Raises ValueError if it is too large.
        """
        largest = LARGEST.get(name, archive.LARGEST_BYTES)
        digest, size, content = hashlib.sha256(), 0, bytearray()
        for piece in pieces:
            digest.update(piece)
            size += len(piece)
            if size > largest:
                raise ValueError(f"{name} has more than {largest:,} bytes")
            if size <= KEPT:
                content += piece
        self._verify(name, digest.hexdigest())
        self._sizes[name] = size
        if size <= KEPT:
            self._files[name] = bytes(content)

    def _unpacked(self, name: str) -> bytes:
        """A file of the archive that was too large to keep."""
        with _open_file(self.path) as file, self._archive_errors():
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
        """Raises ValueError if the archive now holds more than was verified."""
        for piece in pieces:
            size -= len(piece)
            if size < 0:
                raise ValueError("a file in it has grown")
            yield piece

    @contextmanager
    def _archive_errors(self) -> Iterator[None]:
        """Turns the errors of the archive reader into BundleError."""
        try:
            yield
        except (ValueError, zlib.error, OSError) as error:
            raise BundleError(
                f"{self.path} is damaged or not a bundle ({error}); fetch it again"
            ) from None

    def _check_folder(self, own: List[Path]) -> None:
        """Verifies the files.

        A signed folder may hold nothing else but the caller's `own` files, and no file that runs
        as another user (set-uid, set-gid).
        """
        for name in self.digests:
            self._verify(name, _sha256(self.path / name))
        if not self.signed:
            return
        for name in (*self.digests, MANIFEST):
            if (self.path / name).stat().st_mode & (stat.S_ISUID | stat.S_ISGID):
                raise BundleError(
                    f"{self.path} holds {name} with a set-uid or set-gid bit, "
                    "which no bundle has; unpack it again"
                )
        callers = {path.resolve() for path in own}
        for path in sorted(self.path.rglob("*")):
            name = path.relative_to(self.path).as_posix()
            expected = is_folder(path) and not path.is_symlink()
            if not (expected or name in (*self.digests, MANIFEST) or path.resolve() in callers):
                raise BundleError(
                    f"{self.path} holds {name}, which its {MANIFEST} does not name; "
                    "fetch the bundle again"
                )

    def _on_disk(self, name: str) -> bytes:
        return _contents(self.path / name, LARGEST.get(name, archive.LARGEST_BYTES))

    def _default_signature(self) -> Path:
        path = self.path.resolve()  # `.` has no name of its own
        name = path.name[: -len(SUFFIX)] if path.name.endswith(SUFFIX) else path.name
        return path.with_name(name + SIGNATURE_SUFFIX)


def is_folder(path: Source) -> bool:
    """Path.is_dir raises for a name that is too long or in a closed folder; reading reports it."""
    return os.path.isdir(path)  # noqa: PTH112


def locate(path: Path) -> Path:
    """The bundle at `path`, or the only bundle in that folder. Raises BundleError."""
    if not is_folder(path) or os.path.exists(path / MANIFEST):  # noqa: PTH110  as in is_folder
        return path
    folders = [entry.parent for entry in path.glob(f"*/{MANIFEST}")]
    bundles = sorted([*path.glob(f"*{SUFFIX}"), *folders])
    if len(bundles) == 1:
        return bundles[0]
    if not bundles:
        raise BundleError(
            f"{path} is not a bundle and holds none; "
            f"name a {SUFFIX} of a bundle or the folder it was unpacked to"
        )
    names = " and ".join(entry.name for entry in bundles[:2])
    raise BundleError(f"{path} holds {len(bundles)} bundles, {names}; name one of them")


def _open_file(path: Path, cure: str = NAME_A_BUNDLE, before: str = "") -> BinaryIO:
    """Opens a regular file: a pipe or a device might never end. Raises BundleError."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):  # opening a folder raises a clear error
            return path.open("rb")
        reason = "it is not a file"
    except OSError as error:
        reason = str(error.strerror)
    except ValueError as error:  # a NUL in its name
        reason = str(error)
    raise BundleError(f"{before}{path} is not readable ({reason}); {cure}")


def _contents(path: Path, largest: int, cure: str = NAME_A_BUNDLE, before: str = "") -> bytes:
    """The bytes of a file, at most `largest`. Raises BundleError."""
    with _open_file(path, cure, before) as file:
        # No more than its size: Python allocates everything that is asked for.
        size = os.fstat(file.fileno()).st_size
        data = file.read(min(size, largest) + 1)
    if len(data) > largest:
        raise _too_large(f"{before}{path}", largest, cure)
    return data


def _sha256(path: Path) -> str:
    """Of a file that is no larger than one in an archive may be. Raises BundleError."""
    digest = hashlib.sha256()
    with _open_file(path) as file:
        if os.fstat(file.fileno()).st_size > archive.LARGEST_BYTES:
            raise _too_large(str(path), archive.LARGEST_BYTES, NAME_A_BUNDLE)
        for chunk in iter(lambda: file.read(CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()


def _too_large(name: str, largest: int, cure: str) -> BundleError:
    return BundleError(f"{name} is too large (more than {largest:,} bytes); {cure}")
