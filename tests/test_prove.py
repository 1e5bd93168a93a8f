"""The device proves for itself what it was given: `serving prove`, here and on processors that QEMU plays."""

from __future__ import annotations

import dataclasses
import io
import json
import signal
import struct
import subprocess
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from pipeline import package
from pipeline.bundle import acceptance, card_markdown, golden
from pipeline.bundle import archive as packing
from pipeline.config import params
from pipeline.files import artifacts
from pipeline.files.artifacts import Array, Description
from pipeline.formats import onnx_int8
from pipeline.reporting import statistics
from pipeline.runtimes import environments
from pipeline.runtimes.process import Interpreter, RuntimeProcess, Task
from serving import Bundle, BundleError, Classifier, __main__
from serving.acceptance import FILE, LARGEST_BYTES, Acceptance
from serving.checksums import MANIFEST, manifest
from serving.classifier import GOLDEN
from serving.gate import NOT_SHOWN, PROVEN, WORSE
from serving.model_card import FILE as CARD
from serving.model_card import ModelCard
from tests.conftest import ROOT, Project, emulated
from tests.test_bundle_attacks import without_array

pytestmark = pytest.mark.slow

SHARED = (
    "state",
    "images",
    "accuracy",
    "lost",
    "gained",
    "mcnemar_p_value",
    "accuracy_lost_bound",
    "agreement",
    "largest_difference",
)
FEW = ["--images", "100"]
OWN = Description("own", [], (28, 28, 1), {}, [])


def serving(interpreter: Interpreter, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command line on a device, which has one runtime and numpy."""
    variables = interpreter.environment
    paths = ":".join(filter(None, [str(ROOT), variables.get("PYTHONPATH")]))
    command = [*interpreter.command, "-m", "serving", *map(str, arguments)]
    return subprocess.run(
        command, env={**variables, "PYTHONPATH": paths}, capture_output=True, text=True, check=False
    )


def here(runtime: str) -> Interpreter:
    return Interpreter.here(environments.python(runtime))


def rewrite(bundle: Path, **files: bytes) -> Path:
    """The unpacked bundle with other content of some files, of which its checksums know: as if it had been made so."""
    for name, content in files.items():
        (bundle / name.replace("__", ".")).write_bytes(content)
    names = [
        path.relative_to(bundle).as_posix()
        for path in bundle.rglob("*")
        if path.is_file() and path.name != MANIFEST
    ]
    (bundle / MANIFEST).write_bytes(
        manifest({name: (bundle / name).read_bytes() for name in names})
    )
    return bundle


def npz(**arrays: Array) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    return file.getvalue()


def change_card(bundle: Path, **values: Any) -> Path:
    card = ModelCard.parse((bundle / CARD).read_bytes())
    return rewrite(bundle, model_card__json=dataclasses.replace(card, **values).dump())


def verified(finished: Project, **facts: str) -> dict[str, Any]:
    pairs = artifacts.load_json(finished.folder / "reports/verify.json")["pairs"]
    (pair,) = (pair for pair in pairs if facts.items() <= pair.items())
    return dict(pair)


def same(proved: Mapping[str, Any], pair: Mapping[str, Any]) -> None:
    assert {name: proved[name] for name in SHARED} == pytest.approx(
        {name: pair[name] for name in SHARED}, abs=1e-12
    )


def test_the_bundle_brings_the_images_that_verification_samples_with_the_answers_of_keras(
    finished: Project, archive: Path
) -> None:
    accepted = Acceptance.load(Bundle(archive))
    test = finished.folder / "data/prepared/test"
    labels = np.load(test / "labels.npy")
    rows = np.random.default_rng(params.load(ROOT / "params.yaml").preprocess.seed).permutation(
        len(labels)
    )[:1000]
    np.testing.assert_array_equal(
        accepted.images, np.load(test / "images.npy", mmap_mode="r")[rows]
    )
    np.testing.assert_array_equal(accepted.labels, labels[rows])
    expected = np.load(finished.folder / artifacts.TEST_PROBABILITIES, mmap_mode="r")[rows]
    np.testing.assert_array_equal(accepted.probabilities, expected)


def test_the_same_set_is_the_same_bytes(finished: Project, bundle: Path, tmp_path: Path) -> None:
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


def test_data_that_may_not_be_passed_on_do_not_travel_and_the_command_says_so(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = params.load(ROOT / "params.yaml")
    nothing = np.zeros((3, 2), np.int32)
    kept = Description(
        "movielens_100k", [], (2,), {}, [], not_passed_on="its licence forbids passing the data on"
    )
    why = acceptance.choose(chosen, kept, nothing, np.zeros(3), nothing)
    assert why == "movielens_100k: its licence forbids passing the data on"
    none = params.override(params.load(ROOT / "params.yaml"), {"package.acceptance_images": 0})
    assert (
        acceptance.choose(none, OWN, nothing, np.zeros(3), nothing)
        == "package.acceptance_images is 0"
    )
    (bundle / FILE).unlink()
    change_card(bundle, acceptance_images=0, no_acceptance=why)
    assert __main__.main(["prove", str(bundle)]) == 1
    error = capsys.readouterr().err
    assert error == f"error: {bundle} has no acceptance set ({why}); use `serving check` instead\n"


def test_of_large_images_a_set_holds_as_many_as_a_device_takes_in_their_order_and_the_card_says_so(
    bundle: Path,
) -> None:
    grain = (
        np.random.default_rng(0)
        .integers(0, 256, 1200 * 1200 * 3, np.uint8)
        .reshape(1, 1200, 1200, 3)
    )
    photos, labels = np.broadcast_to(grain, (100, 1200, 1200, 3)), np.arange(100)
    chosen = params.load(ROOT / "params.yaml")
    accepted = acceptance.choose(chosen, OWN, photos, labels, np.zeros((100, 10), np.float32))
    assert isinstance(accepted, acceptance.AcceptanceSet)
    order = np.random.default_rng(chosen.preprocess.seed).permutation(100)
    assert accepted.labels.tolist() == order[:62].tolist()
    assert accepted.nbytes <= LARGEST_BYTES < accepted.nbytes + 1200 * 1200 * 3

    card = ModelCard.parse((bundle / CARD).read_bytes())
    made = {**card.provenance, "params": chosen.model_dump(mode="json")}
    described = acceptance.described(
        dataclasses.replace(card, provenance=made, test_images=100), accepted
    )
    told = "62 images of the 100 asked for, as many of this size as a device takes"
    card_markdown.write(bundle, described)
    assert f" It has {told}." in (bundle / card_markdown.FILE).read_text()
    assert package.notes(described) == [f"note: its acceptance set has {told}"]
    assert package.notes(card) == []


def test_a_set_that_packs_to_little_does_not_make_its_bundle_look_like_a_bomb(
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


@pytest.mark.parametrize("runtime", ["litert", "onnxruntime", "tflite_runtime"])
def test_every_file_is_proven_on_the_processor_that_proved_it(archive: Path, runtime: str) -> None:
    done = serving(here(runtime), "prove", archive, "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["state"], answer["chosen"]["runtime"]) == (PROVEN, runtime)
    assert {pair["state"] for pair in answer["pairs"]} == {PROVEN}
    assert answer["versions"][runtime] == answer["chosen"]["runtime_version"]
    assert answer["bundle"]["name"] == "mnist-digits"
    assert answer["device"]["processor"]
    for pair in answer["pairs"]:
        assert pair["images"] == 1000
        assert pair["accuracy_interval"][0] < pair["accuracy"] <= pair["accuracy_interval"][1]
        assert 0 < pair["median_milliseconds"] <= pair["p95_milliseconds"]
        assert f"{pair['lost']} of 1,000 images lost, {pair['gained']} gained" in pair["sentence"]


def test_the_microcontrollers_interpreter_is_proved_as_it_was_verified(
    finished: Project, archive: Path
) -> None:
    pair = verified(finished, runtime="tflite_micro", processor="native")
    done = serving(
        here("tflite_micro"), "prove", archive, "--images", str(pair["images"]), "--json"
    )
    (proved,) = json.loads(done.stdout)["pairs"]
    same(proved, pair)
    assert done.returncode == {PROVEN: 0, NOT_SHOWN: 3}[pair["state"]]


@pytest.mark.parametrize(
    ("runtime", "name"),
    [("onnxruntime", "onnx_int8"), ("litert", "tflite_int8"), ("onnxruntime", "onnx_float32")],
)
def test_on_an_emulated_processor_it_says_what_verify_says(
    finished: Project, archive: Path, runtime: str, name: str
) -> None:
    nehalem = emulated("nehalem", runtime)
    pair = verified(finished, format=name, runtime=runtime, processor="nehalem")
    options = ["--images", str(pair["images"]), "--format", name, "--json"]
    done = serving(nehalem, "prove", archive, *options)
    (proved,) = json.loads(done.stdout)["pairs"]
    same(proved, pair)
    assert done.returncode == {PROVEN: 0, NOT_SHOWN: 3, WORSE: 1}[pair["state"]]


def test_too_few_images_are_not_shown_and_the_sentence_names_how_many_would_do(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = ModelCard.parse((bundle / CARD).read_bytes())
    unsure = [
        dataclasses.replace(
            file,
            proofs=[
                dataclasses.replace(proof, verdict=NOT_SHOWN, images=200) for proof in file.proofs
            ],
        )
        for file in card.files
    ]
    change_card(bundle, files=unsure)
    assert __main__.main(["prove", str(bundle), "--format", "onnx_float32", *FEW]) == 3
    told = capsys.readouterr().out
    assert (
        "not shown: 0 of 100 images lost, 0 gained: neither these images nor the maker's 200 show that at most 1 % is lost"
        in told
    )
    assert "(here 3.04 %); 310 images like these would show it" in told
    assert (
        __main__.main(["prove", str(bundle), "--format", "onnx_float32"]) == 0
    )  # a thousand images show it by themselves
    assert (
        "proven: 0 of 1,000 images lost, 0 gained, so it loses at most 0.31 % where 1 % is allowed"
        in capsys.readouterr().out
    )


def test_a_card_that_calls_proven_what_its_own_bound_does_not_show_is_not_believed(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = ModelCard.parse((bundle / CARD).read_bytes())
    claimed = [
        dataclasses.replace(
            file,
            proofs=[
                dataclasses.replace(proof, verdict=PROVEN, accuracy_lost_bound=0.011)
                for proof in file.proofs
            ],
        )
        for file in card.files
    ]
    change_card(bundle, files=claimed)
    assert __main__.main(["prove", str(bundle), "--format", "onnx_float32", *FEW]) == 3
    assert (
        "not shown: 0 of 100 images lost, 0 gained: neither these images nor the maker's"
        in capsys.readouterr().out
    )


def test_a_file_that_loses_images_here_is_worse(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    accepted = Acceptance.load(Bundle(bundle))
    arrays = {
        "images": 255 - accepted.images,
        "labels": accepted.labels,
        "probabilities": accepted.probabilities,
    }
    rewrite(bundle, acceptance__npz=npz(**arrays))
    assert __main__.main(["prove", str(bundle), "--format", "onnx_float32", *FEW, "--json"]) == 1
    (pair,) = json.loads(capsys.readouterr().out)["pairs"]
    assert pair["state"] == WORSE
    assert (
        "significantly more than the 1 % allowed; use another file or runtime on this device"
        in pair["sentence"]
    )


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
def test_a_damaged_acceptance_set_is_one_sentence(
    bundle: Path, capsys: pytest.CaptureFixture[str], content: Any, why: str
) -> None:
    accepted = Acceptance.load(Bundle(bundle))
    rewrite(bundle, acceptance__npz=content(dataclasses.asdict(accepted)))
    with pytest.raises(BundleError, match=why):
        Acceptance.load(Bundle(bundle))
    assert __main__.main(["prove", str(bundle), "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["state"] == "could not run"
    assert "acceptance.npz is not what package writes" in answer["sentence"]
    assert "\n" not in answer["sentence"]


def test_no_byte_of_it_that_is_flipped_ends_in_a_traceback(bundle: Path) -> None:
    """As its maker would have packed it, so that no checksum of the bundle finds it first."""
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
    """A bundle in memory with a model card and an acceptance set, that was verified."""

    def __init__(self, card: ModelCard, content: bytes) -> None:
        self.path, self.card, self.digests, self._content = (
            Path("memory"),
            card,
            {FILE: ""},
            content,
        )

    def read(self, name: str) -> bytes:
        assert name == FILE
        return self._content


def inflated(data: bytes) -> bytes:
    """The same archive, whose directory says that each member has 4 GB."""
    changed = bytearray(data)
    at = changed.find(b"PK\x01\x02")
    while at >= 0:
        changed[at + 24 : at + 28] = struct.pack("<I", 0xFFFFFFF0)
        at = changed.find(b"PK\x01\x02", at + 4)
    return bytes(changed)


def test_more_images_than_there_are_and_a_draft_are_refused_in_a_sentence(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert __main__.main(["prove", str(bundle), "--images", "1001"]) == 1
    assert (
        capsys.readouterr().err
        == "error: --images 1001 is too many: the acceptance set has 1,000 images\n"
    )
    change_card(bundle, not_proven=["the target was missed"])
    assert __main__.main(["prove", str(bundle)]) == 1
    assert "is a draft, NOT PROVEN (the target was missed)" in capsys.readouterr().err
    assert __main__.main(["prove", str(bundle), "--draft", "--format", "onnx_float32", *FEW]) == 0
    assert (
        "a draft, NOT PROVEN by its maker, on this device, as onnx_float32"
        in capsys.readouterr().out
    )


def test_long_work_says_how_long_it_takes_and_ends_cleanly_at_ctrl_c(bundle: Path) -> None:
    accepted = Acceptance.load(Bundle(bundle))
    more = {
        name: np.concatenate([array] * 40) for name, array in dataclasses.asdict(accepted).items()
    }
    rewrite(bundle, acceptance__npz=npz(**more))
    interpreter = here("tflite_micro")
    command = [*interpreter.command, "-m", "serving", "prove", str(bundle)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    first = process.stderr.readline()
    while "images" not in first:  # the interpreter's own words
        first = process.stderr.readline()
    assert "of 40,000 images, about " in first
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert not out
    assert "Traceback" not in errors


@pytest.fixture(scope="session")
def saturating(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The network with unsigned activations and signed weights in 8 bits, whose sums saturate on some processors: U8S8."""
    folder = tmp_path_factory.mktemp("u8s8")
    images = np.load(finished.folder / "data/prepared/train/images.npy", mmap_mode="r")[:100]
    quant_pre_process(
        finished.folder / "exported/onnx_float32.onnx",
        folder / "prepared.onnx",
        skip_symbolic_shape=True,
    )
    quantize_static(
        folder / "prepared.onnx",
        folder / "onnx_int8.onnx",
        onnx_int8.Calibration(images),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    return (folder / "onnx_int8.onnx").read_bytes()


def answers(interpreter: Interpreter, file: Path, images: Array, folder: Path) -> Array:
    np.save(folder / "images.npy", images)
    process = RuntimeProcess(
        interpreter, "onnxruntime", Task([file], [folder / "images.npy"], folder)
    )
    try:
        assert process.answer() == {}
    finally:
        process.close()
    return np.asarray(np.load(folder / f"{file.stem}.npy"))


def test_a_file_that_saturates_here_is_refused_by_load_and_check_and_is_worse(
    finished: Project, bundle: Path, tmp_path: Path, saturating: bytes
) -> None:
    """The golden vectors are those of a processor without AVX, on which U8S8 does not saturate; it does with AVX2 and no VNNI."""
    on_nehalem, on_haswell = (emulated(name, "onnxruntime") for name in ("nehalem", "haswell"))
    (bundle / "onnx_int8.onnx").write_bytes(saturating)
    test = finished.folder / "data/prepared/test"
    images, labels = (
        np.load(test / "images.npy", mmap_mode="r")[:300],
        np.load(test / "labels.npy")[:300],
    )
    synthetic = golden.synthetic(images, labels, 255)
    seen = np.concatenate([images, synthetic])
    right = answers(on_nehalem, bundle / "onnx_int8.onnx", seen, tmp_path)
    reference = np.load(finished.folder / artifacts.TEST_PROBABILITIES, mmap_mode="r")[:300]
    vectors = golden.choose(images, labels, reference, {"onnx_int8": right}, synthetic)
    card = ModelCard.parse((bundle / CARD).read_bytes())
    (file,) = (file for file in card.files if file.format == "onnx_int8")
    digest = artifacts.sha256(bundle / "onnx_int8.onnx")
    file = dataclasses.replace(
        file, sha256=digest, bytes=len(saturating), golden_tolerance=statistics.QUANTIZED_TOLERANCE
    )
    arrays = {"images": vectors.images, "labels": vectors.labels, **vectors.probabilities}
    rewrite(
        bundle,
        golden__npz=npz(**arrays),
        model_card__json=dataclasses.replace(card, files=[file]).dump(),
    )
    checked = serving(on_haswell, "check", bundle)
    assert checked.returncode == 1
    assert (
        "onnxruntime does not reproduce the golden vectors of onnx_int8 (off by " in checked.stdout
    )
    assert serving(on_nehalem, "check", bundle).returncode == 0
    load = "import sys; from serving import Classifier; Classifier.load(sys.argv[1])"
    loaded = subprocess.run(
        [*on_haswell.command, "-c", load, str(bundle)],
        env=on_haswell.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "RuntimeRefusalError" in loaded.stderr
    assert "does not reproduce the golden vectors of onnx_int8" in loaded.stderr
    proved = serving(on_haswell, "prove", bundle, "--images", "10")
    assert proved.returncode == 1
    assert (
        "worse: its answers to the golden vectors differ from those on the maker's processor"
        in proved.stdout
    )


def test_a_file_whose_golden_vectors_alone_differ_is_refused_by_load(bundle: Path) -> None:
    with np.load(bundle / GOLDEN) as vectors:
        arrays = {name: vectors[name] for name in vectors.files}
    arrays["onnx_float32"][-1] = arrays["onnx_float32"][-1][
        ::-1
    ]  # the last of the synthetic extremes
    rewrite(bundle, golden__npz=npz(**arrays))
    with pytest.raises(Exception, match="does not reproduce the golden vectors of onnx_float32"):
        Classifier.load(bundle, "onnx_float32")


def program(finished: Project, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    path = next((finished.folder / "embedded/c/programs").glob("classify-x86_64"))
    return subprocess.run([path, *arguments], capture_output=True, text=True, check=False)


def test_the_c_program_says_what_python_says(finished: Project, bundle: Path) -> None:
    done = program(finished, "--prove", bundle / "embedded/c/acceptance.bin")
    proved = json.loads(
        serving(here("onnxruntime"), "prove", bundle, "--format", "onnx_float32", "--json").stdout
    )["pairs"][0]
    *lines, told = done.stdout.splitlines()
    facts = {name: float(value) for name, value in (line.split("\t") for line in lines)}
    low, high = proved["accuracy_interval"]
    for name, value in {**proved, "accuracy_low": low, "accuracy_high": high}.items():
        if name in facts and name not in ("largest_difference", "golden_difference"):
            assert facts[name] == pytest.approx(value, rel=1e-8), name
    assert abs(facts["largest_difference"] - proved["largest_difference"]) < 1e-5
    assert told.split(":")[0] == proved["state"]
    assert done.returncode == 0


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
def test_the_c_program_answers_a_damaged_set_in_one_sentence(
    finished: Project, bundle: Path, tmp_path: Path, change: Any, why: str
) -> None:
    path = tmp_path / "set.bin"
    path.write_bytes(change((bundle / "embedded/c/acceptance.bin").read_bytes()))
    done = program(finished, "--prove", path)
    assert (done.returncode, done.stdout) == (1, "")
    assert why in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_c_program_tells_the_three_verdicts_apart(
    finished: Project, bundle: Path, tmp_path: Path
) -> None:
    data = (bundle / "embedded/c/acceptance.bin").read_bytes()
    maker_unsure, little_allowed = struct.pack("<I", 1), struct.pack("<d", 0.002)
    (tmp_path / "unsure.bin").write_bytes(
        sealed(data[:24] + maker_unsure + data[28:40] + little_allowed + data[48:-4])
    )
    unsure = program(finished, "--prove", tmp_path / "unsure.bin")
    golden_images = struct.unpack_from("<I", data, 8)[0]
    first = 56 + golden_images * (784 + 40)
    inverted = bytes(255 - byte for byte in data[first : first + 784 * 1000])
    (tmp_path / "worse.bin").write_bytes(
        sealed(data[:first] + inverted + data[first + len(inverted) : -4])
    )
    worse = program(finished, "--prove", tmp_path / "worse.bin")
    assert unsure.stdout.splitlines()[-1].startswith("not shown: ")
    assert unsure.returncode == 3
    assert worse.stdout.splitlines()[-1].startswith("worse: ")
    assert worse.returncode == 1


def sealed(data: bytes) -> bytes:
    """With the checksum that belongs to the changed content."""
    return data + struct.pack("<I", zlib.crc32(data))
