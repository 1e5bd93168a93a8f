"""The model in C: its probabilities, the program that reads pictures, and the gate."""

from __future__ import annotations

import contextlib
import subprocess
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import params
from pipeline.embedded import __main__ as libraries
from pipeline.embedded import _c_names, _zig, c
from pipeline.embedded._proof import on_all_cores, prove
from pipeline.embedded._verified import VerifiedFile
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError
from pipeline.runtimes import environments
from serving import gate
from tests.conftest import ROOT, Project
from tests.png_files import chunk
from tests.server import png
from tests.test_embed import measured_facts
from tests.test_gate import gate_outcomes

pytestmark = pytest.mark.slow

PROGRAM = Path("embedded/c/programs") / f"classify-{c.HERE}"


def classify(
    finished: Project, *names: str, data: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [finished.folder / PROGRAM, *names], input=data, capture_output=True, check=False
    )


def three_images(finished: Project) -> Array:
    return np.asarray(np.load(finished.folder / "data/prepared/test/images.npy", mmap_mode="r")[:3])


def test_the_c_is_proven_on_all_test_images_and_equals_micro(finished: Project) -> None:
    measured = measured_facts(finished, "c")
    labels = np.load(finished.folder / "data/prepared/test/labels.npy")
    assert measured["test_images"] == len(labels) > measured["images_equal_to_micro"] == 50
    assert measured["state"] in ("proven", "not shown")
    assert set(measured["program_bytes"]) == {"aarch64", "armv7", "x86_64"}
    images = np.load(finished.folder / "data/prepared/test/images.npy")
    probabilities = on_all_cores(partial(c.classify, finished.folder / PROGRAM), images)
    assert measured["accuracy"] == (probabilities.argmax(1) == labels).mean()


def test_the_arena_is_smaller_than_that_of_micro(finished: Project) -> None:
    micro = measured_facts(finished, "microcontroller")
    assert measured_facts(finished, "c")["arena_bytes"] < micro["arena_bytes_measured"]


def test_the_c_reproduces_the_golden_vectors(finished: Project, tmp_path: Path) -> None:
    folder = finished.folder / "embedded/c"
    model = [path.relative_to(folder).as_posix() for path in (folder / c.SOURCES).rglob("*.c")]
    options = (*_zig.C99, "-I", c.SOURCES, "-Wall", "-Wextra", "-Wconversion", "-Werror")
    _zig.build(folder, [*model, "self_test.c"], tmp_path / "self_test", *options)
    done = subprocess.run([tmp_path / "self_test"], capture_output=True, text=True, check=True)
    assert "golden vectors, 0 of their outputs and classes differ" in done.stdout


def test_the_stack_of_a_call_is_that_of_the_network_and_its_deepest_layer() -> None:
    frame = "{}.c:1:6: warning: stack frame size ({}) exceeds limit (0) in 'f'"
    model = [("network", 40), ("layers/a", 100), ("layers/a", 20), ("layers/b", 90)]
    sizes = [("main", 900), *((f"{c.SOURCES}/{name}", size) for name, size in model)]
    assert c.deepest_call("\n".join(frame.format(*size) for size in sizes)) == 160


def test_c_that_differs_from_micro_is_refused(finished: Project, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n{finished.folder / PROGRAM} - | sed 's/\\t0\\t/\\t0.5\\t/'\n")
    program.chmod(0o755)
    with contextlib.chdir(finished.folder):
        model = VerifiedFile.load("tflite_int8", params.load())
        with pytest.raises(UserError, match=r"its C answers \d+ of 50 images unlike TensorFlow"):
            prove(model, partial(c.classify, program))


def test_the_program_reads_png_pgm_and_raw_pixels_alike(finished: Project, tmp_path: Path) -> None:
    pixels = three_images(finished)[0, ..., 0]
    (tmp_path / "a.png").write_bytes(png(pixels))
    (tmp_path / "a.pgm").write_bytes(b"P5 28 28 255\n" + pixels.tobytes())
    (tmp_path / "a.raw").write_bytes(pixels.tobytes())
    done = classify(finished, *(str(tmp_path / f"a.{kind}") for kind in ("png", "pgm", "raw")))
    answers = [line.split("\t", 1)[1] for line in done.stdout.decode().splitlines()]
    assert len(answers) == 3
    assert len(set(answers)) == 1
    assert sum(map(float, answers[0].split("\t")[1:])) == pytest.approx(1, abs=10 / 256)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "its 0 bytes are not a multiple of 784"),
        (b"x" * 785, "its 785 bytes are not a multiple of 784"),
        (png(np.zeros((28, 29), np.uint8)), "is 29 x 28 pixels; expected 28 x 28"),
        (png(np.zeros((28, 28), np.uint8))[:50], "cannot be read: cut short"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "cannot be read"),
        (b"P5 999999999 999999999 255\n", "cannot be read"),
    ],
)
def test_the_program_refuses_anything_but_an_image_in_one_message(
    finished: Project, data: bytes, message: str
) -> None:
    done = classify(finished, "-", data=data)
    assert done.returncode == 1
    assert message in done.stderr.decode()
    assert len(done.stderr.splitlines()) == 1
    assert not done.stdout


def test_the_program_refuses_a_png_with_any_bit_flipped(finished: Project) -> None:
    data = png(three_images(finished)[0, ..., 0])
    assert classify(finished, "-", data=data).returncode == 0
    for bit in np.random.default_rng(0).choice(8 * len(data), 200, replace=False).tolist():
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        done = classify(finished, "-", data=bytes(flipped))
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, b"", 1), bit


def test_the_program_checks_the_checksum_of_the_pixels_and_what_follows_the_end(
    finished: Project,
) -> None:
    data = png(three_images(finished)[0, ..., 0])
    start = data.index(b"IDAT") - 4
    length = int.from_bytes(data[start : start + 4], "big")
    before, pixels, after = (
        data[:start],
        data[start + 8 : start + 8 + length],
        data[start + 12 + length :],
    )
    expected = classify(finished, "-", data=data)
    parts = before + chunk(b"IDAT", pixels[:40]) + chunk(b"IDAT", pixels[40:]) + after
    assert classify(finished, "-", data=parts).stdout == expected.stdout
    wrong = before + chunk(b"IDAT", pixels[:-1] + bytes([pixels[-1] ^ 1])) + after
    for picture, fault in (
        (wrong, b"a checksum is wrong"),
        (data + b"more", b"something follows its end"),
        (data[:-12], b"cut short"),
    ):
        done = classify(finished, "-", data=picture)
        assert (done.returncode, done.stderr) == (1, b"error: - cannot be read: " + fault + b"\n")


def test_a_png_whose_pixels_unpack_to_far_more_than_its_size_is_refused(finished: Project) -> None:
    data = png(three_images(finished)[0, ..., 0])
    start = data.index(b"IDAT") - 4
    content = zlib.compress(bytes(64 << 20))
    done = classify(finished, "-", data=data[:start] + chunk(b"IDAT", content) + data[-12:])
    assert done.returncode == 1
    assert done.stderr == b"error: - cannot be read: its pixels cannot be unpacked\n"


GATE = r"""
#include <stdio.h>
#include "gate.h"
int main(void)
{
    double lost, gained, total, allowed, low, high;
    while (scanf("%lf %lf %lf %lf", &lost, &gained, &total, &allowed) == 4) {
        gate_interval(total - lost, total, &low, &high);
        printf("%d %.17g %.17g %.17g %.17g %ld\n", gate_exceeds(lost, gained, total, allowed),
               gate_bound(lost, gained, total), gate_mcnemar(lost, gained), low, high,
               gate_images_needed(allowed, lost / total, gained / total));
    }
    return 0;
}
"""


def test_the_gate_in_c_agrees_with_python(tmp_path: Path) -> None:
    (tmp_path / "gates.c").write_text(GATE)
    for name in ("gate.c", "gate.h"):
        (tmp_path / name).write_bytes((c.TEMPLATES / name).read_bytes())
    _zig.build(
        tmp_path,
        ["gates.c", "gate.c"],
        tmp_path / "gates",
        *_zig.C99,
        "-Wall",
        "-Wextra",
        "-Werror",
        "-lm",
    )
    outcomes = gate_outcomes()
    cases = "".join(" ".join(map(repr, outcome)) + "\n" for outcome in outcomes)
    done = subprocess.run(
        [tmp_path / "gates"], input=cases, capture_output=True, text=True, check=True
    )
    for outcome, line in zip(outcomes, done.stdout.splitlines(), strict=True):
        lost, gained, total, allowed = outcome
        exceeds, bound, p_value, low, high, needed = map(float, line.split())
        assert bool(exceeds) == gate.exceeds(lost, gained, total, allowed), outcome
        assert bound == pytest.approx(gate.accuracy_lost_bound(lost, gained, total), abs=1e-9), (
            outcome
        )
        assert p_value == pytest.approx(gate.mcnemar(lost, gained), abs=1e-9), outcome
        assert (low, high) == pytest.approx(
            gate.accuracy_interval(total - lost, total), abs=1e-9
        ), outcome
        assert int(needed) == (gate.images_needed(allowed, lost / total, gained / total) or 0), (
            outcome
        )


def test_any_class_name_becomes_a_c_string() -> None:
    assert (
        _c_names.quoted('a "b" \\ ??/ 5é\n') == '"a \\042b\\042 \\134 \\077\\077/ 5\\303\\251\\012"'
    )


def test_the_libraries_of_the_compiler_are_announced_and_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In an environment that shares all but its notes with the real one."""
    real, own = (folder / environments.EMBEDDED for folder in (environments.FOLDER, tmp_path))
    (own / "zig").mkdir(parents=True)
    for path in [*real.iterdir(), *(real / "zig").iterdir()]:
        if not path.name.startswith("zig"):
            (own / path.relative_to(real)).symlink_to(path)
    monkeypatch.setattr(environments, "FOLDER", tmp_path)
    monkeypatch.chdir(ROOT)
    libraries.main()
    first, *others = capsys.readouterr().out.splitlines()
    names = [target[1] for target in libraries.compiler_targets(params.load().embed)]
    assert first == (
        f"compiling the C libraries of {', '.join(names)}, once, half a minute each on one core"
    )
    assert sorted(others) == sorted(f"the C library of {name} is ready" for name in names)
    libraries.main()
    assert capsys.readouterr().out == ""
