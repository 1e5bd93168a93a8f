"""Folders and zip files as nobody should send them: each ends in a count or in one sentence.

Each case adds something to 24 good pictures, whole `download` and `preprocess` run on it, and the
good pictures are all in the splits.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline import download, preprocess
from pipeline.config import params
from pipeline.files import artifacts
from pipeline.process.errors import UserError
from tests.conftest import OWN_PROBLEM, ROOT

GOOD = 24
Case = Callable[[Path], None]


def scene(seed: int, mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 24, 3), np.uint8)
    return Image.fromarray(pixels).convert(mode)


def encoded(seed: int, kind: str = "PNG", **options: Any) -> bytes:
    data = io.BytesIO()
    scene(seed).save(data, kind, **options)
    return data.getvalue()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for number in range(GOOD):
        path = tmp_path / "photos" / ("cat", "dog")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(number))
    return tmp_path / "photos"


def write_params(**values: Any) -> None:
    own = {"dataset.name": "image_folder", "dataset.path": "photos", "dataset.channels": 3}
    size = {"dataset.height": 12, "dataset.width": 12, "preprocess.subset": None}
    every = {**OWN_PROBLEM, **own, **size, **values}
    settings = params.override(params.load(ROOT / "params.yaml"), every)
    Path("params.yaml").write_text(settings.model_dump_json())


def prepared(**values: Any) -> int:
    """How many pictures are in the splits after `download` and `preprocess`."""
    write_params(**values)
    download.main()
    preprocess.main()
    return sum(len(artifacts.load_split(split)[1]) for split in ("train", "validation", "test"))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def pixel_bomb(root: Path) -> None:
    """A PNG of a few kilobytes that says it has 60,000 x 60,000 pixels."""
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(5_000_000)))
    (root / "cat/bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b""))


def links_in_circles(root: Path) -> None:
    (root / "cat/round").symlink_to(root)
    (root / "cat/self.png").symlink_to(root / "cat/self.png")
    (root / "dog/up").symlink_to("..")


def link_to_nothing(root: Path) -> None:
    (root / "cat/gone.png").symlink_to("/nowhere/at/all.png")


def link_to_a_device(root: Path) -> None:
    (root / "cat/zero.png").symlink_to("/dev/zero")


def unreadable(root: Path) -> None:
    """A regular file, of which even the superuser cannot read a byte."""
    (root / "cat/memory.png").symlink_to("/proc/self/mem")


def pipe(root: Path) -> None:
    os.mkfifo(root / "cat/pipe.png")


def empty_file(root: Path) -> None:
    (root / "cat/empty.png").touch()


def truncated_jpeg(root: Path) -> None:
    data = encoded(99, "JPEG")
    (root / "cat/half.jpg").write_bytes(data[: len(data) // 3])


def not_a_picture(root: Path) -> None:
    (root / "cat/page.jpg").write_text("<html>not found</html>")


def hidden_files(root: Path) -> None:
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._1.png", ".hidden.png"):
        (root / "cat" / name).write_bytes(encoded(99))


def stray_file_at_the_top(root: Path) -> None:
    (root / "stray.png").write_bytes(encoded(99))


LEFT_OUT: list[tuple[Case, str]] = [
    (pixel_bomb, "1 of 25 pictures could not be read: cat/bomb.png"),
    (links_in_circles, "leads to a folder that has been read already"),
    (link_to_nothing, r"left out 1 \(cat/gone.png\): it is not a file"),
    (link_to_a_device, r"left out 1 \(cat/zero.png\): it is not a file"),
    (unreadable, "1 of 25 pictures could not be read: cat/memory.png"),
    (pipe, r"left out 1 \(cat/pipe.png\): it is not a file"),
    (empty_file, "1 of 25 pictures could not be read: cat/empty.png"),
    (truncated_jpeg, "1 of 25 pictures could not be read: cat/half.jpg"),
    (not_a_picture, "1 of 25 pictures could not be read: cat/page.jpg"),
    (hidden_files, "left out 5 .*each is hidden or belongs to the operating system"),
    (stray_file_at_the_top, r"left out 1 \(stray.png\): it lies in no folder of a class"),
]


@pytest.mark.parametrize(("case", "count"), LEFT_OUT, ids=[case.__name__ for case, _ in LEFT_OUT])
def test_what_is_no_picture_is_counted_and_no_good_picture_is_lost(
    root: Path, case: Case, count: str, capsys: pytest.CaptureFixture[str]
) -> None:
    case(root)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert prepared() == GOOD
    assert re.search(count, capsys.readouterr().out)


def odd_names(root: Path) -> int:
    names = [
        *("new\nline.png", "tab\t.png", "'quote\".png", "-dash.png", "--help.png", "🐈.png"),
        *("%s{0}.png", "a,b;c.png", "$(id).png", "\x1b[31mred.png", f"{'x' * 251}.png"),
        *(
            " space .png",
            "e\u0301.png",
            "é.png",
            "CON.png",
            "Case.png",
            "case.png",
            "back\\slash.png",
        ),
    ]
    for number, name in enumerate(names):
        (root / "cat" / name).write_bytes(encoded(100 + number))
    return len(names)


def odd_class_name(root: Path) -> int:
    (root / "cat").rename(root / "ca\nt '🐈\" -x")
    return 0


def animated_gif(root: Path) -> int:
    frames = [scene(seed, "P") for seed in (100, 101)]
    frames[0].save(root / "cat/moving.gif", save_all=True, append_images=frames[1:])
    return 1


def unusual_modes(root: Path) -> int:
    scene(100, "CMYK").save(root / "cat/cmyk.jpg")
    grey = np.random.default_rng(101).integers(0, 65_536, (24, 24)).astype(np.uint16)
    Image.fromarray(grey).save(root / "cat/sixteen.png")
    scene(102, "1").save(root / "cat/bits.png")
    scene(103, "P").save(root / "cat/palette.png")
    scene(104, "LA").save(root / "cat/alpha.png")
    return 5


def rotations(root: Path) -> int:
    for turn in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = turn
        (root / f"cat/turned{turn}.jpg").write_bytes(encoded(100 + turn, "JPEG", exif=exif))
    return 8


def nested(root: Path) -> int:
    folder = root / "cat" / "/".join("d" * 200)
    folder.mkdir(parents=True)
    (folder / "deep.png").write_bytes(encoded(100))
    return 1


def link_to_a_folder_outside(root: Path) -> int:
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "far.png").write_bytes(encoded(100))
    (root / "cat/far").symlink_to(outside)
    return 1


@pytest.mark.parametrize(
    "case",
    [
        *(odd_names, odd_class_name, animated_gif, unusual_modes, rotations, nested),
        link_to_a_folder_outside,
    ],
)
def test_what_is_a_picture_is_used_whatever_it_is_called_and_wherever_it_lies(
    root: Path, case: Callable[[Path], int]
) -> None:
    more = case(root)
    assert prepared() == GOOD + more


def one_picture_in_a_class(root: Path) -> None:
    (root / "bird").mkdir()
    (root / "bird/1.png").write_bytes(encoded(99))


def a_class_of_none(root: Path) -> None:
    (root / "bird").mkdir()
    (root / "bird/1.png").write_text("nothing")


def name_that_is_not_utf_8(root: Path) -> None:
    os.close(os.open(os.fsencode(root / "cat") + b"/caf\xe9.png", os.O_CREAT))


def zip_bomb(root: Path) -> None:
    shutil.rmtree(root)
    with (
        zipfile.ZipFile(root, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file,
        file.open("cat/1.png", "w", force_zip64=True) as member,
    ):
        for _ in range(1100):
            member.write(bytes(2**20))


def damaged_zip(root: Path) -> None:
    shutil.rmtree(root)
    root.write_bytes(b"PK\x03\x04 and no more")


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        (one_picture_in_a_class, "class 'bird' has no image in the validation part"),
        (a_class_of_none, "class bird holds no readable picture"),
        (name_that_is_not_utf_8, "is not UTF-8"),
        (zip_bomb, "unpacks to"),
        (damaged_zip, "neither a folder nor a readable zip file"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_in_one_sentence(
    root: Path, case: Case, sentence: str
) -> None:
    case(root)
    with pytest.raises(UserError, match=sentence) as refused:
        prepared()
    assert "\n" not in str(refused.value)


def test_a_zip_file_of_odd_members_gives_its_good_pictures(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with zipfile.ZipFile("photos.zip", "w") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the duplicate name
        for path in sorted(root.rglob("*.png")):
            file.write(path, str(path.relative_to(root)))
        file.writestr("cat/0.png", encoded(0))
        file.writestr("../../evil.png", encoded(100))
        file.writestr("/etc/evil.png", encoded(101))
        file.writestr("cat/./evil.png", encoded(102))
    assert prepared(**{"dataset.path": "photos.zip"}) == GOOD
    assert "left out 3" in capsys.readouterr().out
    assert not list(Path("..").resolve().rglob("evil.png"))


@pytest.mark.parametrize("change", [Path.unlink, lambda path: path.write_bytes(encoded(999))])
def test_a_picture_that_vanishes_or_changes_after_download_is_named(
    root: Path, change: Callable[[Path], Any]
) -> None:
    write_params()
    download.main()
    change(root / "cat/4.png")
    with pytest.raises(UserError, match=r"cat/4\.png has changed since `download` read it"):
        preprocess.main()
    (root / "cat/4.png").write_bytes(encoded(4))
    preprocess.main()
