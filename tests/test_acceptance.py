"""The acceptance set of a bundle: what it holds, and a sentence for each way to damage it."""

from __future__ import annotations

import dataclasses
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import package
from pipeline.bundle import acceptance, card_markdown
from pipeline.bundle import archive as packing
from pipeline.config import params
from pipeline.files import artifacts
from pipeline.files.artifacts import Description
from serving import Bundle, BundleError, __main__
from serving.acceptance import FILE, LARGEST_BYTES, Acceptance
from serving.classifier import GOLDEN
from serving.model_card import FILE as CARD
from serving.model_card import ModelCard
from tests.acceptance_sets import change_card, npz, program, rewrite, sealed
from tests.conftest import ROOT, Project
from tests.hostile_bundles import without_array

pytestmark = pytest.mark.slow


OWN = Description("own", [], (28, 28, 1), {}, [])


def test_the_bundle_holds_the_images_that_verification_samples_with_the_outputs_of_keras(
    finished: Project, archive: Path
) -> None:
    accepted = Acceptance.load(Bundle(archive))
    test = finished.folder / "data/prepared/test"
    images, labels = np.load(test / "images.npy", mmap_mode="r"), np.load(test / "labels.npy")
    seed = params.load(ROOT / "params.yaml").preprocess.seed
    rows = np.random.default_rng(seed).permutation(len(labels))[:1000]
    np.testing.assert_array_equal(accepted.images, images[rows])
    np.testing.assert_array_equal(accepted.labels, labels[rows])
    expected = np.load(finished.folder / artifacts.TEST_PROBABILITIES, mmap_mode="r")[rows]
    np.testing.assert_array_equal(accepted.probabilities, expected)


def test_equal_sets_are_written_as_equal_bytes(
    finished: Project, bundle: Path, tmp_path: Path
) -> None:
    opened = Bundle(bundle)
    accepted = Acceptance.load(opened)
    again = tmp_path / "again"
    for target in ("c", "browser"):
        (again / "embedded" / target).mkdir(parents=True)
    (again / GOLDEN).write_bytes((bundle / GOLDEN).read_bytes())
    acceptance.write(
        again,
        acceptance.AcceptanceSet(accepted.images, accepted.labels, accepted.probabilities),
        opened.card,
    )
    for name in (FILE, "embedded/c/acceptance.bin", "embedded/browser/acceptance.bin"):
        assert (again / name).read_bytes() == (bundle / name).read_bytes(), name


def test_data_that_may_not_be_shared_are_left_out_and_the_command_says_so(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = params.load(ROOT / "params.yaml")
    ids, labels = np.zeros((3, 2), np.int32), np.zeros(3)
    licence = "its licence forbids passing the data on"
    licensed = Description("movielens_100k", [], (2,), {}, [], not_passed_on=licence)
    why = acceptance.choose(settings, licensed, ids, labels, ids)
    assert why == f"movielens_100k: {licence}"
    none = params.override(settings, {"package.acceptance_images": 0})
    reason = acceptance.choose(none, OWN, ids, labels, ids)
    assert reason == "package.acceptance_images is 0"
    (bundle / FILE).unlink()
    change_card(bundle, acceptance_images=0, no_acceptance=why)
    assert __main__.main(["prove", str(bundle)]) == 1
    error = capsys.readouterr().err
    assert error == f"error: {bundle} has no acceptance set ({why}); use `serving check` instead\n"


def test_a_set_of_large_images_holds_only_the_first_that_fit_a_device_and_the_card_says_so(
    bundle: Path,
) -> None:
    grain = np.random.default_rng(0).integers(0, 256, (1, 1200, 1200, 3), np.uint8)
    photos, labels = np.broadcast_to(grain, (100, 1200, 1200, 3)), np.arange(100)
    settings = params.load(ROOT / "params.yaml")
    accepted = acceptance.choose(settings, OWN, photos, labels, np.zeros((100, 10), np.float32))
    assert isinstance(accepted, acceptance.AcceptanceSet)
    order = np.random.default_rng(settings.preprocess.seed).permutation(100)
    assert accepted.labels.tolist() == order[:62].tolist()
    assert accepted.nbytes <= LARGEST_BYTES < accepted.nbytes + 1200 * 1200 * 3

    card = ModelCard.parse((bundle / CARD).read_bytes())
    provenance = {**card.provenance, "params": settings.model_dump(mode="json")}
    card_of_100 = dataclasses.replace(card, provenance=provenance, test_images=100)
    described = acceptance.add_to_card(card_of_100, accepted)
    size = "62 examples instead of the 100 requested, the most that a device accepts of this size"
    card_markdown.write(bundle, described)
    assert f" It has {size}." in (bundle / card_markdown.FILE).read_text()
    assert package.notes(described) == [f"note: its acceptance set has {size}"]
    assert package.notes(card) == []


def test_a_highly_compressible_set_does_not_make_its_bundle_look_like_a_bomb(
    bundle: Path, tmp_path: Path
) -> None:
    drawings, labels = np.zeros((1000, 300, 300, 3), np.uint8), np.zeros(1000, np.uint8)
    accepted = acceptance.choose(
        params.load(ROOT / "params.yaml"), OWN, drawings, labels, np.zeros((1000, 10), np.float32)
    )
    assert isinstance(accepted, acceptance.AcceptanceSet)
    assert 20 < len(accepted.labels) < 1000
    (bundle / FILE).write_bytes(npz(**dataclasses.asdict(accepted)))
    for target in ("c", "browser"):
        (bundle / f"embedded/{target}/acceptance.bin").write_bytes(accepted.images.tobytes())
    packing.write(bundle, tmp_path / "drawings.tar.gz", bundle.name)
    packing.check(tmp_path / "drawings.tar.gz")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (lambda arrays: b"not at all", "is not a zip file"),
        (lambda arrays: npz(**arrays)[:-40], "is not a zip file"),
        (
            lambda arrays: npz(images=arrays["images"], labels=arrays["labels"]),
            "it has no probabilities",
        ),
        (
            lambda arrays: npz(**{**arrays, "images": arrays["images"][:, :20]}),
            r"images is uint8 of shape \(1000, 20, 28, 1\)",
        ),
        (
            lambda arrays: npz(**{**arrays, "labels": arrays["labels"] + 3}),
            "a label is not one of the 10 classes",
        ),
        (lambda arrays: npz(**{**arrays, "labels": arrays["labels"][:0]}), "expected"),
        (
            lambda arrays: npz(
                **{**arrays, "probabilities": arrays["probabilities"] * np.float32(np.nan)}
            ),
            "not a finite number",
        ),
        (
            lambda arrays: npz(
                **{**arrays, "probabilities": arrays["probabilities"].astype(np.float64)}
            ),
            "float64",
        ),
        (lambda arrays: without_array(npz(**arrays), "labels"), "its labels is not an array"),
        (lambda arrays: inflated(npz(**arrays)), "is not what package writes"),
    ],
)
def test_a_damaged_acceptance_set_is_refused_in_one_sentence(
    bundle: Path, capsys: pytest.CaptureFixture[str], content: Any, why: str
) -> None:
    accepted = Acceptance.load(Bundle(bundle))
    rewrite(bundle, acceptance__npz=content(dataclasses.asdict(accepted)))
    with pytest.raises(BundleError, match=why):
        Acceptance.load(Bundle(bundle))
    assert __main__.main(["prove", str(bundle), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["state"] == "could not run"
    assert "acceptance.npz is not what package writes" in report["sentence"]
    assert "\n" not in report["sentence"]


def test_no_flipped_byte_of_a_set_ends_in_a_traceback(bundle: Path) -> None:
    """As if its maker had packed it so, because otherwise the checksums would refuse it first."""
    accepted = dataclasses.asdict(Acceptance.load(Bundle(bundle)).first(20))
    content, card = npz(**accepted), Bundle(bundle).card
    dice, refused = np.random.default_rng(0), 0
    for place in dice.integers(0, len(content), 300).tolist():
        changed = bytearray(content)
        changed[place] ^= int(dice.integers(1, 256))
        try:
            Acceptance.load(OneFile(card, bytes(changed)))
        except BundleError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 200


class OneFile(Bundle):
    """A verified bundle in memory, of a model card and an acceptance set."""

    def __init__(self, card: ModelCard, content: bytes) -> None:
        self.path, self.card, self.digests = Path("memory"), card, {FILE: ""}
        self._content = content

    def read(self, name: str) -> bytes:
        assert name == FILE
        return self._content


def inflated(data: bytes) -> bytes:
    """The same archive, but its directory claims that each member has 4 GB."""
    changed = bytearray(data)
    at = changed.find(b"PK\x01\x02")
    while at >= 0:
        changed[at + 24 : at + 28] = struct.pack("<I", 0xFFFFFFF0)
        at = changed.find(b"PK\x01\x02", at + 4)
    return bytes(changed)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda data: data[:-1], "damaged"),
        (lambda data: data[:100] + bytes([data[100] ^ 4]) + data[101:], "damaged"),
        (lambda data: b"EDGE", "not an acceptance.bin"),
        (lambda data: b"", "not an acceptance.bin"),
        (
            lambda data: sealed(data[:16] + struct.pack("<I", 785) + data[20:-4]),
            "belongs to another model",
        ),
        (
            lambda data: sealed(data[:12] + struct.pack("<I", 0xFFFFFFFF) + data[16:-4]),
            "not what package writes",
        ),
        (lambda data: sealed(data[:-8]), "not what package writes"),
    ],
)
def test_the_c_program_refuses_a_damaged_set_in_one_sentence(
    finished: Project, bundle: Path, tmp_path: Path, change: Any, why: str
) -> None:
    path = tmp_path / "set.bin"
    path.write_bytes(change((bundle / "embedded/c/acceptance.bin").read_bytes()))
    done = program(finished, "--prove", path)
    assert (done.returncode, done.stdout) == (1, "")
    assert why in done.stderr
    assert len(done.stderr.splitlines()) == 1
