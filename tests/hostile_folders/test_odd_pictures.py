"""Pictures of odd names, modes and places, all of which are used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.hostile_folders.conftest import GOOD, encoded, prepared, scene


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
