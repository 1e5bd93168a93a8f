"""The command line on a device: pictures in, classes out, and one sentence for each mistake."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from serving.__main__ import main
from serving.checksums import manifest
from tests.conftest import ROOT, Project
from tests.device import Run, call, written_to
from tests.server import failed
from tests.waiting import SECONDS

pytestmark = pytest.mark.slow

HERE = (sys.executable, "-m", "serving")


@pytest.fixture
def pictures(finished: Project, tmp_path: Path) -> tuple[Path, list[int]]:
    """A folder of twelve test images as files, and their labels."""
    test = finished.folder / "data/prepared/test"
    images = np.load(test / "images.npy", mmap_mode="r")[:12]
    labels = np.load(test / "labels.npy")[:12]
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index, image in enumerate(images):
        Image.fromarray(image[..., 0]).save(folder / f"{index:02}.png")
    return folder, labels.tolist()


def test_pictures_files_folders_and_standard_input_are_classified(
    run: Run, archive: Path, pictures: tuple[Path, list[int]]
) -> None:
    folder, labels = pictures
    output = run("serving", "predict", archive, folder, "--output", "json").stdout
    lines = [json.loads(line) for line in output.splitlines()]
    predicted = [int(line["classes"][0]["class"]) for line in lines]
    assert np.mean(np.array(predicted) == labels) > 0.8
    first = folder / "00.png"
    table = run("serving", "predict", archive, first, "--top", 3).stdout
    assert table.startswith(f"{predicted[0]} ")
    assert table.count("%") == 3
    output = run("serving", "predict", archive, first, "--output", "csv", "--top", 2).stdout
    (row,) = csv.DictReader(io.StringIO(output))
    assert row["picture"] == str(first)
    assert float(row["probability_1"]) >= float(row["probability_2"])


def test_standard_input_is_a_picture(
    devices: dict[str, Path], archive: Path, pictures: tuple[Path, list[int]]
) -> None:
    with (pictures[0] / "00.png").open("rb") as file:
        command = [devices["litert"] / "serving", "predict", archive, "-", "--output", "json"]
        done = call(*command, stdin=file)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["picture"] == "standard input"


def test_one_bad_picture_is_named_and_the_others_are_classified(
    devices: dict[str, Path], archive: Path, pictures: tuple[Path, list[int]]
) -> None:
    folder, _ = pictures
    (folder / "05.png").write_text("no picture")
    done = call(devices["litert"] / "serving", "predict", archive, folder)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 11
    assert [line for line in done.stderr.splitlines() if line.startswith("error")] == [
        f"error: {folder / '05.png'} is not a picture; expected PNG, JPEG, BMP, GIF, TIFF, WEBP"
    ]


def test_a_pipe_does_not_hang_and_libtiff_prints_nothing(archive: Path, tmp_path: Path) -> None:
    """A pipe without a writer, and a TIFF for which libtiff itself writes to stderr."""
    os.mkfifo(tmp_path / "pipe.png")
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "damaged.tiff", compression="tiff_adobe_deflate")
    damaged = bytearray((tmp_path / "damaged.tiff").read_bytes())
    damaged[20:200] = bytes(180)
    (tmp_path / "damaged.tiff").write_bytes(damaged)
    arguments = ("predict", archive, tmp_path, tmp_path / "pipe.png")
    done = call(*HERE, *arguments, cwd=ROOT, timeout=SECONDS)
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if not line.startswith("INFO")]
    assert len(errors) == 3, done.stderr
    assert "damaged.tiff is not readable (decoder error -2)" in errors[0]
    assert errors[1] == errors[2]
    assert "pipe.png is not a file; name a picture: PNG, JPEG" in errors[1]


def test_output_onto_a_full_disk_is_one_sentence(
    archive: Path, pictures: tuple[Path, list[int]]
) -> None:
    for arguments in (("predict", archive, pictures[0]), ("check", archive)):
        with Path("/dev/full").open("w") as full:
            done = written_to(full, *HERE, *arguments)
        assert done.returncode == 1
        errors = [line for line in done.stderr.splitlines() if not line.startswith("INFO")]
        assert errors == ["error: [Errno 28] No space left on device"]


@pytest.mark.parametrize("output", ["table", "json", "csv"])
def test_a_closed_standard_output_is_no_fault(
    archive: Path, pictures: tuple[Path, list[int]], tmp_path: Path, output: str
) -> None:
    """As of a program that only wants the log."""
    command = [*HERE, "predict", str(archive), str(pictures[0] / "00.png"), "--output", output]
    log = tmp_path / "log.sqlite"
    closed = ["sh", "-c", '"$@" >&-', "sh", *command, "--log", str(log)]
    done = subprocess.run(closed, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert log.stat().st_size
    assert "Traceback" not in done.stderr


def test_a_picture_name_may_be_any_bytes(
    devices: dict[str, Path], archive: Path, pictures: tuple[Path, list[int]], tmp_path: Path
) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")
    next(pictures[0].glob("*.png")).rename(name)
    command = [devices["litert"] / "serving", "predict", archive, name]
    command += ["--output", "csv", "--log", "log.sqlite"]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}  # strict
    done = call(*command, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].startswith(f"{tmp_path}/\\xff.png,")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_class_names_in_letters_that_the_terminal_lacks_are_escaped(
    bundle: Path, pictures: tuple[Path, list[int]], encoding: str
) -> None:
    card = json.loads((bundle / "model_card.json").read_text())
    names = ["\u65e5\u672c", "\u00e9", *card["class_names"][2:]]
    (bundle / "model_card.json").write_text(json.dumps({**card, "class_names": names}))
    paths = [path for path in bundle.rglob("*") if path.is_file() and path.name != "SHA256SUMS"]
    files = {path.relative_to(bundle).as_posix(): path.read_bytes() for path in paths}
    (bundle / "SHA256SUMS").write_bytes(manifest(files))
    command = [*HERE, "predict", str(bundle), str(pictures[0] / "00.png"), "--top", "10"]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    for output in ("table", "csv", "json"):
        done = subprocess.run(
            [*command, "--output", output],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        text = done.stdout.decode(encoding)
        if output == "json":
            assert {entry["class"] for entry in json.loads(text)["classes"]} == set(names)
        else:
            assert names[0].encode(encoding, "backslashreplace").decode(encoding) in text


def test_an_older_version_is_refused_if_a_newer_one_is_required(
    archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sentence = f"{archive} has version 1.0.0, older than 1.0.1; fetch a newer bundle"
    for command in (["check", str(archive)], ["predict", str(archive), "none.png"]):
        assert main([*command, "--at-least", "1.0.1"]) == 1
        output = capsys.readouterr()
        assert sentence in output.out + output.err
    assert failed(archive, "--at-least", "1.0.1", "--port", "0") == f"error: {sentence}\n"
    assert main(["check", str(archive), "--at-least", "1.0"]) == 0
    with pytest.raises(SystemExit):
        main(["check", str(archive), "--at-least", ""])


def test_a_file_beside_the_bundle_is_not_imported(devices: dict[str, Path], bundle: Path) -> None:
    (bundle / "json.py").write_text("print('imported')\nraise SystemExit(3)\n")
    program = devices["tflite_runtime"] / "serving"
    done = call(program, "check", ".", "--format", "tflite_float32", cwd=bundle)
    assert done.returncode == 0, done.stderr
    assert "This device may run mnist-digits" in done.stdout
    assert "imported" not in done.stdout + done.stderr


def mistakes(archive: Path, folder: Path) -> list[tuple[tuple[object, ...], str]]:
    """Arguments and what the error says; `folder` gets the files that they name."""
    two, empty, unreadable = (folder / name for name in ("two", "empty", "unreadable"))
    for path in (two, empty, unreadable, unreadable / "SHA256SUMS"):
        path.mkdir()
    for name in ("a.tar.gz", "b.tar.gz"):
        (two / name).write_bytes(archive.read_bytes())
    (folder / "text.tar.gz").write_text("no archive")
    missing, too_long = "is not readable (No such file or directory)", "a" * 300
    return [
        (("predict", two, "x.png"), "holds 2 bundles, a.tar.gz and b.tar.gz; name one of them"),
        (("predict", folder / "none.tar.gz", "x.png"), missing),
        (("predict", folder / "text.tar.gz", "x.png"), "is damaged or not a bundle"),
        (("predict", empty, "x.png"), "is not a bundle and holds none"),
        (("predict", unreadable, "x.png"), "is not readable (Is a directory)"),
        (("predict", archive, folder / "x.png"), missing),
        (("predict", too_long, "x.png"), "is not readable (File name too long)"),
        (("predict", archive, too_long), "is not readable (File name too long)"),
        (("predict", archive, empty), "holds no picture"),
        (("predict", archive, "x.png", "--top", "11"), "expected 1 to 10"),
        (("bench", archive, "--format", "onnx_int8"), "install one of onnxruntime"),
    ]


def test_each_mistake_is_answered_in_one_sentence(
    devices: dict[str, Path], archive: Path, tmp_path: Path
) -> None:
    for arguments, sentence in mistakes(archive, tmp_path):
        command = (devices["litert"] / "python", "-m", "serving", *arguments)
        assert sentence in only_error(call(*command, cwd=tmp_path)), arguments
    bare = Path(sys.prefix) / "runtimes/onnxruntime/bin/python"
    command = (bare, "-m", "serving", "bench", archive, "--runtime", "litert")
    done = call(*command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert "install one of ai-edge-litert" in only_error(done)


def only_error(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1, done.stdout
    (error,) = [line for line in done.stderr.splitlines() if not line.startswith("INFO")]
    assert error.startswith("error: ")
    return error
