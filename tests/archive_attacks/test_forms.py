"""Each other way to write the same archive is refused, or its content is the same."""

from __future__ import annotations

import io
import random
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from serving import archive as layout
from serving.checksums import MANIFEST, manifest
from tests.archive_attacks.conftest import BLOCK, header, member, tar_of
from tests.hostile_bundles import Files, packed

pytestmark = [pytest.mark.slow, pytest.mark.attacks]


def pax(kind: bytes, **records: str) -> bytes:
    """A pax header; each of its records begins with its own length."""
    lines = b""
    for key, value in records.items():
        rest = f" {key.replace('__', '.')}={value}\n".encode()
        length = next(n for n in range(len(rest), len(rest) + 6) if n == len(rest) + len(str(n)))
        lines += str(length).encode() + rest
    return member("PaxHeader", lines, type=kind)


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
    refusals = {label: attack(packed(tar)) for label, tar in changes(parts)}
    assert len(refusals) > 60
    assert not [label for label, sentence in refusals.items() if not sentence]


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
