"""Attacks on a bundle's archive: each is refused in one sentence, or its content is the same."""

from __future__ import annotations

import io
import random
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from pipeline.bundle import archive as archives
from serving import Bundle, BundleError
from serving import archive as layout
from serving.bundle import KEPT
from serving.checksums import MANIFEST, manifest
from tests.hostile_bundles import MEMORY, ROOT_FOLDER, Files, bomb, opened_in_a_process, packed

pytestmark = [pytest.mark.slow, pytest.mark.attacks]


BLOCK = layout.BLOCK


def header(
    name: str, size: int, layout: Literal[0, 1, 2] = tarfile.USTAR_FORMAT, **fields: Any
) -> bytes:
    """A header as tarfile makes it, with other `fields`."""
    info = tarfile.TarInfo(name)
    info.size = size
    for field, value in fields.items():
        setattr(info, field, value)
    return info.tobuf(format=layout)


def member(name: str, data: bytes, **fields: Any) -> bytes:
    return header(name, len(data), **fields) + data + bytes(-len(data) % BLOCK)


def pax(kind: bytes, **records: str) -> bytes:
    """A pax header; each of its records begins with its own length."""
    lines = b""
    for key, value in records.items():
        rest = f" {key.replace('__', '.')}={value}\n".encode()
        length = next(n for n in range(len(rest), len(rest) + 6) if n == len(rest) + len(str(n)))
        lines += str(length).encode() + rest
    return member("PaxHeader", lines, type=kind)


@pytest.fixture(scope="module")
def parts(files: Files) -> list[tuple[str, bytes]]:
    """The names and contents in the archive of `files`, in its order."""
    return [
        (f"{ROOT_FOLDER}/{name}", data)
        for name, data in {MANIFEST: manifest(files), **dict(sorted(files.items()))}.items()
    ]


def tar_of(parts: list[tuple[str, bytes]]) -> bytes:
    content = b"".join(
        layout.header(name, len(data)) + data + layout.filling(len(data)) for name, data in parts
    )
    return content + layout.ending(len(content))


@pytest.fixture
def attack(tmp_path: Path, files: Files) -> Callable[[bytes], str]:
    """Opens an archive: why it is refused, or "" if it holds exactly `files`."""

    def opened(blob: bytes) -> str:
        path = tmp_path / "attacked.tar.gz"
        path.write_bytes(blob)
        try:
            bundle = Bundle(path)
        except BundleError as error:
            assert str(error).isprintable()
            return str(error)
        assert {name: bundle.read(name) for name in bundle.digests} == files
        return ""

    return opened


def test_a_genuine_archive_is_accepted_and_tar_unpacks_what_was_verified(
    files: Files, parts: list[tuple[str, bytes]], attack: Callable[[bytes], str], tmp_path: Path
) -> None:
    assert attack(packed(tar_of(parts))) == ""
    subprocess.run(["tar", "xzf", "attacked.tar.gz"], cwd=tmp_path, check=True)
    root = tmp_path / "mnist-digits-1.0.0"
    unpacked = {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }
    assert unpacked == {**files, MANIFEST: manifest(files)}


def with_member(parts: list[tuple[str, bytes]], index: int, changed: bytes) -> bytes:
    """The tar with `changed` in place of one of its members."""
    members = [
        layout.header(name, len(data)) + data + layout.filling(len(data)) for name, data in parts
    ]
    members[index] = changed
    content = b"".join(members)
    return content + layout.ending(len(content))


def changes(parts: list[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """Tars that programs read differently, or that hold more than was signed."""
    name, data = parts[2]
    root = name.split("/")[0]
    own = layout.header(name, len(data)) + data + layout.filling(len(data))
    evil = b"#!/bin/sh\necho evil\n"
    whole = tar_of(parts)
    yield "pax path", with_member(parts, 2, pax(b"x", path=f"{root}/evil") + own)
    yield "pax size", with_member(parts, 2, pax(b"x", size="20") + own)
    yield "pax comment", with_member(parts, 2, pax(b"x", comment="nothing") + own)
    yield "pax link", with_member(parts, 2, pax(b"x", linkpath="/etc/passwd") + own)
    yield "pax for all", pax(b"g", path=f"{root}/evil") + whole
    sparse = pax(
        b"x",
        GNU__sparse__major="1",
        GNU__sparse__minor="0",
        GNU__sparse__name=name,
        GNU__sparse__realsize="9",
    )
    yield "pax sparse", with_member(parts, 2, sparse + own)
    yield "old sparse", with_member(parts, 2, member(name, data, type=b"S"))
    yield (
        "long name",
        with_member(parts, 2, member("././@LongLink", f"{root}/evil\0".encode(), type=b"L") + own),
    )
    yield (
        "long link",
        with_member(parts, 2, member("././@LongLink", b"/etc/passwd\0", type=b"K") + own),
    )
    yield "GNU magic", with_member(parts, 2, member(name, data, layout=tarfile.GNU_FORMAT))
    for kind in (b"\0", b"7", b"A"):
        yield f"type {kind!r}", with_member(parts, 2, member(name, data, type=kind))
    for kind in (b"1", b"2", b"3", b"4", b"5", b"6"):
        yield (
            f"type {kind!r}",
            with_member(parts, 2, header(name, 0, type=kind, linkname="/etc/passwd")),
        )
        yield (
            f"more of type {kind!r}",
            with_member(parts, 2, own + header(f"{root}/evil", 0, type=kind, linkname="/etc")),
        )
    for mode in (0o4755, 0o2755, 0o1777, 0o777, 0o755, 0o600, 0):
        yield f"mode {mode:o}", with_member(parts, 2, member(name, data, mode=mode))
    for field, value in (
        ("uid", 1),
        ("gid", 1),
        ("mtime", 1),
        ("uname", "root"),
        ("gname", "root"),
        ("linkname", "x"),
    ):
        yield field, with_member(parts, 2, member(name, data, **{field: value}))
    for other in (
        f"./{name}",
        f"/{name}",
        f"{root}//x",
        f"{root}/../x",
        f"{root}/evil",
        name.upper(),
        f"{name}/",
        f"{name} ",
    ):
        yield f"name {other}", with_member(parts, 2, member(other, data))
    yield "more", with_member(parts, 2, own + member(f"{root}/evil", evil))
    yield "twice", with_member(parts, 2, own + own)
    yield "less", with_member(parts, 2, b"")
    yield "another order", tar_of([parts[0], *reversed(parts[1:])])
    yield "no manifest", tar_of(parts[1:])
    yield "another root", tar_of([(name.replace(root, "evil"), data) for name, data in parts])
    yield (
        "two roots",
        tar_of([*parts[:2], *((name.replace(root, "evil"), data) for name, data in parts[2:])]),
    )
    yield "no root", tar_of([(name.partition("/")[2], data) for name, data in parts])
    yield "junk between", with_member(parts, 2, bytes(BLOCK) + own)
    yield "junk that is not a header", with_member(parts, 2, b"junk".ljust(BLOCK) + own)
    yield "padded with more than zeros", with_member(parts, 2, own[:-1] + b"!")
    yield "after the end", whole + member(f"{root}/evil", evil) + layout.ending(BLOCK)
    yield "more zeros", whole + bytes(layout.RECORD)
    yield "fewer zeros", whole[:-BLOCK]
    yield "no end", b"".join(member(*part) for part in parts)
    yield "a byte at the end", whole[:-1] + b"!"
    yield "nothing", b""
    yield "zeros", bytes(layout.RECORD)
    yield (
        "size in base 256",
        with_member(parts, 2, _with_size(own, b"\x80" + len(data).to_bytes(11, "big"))),
    )
    yield "size below 0", with_member(parts, 2, _with_size(own, b"-0000000001\0"))
    yield "size with blanks", with_member(parts, 2, _with_size(own, f"{len(data):11o} ".encode()))


def _with_size(own: bytes, field: bytes) -> bytes:
    return _summed(own[:124] + field + own[136:BLOCK]) + own[BLOCK:]


def _summed(block: bytes) -> bytes:
    """A header with its correct checksum."""
    blank = block[:148] + b" " * 8 + block[156:]
    return block[:148] + b"%06o\0 " % sum(blank) + block[156:]


def test_every_other_way_to_write_an_archive_is_refused(
    parts: list[tuple[str, bytes]], attack: Callable[[bytes], str]
) -> None:
    tried = {label: attack(packed(tar)) for label, tar in changes(parts)}
    assert len(tried) > 60
    assert not [label for label, sentence in tried.items() if not sentence]


def test_every_byte_of_a_header_is_checked(
    parts: list[tuple[str, bytes]], attack: Callable[[bytes], str]
) -> None:
    """With the old checksum of the header, and with the correct one."""
    tar = tar_of(parts)
    second = BLOCK + len(parts[0][1]) + len(layout.filling(len(parts[0][1])))
    for start in (0, second):
        for place in range(start, start + BLOCK):
            changed = bytearray(tar)
            changed[place] ^= 1 << random.Random(place).randrange(8)
            assert attack(packed(bytes(changed), 0)), place
            changed[start : start + BLOCK] = _summed(bytes(changed[start : start + BLOCK]))
            if bytes(changed) != tar:
                assert attack(packed(bytes(changed), 0)), place


def test_every_other_way_to_write_a_gzip_file_is_refused(
    parts: list[tuple[str, bytes]], attack: Callable[[bytes], str]
) -> None:
    tar = tar_of(parts)
    whole = packed(tar)
    body = whole[len(layout.GZIP_HEADER) :]
    other = io.BytesIO()
    with tarfile.open(fileobj=other, mode="w:gz") as evil:
        evil.addfile(tarfile.TarInfo("mnist-digits-1.0.0/evil"))
    for label, blob in {
        "a second member": whole + packed(b"more"),
        "a second archive": whole + other.getvalue(),
        "trailing data": whole + b"!",
        "trailing zeros": whole + bytes(512),
        "a name": b"\x1f\x8b\x08\x08" + layout.GZIP_HEADER[4:] + b"evil\0" + body,
        "a comment": b"\x1f\x8b\x08\x10" + layout.GZIP_HEADER[4:] + b"evil\0" + body,
        "an extra field": b"\x1f\x8b\x08\x04" + layout.GZIP_HEADER[4:] + b"\x04\0evil" + body,
        "a time": b"\x1f\x8b\x08\0\x01" + layout.GZIP_HEADER[5:] + body,
        "another checksum": whole[:-8] + bytes(4) + whole[-4:],
        "another length": whole[:-4] + bytes(4),
        "no checksum": whole[:-8],
        "cut short": whole[:-20],
        "not gzip": tar,
    }.items():
        assert attack(blob), label


def test_names_that_lead_outside_or_are_ambiguous_are_refused(
    files: Files, attack: Callable[[bytes], str]
) -> None:
    outside = ("../evil", "/evil", "a/../../evil", "a//b", "./a", "a\\b", "a\nb", "\x1b[31m")
    devices = (
        "NUL",
        "nul.txt",
        "a/Con",
        "com1.tar.gz",
        "a:b",
        "a.",
        "a./b",
        "a ",
        "e\u0301",
        "\u00e9",
    )
    for name in (
        *outside,
        *devices,
        "golden.npz/a",
        "Golden.npz",
        "PICTURES/a",
        "GOLDEN.npz/a",
        MANIFEST,
        "sha256sums",
    ):
        named = {**files, name: b"x"}
        members = [(MANIFEST, manifest(named)), *sorted(named.items())]
        parts = [(f"{ROOT_FOLDER}/{member}", data) for member, data in members]
        sentence = attack(packed(tar_of(parts)))
        assert sentence.startswith("the SHA256SUMS of the bundle is damaged ("), name


@pytest.mark.parametrize("name", ["a/" * 400_000 + "a", "a" * 800_000])
def test_a_list_of_endless_names_is_refused_in_bounded_memory(
    files: Files, tmp_path: Path, name: str
) -> None:
    """The folders of the first name would take 300 GB as texts."""
    path, listed = tmp_path / "deep.tar.gz", manifest({**files, name: b""})
    path.write_bytes(packed(tar_of([(f"{ROOT_FOLDER}/{MANIFEST}", listed)])))
    sentence, memory = opened_in_a_process(path)
    assert "not every system can hold a file named 'aa" in sentence.replace("/", "")
    assert memory < MEMORY


def test_a_long_name_is_split_as_every_tar_reads_it(files: Files, tmp_path: Path) -> None:
    long = f"{'folder/' * 15}{'name' * 10}"
    folder = tmp_path / "mnist-digits-1.0.0"
    for name, data in {**files, long: b"long"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    archives.write(folder, tmp_path / "long.tar.gz", folder.name)
    assert Bundle(tmp_path / "long.tar.gz").read(long) == b"long"
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "xzf", "../long.tar.gz"], cwd=tmp_path / "out", check=True)
    assert (tmp_path / "out" / folder.name / long).read_bytes() == b"long"


@pytest.mark.parametrize(
    ("size", "count"), [(1 << 30, 1), (8 << 20, 100)], ids=["one large file", "many files"]
)
def test_a_bomb_is_refused_in_bounded_memory(
    files: Files, tmp_path: Path, size: int, count: int
) -> None:
    path = tmp_path / "bomb.tar.gz"
    path.write_bytes(bomb(files, size, count))
    assert path.stat().st_size < 10 << 20
    sentence, memory = opened_in_a_process(path)
    assert "it unpacks to far more than a bundle of its size" in sentence
    assert memory < MEMORY


def test_a_file_that_grows_after_it_was_verified_is_not_unpacked_whole(
    files: Files, tmp_path: Path
) -> None:
    path, large = tmp_path / "grows.tar.gz", random.Random(0).randbytes(KEPT + 1)
    named = {**files, "large": large}
    parts = [
        (f"{ROOT_FOLDER}/{name}", data)
        for name, data in {MANIFEST: manifest(named), **dict(sorted(named.items()))}.items()
    ]
    path.write_bytes(packed(tar_of(parts)))
    opened = Bundle(path)
    assert opened.read("large") == large
    grown = [
        (name, data + bytes(20 << 20) if name.endswith("large") else data) for name, data in parts
    ]
    path.write_bytes(packed(tar_of(grown)))
    with pytest.raises(BundleError, match="a file in it has grown"):
        opened.read("large")
