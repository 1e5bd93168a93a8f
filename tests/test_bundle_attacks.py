"""Attacks on a bundle before anything vouches for it: each is refused in one sentence, or it is the very same content."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import random
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import pytest

from pipeline.bundle import archive as archives
from serving import Bundle, BundleError
from serving import archive as layout
from serving.__main__ import main
from serving.bundle import KEPT
from serving.checksums import MANIFEST, listing, manifest
from serving.model_card import FILE, ModelCard
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

FORMAT = "onnx_float32"
ROOT_FOLDER = "mnist-digits-1.0.0"
BLOCK = layout.BLOCK
MEMORY = (
    160 << 20
)  # bytes that a process may take to refuse a bundle; Python and numpy take 40 MB of them
Files = dict[str, bytes]


def packed(tar: bytes, level: int = 1) -> bytes:
    """A gzip stream that begins as our archives do."""
    deflate = zlib.compressobj(level, wbits=-15)
    body = deflate.compress(tar) + deflate.flush()
    return (
        layout.GZIP_HEADER
        + body
        + zlib.crc32(tar).to_bytes(4, "little")
        + len(tar).to_bytes(4, "little")
    )


def header(
    name: str, size: int, layout: Literal[0, 1, 2] = tarfile.USTAR_FORMAT, **fields: Any
) -> bytes:
    """A header as tarfile makes it, with other fields than ours where they are named."""
    info = tarfile.TarInfo(name)
    info.size = size
    for field, value in fields.items():
        setattr(info, field, value)
    return info.tobuf(format=layout)


def member(name: str, data: bytes, **fields: Any) -> bytes:
    return header(name, len(data), **fields) + data + bytes(-len(data) % BLOCK)


def pax(kind: bytes, **records: str) -> bytes:
    """A pax header, whose records each begin with their own length."""
    lines = b""
    for key, value in records.items():
        rest = f" {key.replace('__', '.')}={value}\n".encode()
        length = next(n for n in range(len(rest), len(rest) + 6) if n == len(rest) + len(str(n)))
        lines += str(length).encode() + rest
    return member("PaxHeader", lines, type=kind)


@pytest.fixture(scope="module")
def files(archive: Path) -> Files:
    """A whole bundle of one file, which is small enough to be attacked a thousand times."""
    opened = Bundle(archive)
    card = json.loads(opened.read(FILE))
    card["files"] = [file for file in card["files"] if file["format"] == FORMAT]
    card["embedded"], card["reference"] = [], None
    names = (f"{FORMAT}.onnx", "golden.npz", "pictures/confusion.png")
    return {FILE: json.dumps(card).encode(), **{name: opened.read(name) for name in names}}


@pytest.fixture(scope="module")
def parts(files: Files) -> list[tuple[str, bytes]]:
    """What lies in the archive of `files`, in its order."""
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
    """Opens an archive; the sentence that it is refused with, or nothing where it holds what ours does."""

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


def test_our_own_archive_is_accepted_and_tar_unpacks_what_was_verified(
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
    """The tar with `changed` in the place of one of its members."""
    members = [
        layout.header(name, len(data)) + data + layout.filling(len(data)) for name, data in parts
    ]
    members[index] = changed
    content = b"".join(members)
    return content + layout.ending(len(content))


def changes(parts: list[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """Tars that programs read in different ways, or that bring more than was signed."""
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
    yield "junk that is no header", with_member(parts, 2, b"junk".ljust(BLOCK) + own)
    yield "filled up with more than zeros", with_member(parts, 2, own[:-1] + b"!")
    yield "behind the end", whole + member(f"{root}/evil", evil) + layout.ending(BLOCK)
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
    """A header with the checksum that it must have."""
    blank = block[:148] + b" " * 8 + block[156:]
    return block[:148] + b"%06o\0 " % sum(blank) + block[156:]


def test_every_other_way_to_write_an_archive_is_refused(
    parts: list[tuple[str, bytes]], attack: Callable[[bytes], str]
) -> None:
    tried = {label: attack(packed(tar)) for label, tar in changes(parts)}
    assert len(tried) > 60
    assert not [label for label, sentence in tried.items() if not sentence]


def test_every_byte_of_a_header_is_looked_at(
    parts: list[tuple[str, bytes]], attack: Callable[[bytes], str]
) -> None:
    """As it is, and with the checksum of the header put right."""
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
        "no gzip": tar,
    }.items():
        assert attack(blob), label


def test_names_that_lead_elsewhere_or_are_two_things_at_once_are_refused(
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
        content = [(MANIFEST, manifest(named)), *sorted(named.items())]
        told = attack(packed(tar_of([(f"{ROOT_FOLDER}/{each}", data) for each, data in content])))
        assert told.startswith("the SHA256SUMS of the bundle is damaged ("), name


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


ZEROS = 1 << 20


def bomb(files: Files, size: int, count: int) -> bytes:
    """An archive of `files` and `count` files of `size` zeros, as its list of checksums says."""
    digest = hashlib.sha256()
    for _ in range(size // ZEROS):
        digest.update(bytes(ZEROS))
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    zeros = {f"zeros-{index:03}": digest.hexdigest() for index in range(count)}
    blob, written, checksum = [layout.GZIP_HEADER], 0, 0
    for chunk in _chunks(listing({**digests, **zeros}), files, zeros, size):
        blob.append(_deflated(chunk))
        written, checksum = written + len(chunk), zlib.crc32(chunk, checksum)
    end = layout.ending(written)
    last = zlib.compressobj(wbits=-15)
    blob += [last.compress(end) + last.flush(), zlib.crc32(end, checksum).to_bytes(4, "little")]
    return b"".join([*blob, (written + len(end)).to_bytes(4, "little")])


def _chunks(listed: bytes, files: Files, zeros: dict[str, str], size: int) -> Iterator[bytes]:
    for name, data in [(MANIFEST, listed), *sorted(files.items())]:
        yield layout.header(f"{ROOT_FOLDER}/{name}", len(data)) + data + layout.filling(len(data))
    for name in zeros:
        yield layout.header(f"{ROOT_FOLDER}/{name}", size)
        yield from [bytes(ZEROS)] * (size // ZEROS)


@cache
def _deflated(chunk: bytes) -> bytes:
    deflate = zlib.compressobj(1, wbits=-15)
    return deflate.compress(chunk) + deflate.flush(zlib.Z_FULL_FLUSH)


# The peak of the resource module would count what the tests' own process held when it started this one.
OPEN = """
import re, sys
from pathlib import Path
from serving import Bundle, BundleError
try:
    Bundle(*sys.argv[1:])
except BundleError as error:
    print(error)
print(1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]))
"""


@pytest.mark.parametrize(
    ("size", "count"), [(1 << 30, 1), (8 << 20, 100)], ids=["one large file", "many files"]
)
def test_a_bomb_is_refused_in_bounded_memory(
    files: Files, tmp_path: Path, size: int, count: int
) -> None:
    path = tmp_path / "bomb.tar.gz"
    path.write_bytes(bomb(files, size, count))
    assert path.stat().st_size < 10 << 20
    done = subprocess.run(
        [sys.executable, "-c", OPEN, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    sentence, memory = done.stdout.splitlines()
    assert "it unpacks to far more than a bundle of its size" in sentence
    assert int(memory) < MEMORY


@pytest.mark.parametrize("values", [8 << 20, 300_000], ids=["too large", "as large as it may be"])
def test_a_card_of_very_many_values_takes_little_memory(
    files: Files, tmp_path: Path, values: int
) -> None:
    many = files[FILE].replace(
        b'"provenance": {', b'"provenance": {"x": [' + b"[]," * values + b"0], "
    )
    for name, data in {**files, FILE: many}.items():
        (tmp_path / ROOT_FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / ROOT_FOLDER / name).write_bytes(data)
    archives.write(tmp_path / ROOT_FOLDER, tmp_path / "card.tar.gz", ROOT_FOLDER)
    for path in (tmp_path / "card.tar.gz", tmp_path / ROOT_FOLDER):
        done = subprocess.run(
            [sys.executable, "-c", OPEN, str(path)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        *sentence, memory = done.stdout.splitlines()
        assert ["1,048,576 bytes" in each for each in sentence] == (
            [True] if values > 300_000 else []
        )
        assert int(memory) < MEMORY


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


WRONG: tuple[Any, ...] = (
    *(None, "x", "", 1, -1, 0.5, True, [], {}, [[]], [1, 2, 3, 4]),
    *("\x1b[31mred", "\ud800", 10**30, float("nan"), 1e300, ...),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a JSON value; of a list, its first entry."""
    yield path
    entries = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value[:1])
        if isinstance(value, list)
        else ()
    )
    for key, inner in entries:
        yield from places(inner, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], other: Any) -> Any:
    """A JSON value with another one at that place; ... takes it out."""
    if not path:
        return other
    result = copy.copy(value)
    if path[1:] == () and other is ...:
        del result[path[0]]
    else:
        result[path[0]] = replaced(result[path[0]], path[1:], other) if path[1:] else other
    return result


def test_whatever_stands_in_a_card_has_the_type_of_its_field_or_is_refused(archive: Path) -> None:
    """A card that is accepted says the same when it is written again: nothing in it was converted or left out."""
    card, refused = json.loads(Bundle(archive).read(FILE)), 0
    card["provenance"]["params"] = {}  # as any other of its objects, and large
    for path in places(card):
        for other in WRONG[: None if path else -1]:
            changed = replaced(card, path, other)
            try:
                parsed = ModelCard.parse(json.dumps(changed).encode())
            except BundleError as error:
                refused += 1
                assert str(error).isprintable()
                assert str(error).startswith("model_card.json is not a model card (")
            else:
                again = json.loads(parsed.dump())
                assert {**again, **changed} == again or other is ..., path
    assert refused > 1500


def of(*path: Any, is_: Any) -> Callable[[Files], Files]:
    """The change of one place in the card."""
    return lambda files: {
        **files,
        FILE: json.dumps(replaced(json.loads(files[FILE]), path, is_)).encode(),
    }


def golden(**arrays: Any) -> Callable[[Files], Files]:
    """Other golden vectors; a text takes one of them away."""

    def changed(files: Files) -> Files:
        with np.load(io.BytesIO(files["golden.npz"])) as held:
            own = {**held, **arrays}
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer, **{name: array for name, array in own.items() if not isinstance(array, str)}
        )
        return {**files, "golden.npz": buffer.getvalue()}

    return changed


def no_array(name: str) -> Callable[[Files], Files]:
    """Golden vectors in which a text stands for an array."""
    return lambda files: {**files, "golden.npz": without_array(files["golden.npz"], name)}


def without_array(npz: bytes, name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(npz)) as held, zipfile.ZipFile(buffer, "w") as changed:
        for entry in held.namelist():
            changed.writestr(entry, b"text" if entry == f"{name}.npy" else held.read(entry))
    return buffer.getvalue()


def onnx_model(
    *nodes: Any, inputs: tuple[Any, ...] = (), constants: tuple[Any, ...] = ()
) -> Callable[[Files], Files]:
    """Another model, of which the card knows."""
    outputs = [onnx.helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, None)]
    graph = onnx.helper.make_graph(list(nodes), "graph", list(inputs), outputs, list(constants))
    data = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8
    ).SerializeToString()
    changed = of("files", 0, "sha256", is_=hashlib.sha256(data).hexdigest())
    return lambda files: {**changed(files), f"{FORMAT}.onnx": data}


IMAGE = onnx.helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, ["N", 28, 28, 1])
LARGE_SHAPE = onnx.helper.make_tensor("shape", onnx.TensorProto.INT64, [2], [10**7, 10**6])
PROOF = ("files", 0, "proofs", 0)


ATTACKS: dict[str, Callable[[Files], Files]] = {
    "a card of any depth": lambda files: {**files, FILE: b"[" * 100_000},
    "a card of any depth in an object": lambda files: {**files, FILE: b'{"a":' * 100_000},
    "a card that is no object": lambda files: {**files, FILE: b"[]"},
    "a card that is no JSON": lambda files: {**files, FILE: b"{"},
    "a card in no encoding": lambda files: {**files, FILE: b"\xff\xfe{\0}\0"},
    "a card with a field twice": lambda files: {
        **files,
        FILE: b'{"version": "2", ' + files[FILE][1:],
    },
    "a card with a field of nobody": of("colour", is_="red"),
    "a number of 10,000 digits": lambda files: {
        **files,
        FILE: files[FILE].replace(b"10000", b"1" * 10_000),
    },
    "a name that commands the terminal": of("name", is_="\x1b]0;mine\x07"),
    "a class that commands the terminal": of("class_names", 3, is_="3\x1b[2J"),
    "a class of two lines": of("class_names", 3, is_="3\nThis device may run it"),
    "a class that turns the line round": of("class_names", 3, is_="\u202e3"),
    "a class too few": of("class_names", is_=["0", "1"]),
    "no class": of("class_names", is_=[]),
    "a runtime of nobody": of("files", 0, "proofs", 0, "runtime", is_="none"),
    "a runtime of another kind": of("files", 0, "proofs", 0, "runtime", is_="tflite_runtime"),
    "a version of two words": of(
        "files", 0, "requirements", "minimum_runtime_version", is_="opset"
    ),
    "a version that is no number": of(
        "files", 0, "requirements", "minimum_runtime_version", is_="\u00b2.0"
    ),
    "an operator of no word": of("files", 0, "requirements", "operators", is_=[" "]),
    "an input of no size": of("input", "shape", is_=[28, 0, 1]),
    "an input of any size": of("input", "shape", is_=[10**9, 10**9, 1]),
    "an input of two dimensions": of("input", "shape", is_=[28, 28]),
    "an input of another shape": of("input", "shape", is_=[14, 14, 1]),
    "an input of another type": of("input", "type", is_="float64"),
    "a range that falls": of("input", "range", is_=[255, 0]),
    "a box outside the image": of("preprocessing", "box", is_=99),
    "a verdict of nobody": of(*PROOF, "verdict", is_="good"),
    "a proof of what did not run": of(*PROOF, "verdict", is_="could not run"),
    "no image": of(*PROOF, "images", is_=0),
    "images below 0": of(*PROOF, "images", is_=-1),
    "an accuracy above 1": of(*PROOF, "accuracy", is_=1.01),
    "an interval that falls": of(*PROOF, "accuracy_interval", is_=[0.9, 0.8]),
    "an interval outside": of(*PROOF, "accuracy_interval", is_=[-0.1, 0.8]),
    "a loss of any size": of(*PROOF, "accuracy_lost_bound", is_=1e308),
    "a gain of any size": of(*PROOF, "accuracy_lost_bound", is_=-1e308),
    "an agreement below 0": of(*PROOF, "agreement", is_=-0.5),
    "a time below 0": of(*PROOF, "median_milliseconds", is_=-1),
    "a tolerance of any size": of("files", 0, "golden_tolerance", is_=1e308),
    "no tolerance": of("files", 0, "golden_tolerance", is_=0),
    "no bytes": of("files", 0, "bytes", is_=0),
    "a test accuracy above 1": of("test_accuracy", is_=99.5),
    "a test interval outside": of("test_accuracy_interval", is_=[0.9, 1.5]),
    "no test image": of("test_images", is_=0),
    "a baseline below 0": of("baseline_accuracy", is_=-1),
    "acceptance images below 0": of("acceptance_images", is_=-1),
    "weights of two lines": of(
        "files", 0, "requirements", "weights", is_="float32\nThis device may run it"
    ),
    "a name of a file of two lines": of("files", 0, "file", is_="onnx_float32.onnx\n"),
    "a format of letters that nobody sees": lambda files: of(
        "files", 0, "format", is_="onnx\u200b"
    )(of("files", 0, "requirements", "minimum_runtime_version", is_="opset 999")(files)),
    "a method of two lines": of("preprocessing", "method", is_="mnist\n"),
    "golden images that are no array": no_array("images"),
    "golden answers that are no array": no_array(FORMAT),
    "a model without inputs": onnx_model(
        onnx.helper.make_node("Constant", [], ["probabilities"], value_float=0.1)
    ),
    "a node whose name commands the terminal": onnx_model(
        onnx.helper.make_node(
            "ConstantOfShape", ["shape"], ["large"], name="\x1b]0;mine\x07\nThis device may run it"
        ),
        onnx.helper.make_node("ReduceSum", ["large"], ["probabilities"], keepdims=0),
        inputs=(IMAGE,),
        constants=(LARGE_SHAPE,),
    ),
    "golden vectors that are text": lambda files: {**files, "golden.npz": b"text"},
    "golden vectors cut short": lambda files: {**files, "golden.npz": files["golden.npz"][:-50]},
    "golden vectors that are code": golden(images=np.array([{}], dtype=object)),
    "golden vectors of another shape": golden(images=np.zeros((2, 14, 14, 1), np.uint8)),
    "golden vectors of another type": golden(images=np.zeros((2, 28, 28, 1), np.int64)),
    "no golden vectors": golden(images=np.zeros((0, 28, 28, 1), np.uint8)),
    "golden vectors without images": golden(images=""),
    "golden vectors of no file": golden(onnx_float32=""),
    "golden answers of another shape": golden(onnx_float32=np.zeros((16, 3), np.float32)),
    "golden answers that are text": golden(onnx_float32=np.array(["text"] * 16)),
    "golden answers that are no number": golden(onnx_float32=np.full((16, 10), np.nan, np.float32)),
    "golden vectors that are a bomb": golden(bomb=np.zeros((100_000, 28, 28, 1), np.uint8)),
}


@pytest.mark.parametrize("label", ATTACKS)
def test_check_answers_in_one_sentence(
    label: str, files: Files, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, data in ATTACKS[label](files).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    archives.write(tmp_path, tmp_path.with_suffix(".tar.gz"), ROOT_FOLDER)
    for path in (tmp_path, tmp_path.with_suffix(".tar.gz")):
        assert main(["check", str(path)]) == 1
        told = capfd.readouterr()
        assert told.err == ""
        *facts, verdict = told.out.splitlines()
        assert verdict.startswith(
            "This device may not run it: " if not facts else "This device may not run mnist-digits"
        )
        assert all(line.isprintable() for line in told.out.splitlines())
        assert main(["predict", str(path), "none.png"]) == 1
        assert len(capfd.readouterr().err.splitlines()) == 1
