"""What is no picture is counted, and no good picture is lost."""

from __future__ import annotations

import os
import re
import warnings
import zipfile
from pathlib import Path

import pytest

from tests import png_files
from tests.hostile_folders.conftest import GOOD, Case, encoded, prepared


def pixel_bomb(root: Path) -> None:
    """A PNG of a few kilobytes that says it has 60,000 x 60,000 pixels."""
    (root / "cat/bomb.png").write_bytes(png_files.png((60_000, 60_000), 8, 2, bytes(5_000_000)))


def links_in_circles(root: Path) -> None:
    (root / "cat/round").symlink_to(root)
    (root / "cat/self.png").symlink_to(root / "cat/self.png")
    (root / "dog/up").symlink_to("..")


def link_to_nothing(root: Path) -> None:
    (root / "cat/gone.png").symlink_to("/nowhere/at/all.png")


def links_out_of_reach(root: Path) -> None:
    """As of a link into the folder of another user, which fails for the superuser too."""
    (root / "cat/far.png").symlink_to("x" * 300)
    (root / "cat/bird").symlink_to("x" * 300)


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
    (links_out_of_reach, r"left out 2 \(cat/bird, cat/far.png\): each could not be read"),
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
