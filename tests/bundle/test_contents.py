"""What a bundle holds, and equal bytes for equal input."""

from __future__ import annotations

import io
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import tflite
from packaging.requirements import Requirement

from pipeline.bundle import archive as archives
from pipeline.bundle import wheel
from tests.conftest import ROOT, Project

pytestmark = pytest.mark.slow


def entries(bundle: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(bundle.rglob("*")):
        if path.is_file() and path.name != "SHA256SUMS":
            yield path.relative_to(bundle).as_posix(), path.read_bytes()


def test_equal_input_gives_equal_bytes(
    finished: Project, archive: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives.write(bundle, tmp_path / "again.tar.gz", bundle.name)
    assert (tmp_path / "again.tar.gz").read_bytes() == archive.read_bytes()
    monkeypatch.chdir(finished.folder)
    built = wheel.build(tmp_path)
    assert built.read_bytes() == (bundle / "wheels" / built.name).read_bytes()
    assert built.stat().st_size < 161_000  # more is a reason to ask what a device needs


def test_sha256sum_reads_the_manifest(bundle: Path) -> None:
    subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=bundle, check=True
    )
    listed = {line.split("  ", 1)[1] for line in (bundle / "SHA256SUMS").read_text().splitlines()}
    assert listed == {name for name, _ in entries(bundle)}


def test_the_card_says_what_the_reports_say(finished: Project, bundle: Path) -> None:
    card = json.loads((bundle / "model_card.json").read_text())
    every_pair = json.loads((finished.folder / "reports/verify.json").read_text())["pairs"]
    # Emulated pairs could not run if QEMU is not installed.
    pairs = [pair for pair in every_pair if pair["state"] != "could not run"]
    proofs = {
        (file["format"], proof["runtime"]): proof
        for file in card["files"]
        for proof in file["proofs"]
    }
    emulated = {
        (file["format"], proof["processor"]): proof
        for file in card["files"]
        for proof in file["emulated"]
    }
    assert (len(proofs), len(proofs) + len(emulated)) == (11, len(pairs))
    for pair in pairs:
        native = pair["processor"] == "native"
        proof = (
            proofs[pair["format"], pair["runtime"]]
            if native
            else emulated[pair["format"], pair["processor"]]
        )
        renamed = {
            "verdict": pair["state"],
            **({"processor": pair["measured_on"]} if native else {}),
        }
        described = {"description": "x86-64 without AVX"} if not native else {}
        assert {name: {**pair, **renamed, **described}.get(name) for name in proof} == proof
    assert card["use"]
    assert card["limits"]
    int8 = next(file for file in card["files"] if file["format"] == "tflite_int8")
    assert int8["requirements"]["input_quantization"] == [1.0, 0]
    assert "FULLY_CONNECTED" in " ".join(int8["requirements"]["operators"])
    assert card["provenance"]["params"]["train"]["epochs"] == 2
    assert len(card["provenance"]["data_sha256"]["test_images"]) == 64


def test_the_page_names_every_file_and_every_picture_is_there(bundle: Path) -> None:
    page = (bundle / "MODEL_CARD.md").read_text()
    card = json.loads((bundle / "model_card.json").read_text())
    assert all(file["file"] in page and file["sha256"] in page for file in card["files"])
    pictures = [
        line.split("](")[1].rstrip(")") for line in page.splitlines() if line.startswith("![")
    ]
    assert len(pictures) == 4
    assert all((bundle / picture).stat().st_size for picture in pictures)


def test_the_page_says_first_how_to_use_the_bundle(bundle: Path) -> None:
    page = (bundle / "MODEL_CARD.md").read_text()
    how = page[page.index("## How to use this bundle") :].split("\n## ")[0]
    assert page.index(how) < page.index("## Use\n") < page.index("## Files")
    commands = [line.split("  ")[0] for line in how.splitlines() if line.startswith("serving ")]
    assert commands == [
        "serving check .",
        "serving predict . picture.png",
        "serving prove .",
        "serving serve .",
    ]
    (requirements,) = re.findall(r"--requirement (\S+litert\.txt)", how)
    assert (bundle / requirements).exists()


def embedded_card(path: Path) -> bytes:
    if path.suffix == ".onnx":
        properties = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
        return str(properties["model_card"]).encode()
    model = tflite.Model.GetRootAsModel(path.read_bytes(), 0)
    entries = [model.Metadata(index) for index in range(model.MetadataLength())]
    entry = next(entry for entry in entries if entry.Name() == b"model_card")
    return bytes(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes())


def test_the_card_travels_inside_every_file(bundle: Path) -> None:
    card = json.loads((bundle / "model_card.json").read_text())
    for file in card["files"]:
        inside = json.loads(embedded_card(bundle / file["file"]))
        provenance = inside.pop("provenance")
        assert inside == {name: card[name] for name in inside}
        assert {"name", "class_names", "input", "preprocessing", "limits"} <= set(inside)
        assert provenance["model_sha256"] == card["provenance"]["model_sha256"]


def test_the_golden_vectors_are_the_answers_of_the_files_when_they_were_verified(
    finished: Project, bundle: Path
) -> None:
    golden = np.load(io.BytesIO((bundle / "golden.npz").read_bytes()))
    keras = np.load(finished.folder / "evaluation/test_probabilities.npy")
    images = np.load(finished.folder / "data/prepared/test/images.npy")
    tested = golden["labels"] >= 0
    rows = [
        int(np.flatnonzero((images == image).all((1, 2, 3)))[0])
        for image in golden["images"][tested]
    ]
    np.testing.assert_allclose(golden["tflite_float32"][tested], keras[rows], atol=1e-4)
    assert set(golden["labels"]) == set(range(-1, 10))
    assert [image.min() for image in golden["images"][-3:]] == [0, 255, 0]


@pytest.mark.parametrize(
    "group",
    [
        *("tflite_runtime", "litert", "onnxruntime", "tflite_micro"),
        *("http", "grpc", "certificates"),
    ],
)
def test_a_device_with_python_3_11_gets_the_verified_packages(
    group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The requirements cover every Python; for 3.11 they equal those in the project's own lock."""
    monkeypatch.chdir(ROOT)
    here = {"python_full_version": "3.11.7", "python_version": "3.11", "sys_platform": "linux"}

    def pinned(text: str) -> set[str]:
        lines = [line.rstrip(" \\") for line in text.splitlines() if line[:1].isalnum()]
        return {
            f"{requirement.name}{requirement.specifier}"
            for requirement in map(Requirement, lines)
            if requirement.marker is None or requirement.marker.evaluate(here)
        }

    device = wheel.requirements(group)
    assert "python_full_version < '3.10'" in device
    monkeypatch.setattr(wheel, "DEVICES", ROOT)
    assert pinned(device) == pinned(wheel.requirements(group))
