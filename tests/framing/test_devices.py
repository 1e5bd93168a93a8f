"""Pictures as a device in C gets them: JPEG files, and frames of a camera."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.files.pictures.picture_file import Framing
from serving import photo
from serving.framing import frame
from tests.conftest import ROOT
from tests.framing.conftest import FRAMINGS, SHAPES, c_arguments, framed_in_c, turned
from tests.test_browser import sheets
from tests.test_photo import card


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": "4:4:4"}])
def test_a_jpeg_differs_in_c_by_three_levels_at_most_and_a_cut_one_is_refused(
    tmp_path: Path, in_c: Path, options: dict[str, Any]
) -> None:
    """No standard says how a decoder rounds, nor how it enlarges the colours of a JPEG."""
    cases: list[tuple[Path, Framing, tuple[int, int, int]]] = []
    for number, pixels in enumerate([*sheets(8, 3), *sheets(3, 1)]):
        path, channels = tmp_path / f"{number}.jpg", 3 if number % 3 else 1
        with_exif = {"exif": turned(number % 9), **options}
        Image.fromarray(pixels).save(path, quality=80, **with_exif)
        cases.append((path, FRAMINGS[number % 4], (40, 32, channels)))
    expected = [photo.read(path, card("npz", shape, framing)) for path, framing, shape in cases]
    pixels = framed_in_c(in_c, cases).astype(int)
    differences = np.abs(pixels - np.concatenate([image.ravel() for image in expected]))
    assert differences.max() <= 3
    assert differences.mean() < 0.3
    data = cases[0][0].read_bytes()
    for length in np.linspace(9, len(data) - 2, 12).astype(int):
        (tmp_path / "cut.jpg").write_bytes(data[:length])
        words = (*c_arguments("resize", (9, 9, 1)), "0", "0", "0", str(tmp_path / "cut.jpg"))
        done = subprocess.run([in_c, *words], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (1, ""), length
        assert "cut short" in done.stderr


CAMERA = (97, 61)  # pixels, width and height
FORMATS = {"L": 1, "RGB": 3, "RGB565, low byte first": 5, "RGB565, high byte first": 6}


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_a_frame_of_a_camera_becomes_what_python_makes_of_it(
    tmp_path: Path, in_c: Path, form: str
) -> None:
    width, height = CAMERA
    dice = np.random.default_rng(0)
    if form.startswith("RGB565"):
        packed = dice.integers(0, 1 << 16, (height, width)).astype(np.uint16)
        sent = packed.astype("<u2" if "low" in form else ">u2").tobytes()
        colours = [packed >> 11, packed >> 5 & 63, packed & 31]
        wide = [colours[0] << 3 | colours[0] >> 2, colours[1] << 2 | colours[1] >> 4]
        picture = Image.fromarray(
            np.dstack([*wide, colours[2] << 3 | colours[2] >> 2]).astype("u1")
        )
    else:
        picture = Image.effect_noise(CAMERA, 90).convert(form)
        sent = picture.tobytes()
    (tmp_path / "frame").write_bytes(sent)
    arguments, expected = [], b""
    for framing in FRAMINGS:
        for shape in SHAPES:
            words = (*c_arguments(framing, shape), *map(str, CAMERA), str(FORMATS[form]))
            arguments += [*words, str(tmp_path / "frame")]
            converted = picture.convert("L" if shape[2] == 1 else "RGB")
            expected += frame(converted, (shape[1], shape[0]), framing).tobytes()
    done = subprocess.run([in_c, *arguments], capture_output=True, check=True)
    assert done.stdout == expected


@pytest.mark.slow
def test_the_frame_of_a_small_camera_needs_the_memory_that_the_documentation_says(
    tmp_path: Path, in_c: Path
) -> None:
    (tmp_path / "frame").write_bytes(bytes(320 * 240 * 2))
    needed = []
    for framing in ("resize", "letterbox", "centre_crop"):
        words = (*c_arguments(framing, (96, 96, 3)), "320", "240", "6", str(tmp_path / "frame"))
        done = subprocess.run([in_c, *words], capture_output=True, check=True)
        needed.append(int(done.stderr))
    page = (ROOT / "docs/microcontroller.md").read_text(encoding="utf-8")
    assert f"{max(needed):,} bytes of scratch memory" in page
