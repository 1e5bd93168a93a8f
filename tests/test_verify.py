"""Verification on emulated processors, the gates of `package`, and drafts that fail a gate."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.bundle import gates, golden
from pipeline.config import params
from pipeline.config.params import Params
from pipeline.config.processors import EMULATED
from pipeline.files.reports.bundle import BundleReports
from pipeline.inputs import pixels
from pipeline.runtimes import emulation, environments
from pipeline.runtimes.process import Interpreter
from pipeline.targets import classes
from serving import Bundle, BundleError, Classifier
from tests.conftest import ROOT, Project, emulated, save_npz

pytestmark = pytest.mark.slow


def report(project: Project, stage: str) -> Any:
    return json.loads((project.folder / f"reports/{stage}.json").read_text())


def test_each_pair_reports_its_processor_and_its_difference_from_this_one(
    finished: Project,
) -> None:
    for runtime in ("litert", "onnxruntime"):
        emulated("nehalem", runtime)
    pairs = report(finished, "verify")["pairs"]
    emulated_pairs = [pair for pair in pairs if pair["processor"] == "nehalem"]
    assert {pair["format"] for pair in emulated_pairs} == {pair["format"] for pair in pairs}
    for pair in emulated_pairs:
        is_int8 = "int8" in pair["requirements"]["weights"]
        assert pair["images"] == (50 if is_int8 else 5)
        assert pair["golden_difference"] <= (0.08 if is_int8 else 0.001)
        assert "median_milliseconds" not in pair, "an emulator says nothing about latency"


def test_the_loss_is_judged_on_test_and_validation_and_the_accuracy_on_the_test_set(
    finished: Project,
) -> None:
    verified = report(finished, "verify")
    images = {
        split: len(np.load(finished.folder / f"data/prepared/{split}/labels.npy"))
        for split in ("test", "validation")
    }
    assert verified["judged_on"] == images
    pair = next(pair for pair in verified["pairs"] if pair["format"] == "onnx_float32")
    assert pair["runtime"] == "onnxruntime"
    assert (pair["images"], pair["test_images"]) == (sum(images.values()), images["test"])
    assert pair["accuracy"] == report(finished, "evaluate")["test_accuracy"]


@pytest.mark.parametrize("name", ["haswell", "cortex-a72", "cortex-a7"])
def test_a_real_wheel_runs_on_an_emulated_processor(name: str) -> None:
    runtime = "tflite_runtime" if name == "cortex-a7" else "onnxruntime"
    code = f"import platform, {runtime}; print(platform.machine())"
    assert output_of(emulated(name, runtime), code) == EMULATED[name].architecture


def output_of(interpreter: Interpreter, code: str) -> str:
    """What Python code prints on an emulated processor."""
    done = subprocess.run(
        [*interpreter.command, "-c", code],
        env=interpreter.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(
    emulation.HERE != "x86_64", reason="on another host, emulated x86-64 has no NumPy"
)
@pytest.mark.parametrize(
    ("name", "instructions"), [("nehalem", []), ("haswell", ["AVX", "AVX2", "FMA3"])]
)
def test_an_emulated_processor_has_its_instructions_and_no_others(
    name: str, instructions: list[str]
) -> None:
    names = ["AVX", "AVX2", "FMA3", "AVX512F", "AVX512VNNI"]
    code = (
        "from numpy._core._multiarray_umath import __cpu_features__ as has; "
        f"print([name for name in {names} if has[name]])"
    )
    assert output_of(emulated(name, "onnxruntime"), code) == str(instructions)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the PATH of this process; nothing has been downloaded before."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(emulation, "FOLDER", tmp_path / "emulated")
    return folder


def program(path: Path, output: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{output}'\n")
    path.chmod(0o755)
    return path


def test_a_qemu_that_cannot_emulate_avx_is_refused_and_debians_is_used(tools: Path) -> None:
    old = program(
        tools / "qemu-x86_64-static", "qemu-x86_64 version 6.2.0 (Debian 1:6.2+dfsg-2ubuntu6)"
    )
    with pytest.raises(
        OSError,
        match=r"is version 6\.2, which cannot emulate AVX; "
        r"apt-get is not installed on this machine; install .* 7\.2 or newer",
    ):
        emulation.interpreter("haswell", "onnxruntime")
    new = program(
        emulation.FOLDER / "qemu/usr/bin/qemu-x86_64-static",
        "qemu-x86_64 version 7.2.22 (Debian 1:7.2)",
    )
    assert emulation.qemu("x86_64") == new
    program(old, "qemu-x86_64 version 10.0.2")
    assert emulation.qemu("x86_64") == old
    program(new, "qemu-x86_64 version 5.2.0")
    program(old, "nothing of the kind")
    with pytest.raises(
        OSError, match=r"does not report its version; .* is version 5\.2, which cannot emulate AVX"
    ):
        emulation.qemu("x86_64")


def test_a_failed_download_is_not_blamed_on_qemu(tools: Path) -> None:
    program(tools / "qemu-aarch64-static", "qemu-aarch64 version 7.2.22")
    with pytest.raises(
        OSError,
        match="apt-get is not installed on this machine; "
        "run `make env` where packages can be reached, or remove cortex-a72",
    ):
        emulation.interpreter("cortex-a72", "litert")


def test_a_processor_that_cannot_be_emulated_says_why_and_fails_nothing(
    finished: Project, tmp_path: Path
) -> None:
    """There is no QEMU, and no apt to download it."""
    copy = finished.copy(tmp_path / "project")
    (tmp_path / "bin").mkdir()
    for tool in ("git", "uname"):
        (tmp_path / "bin" / tool).symlink_to(Path("/usr/bin") / tool)
    code = (
        "from pathlib import Path; from pipeline import verify; "
        "from pipeline.runtimes import emulation; "
        "emulation.FOLDER = Path('none'); verify.main()"
    )
    copy.run(sys.executable, "-c", code, PATH=str(tmp_path / "bin"))
    pairs = [pair for pair in report(copy, "verify")["pairs"] if pair["processor"] == "nehalem"]
    assert pairs
    for pair in pairs:
        assert pair["state"] == "could not run"
        assert (
            "install QEMU's user mode, 7.2 or newer (Debian: qemu-user-static), "
            "or remove nehalem from" in pair["reason"]
        )
        assert pair["reason"].endswith(f"; then `{' '.join(AGAIN)}` tries again")
    assert not gates.failures(Params.model_validate(copy.params()), checked(reports(copy)))


AGAIN = ("dvc", "repro", "--force", "--downstream", "verify")


def test_the_command_that_tries_again_runs_verify_and_what_follows_and_trains_nothing(
    finished: Project,
) -> None:
    assert re.findall("Running stage '(.*)'", finished.run("dvc", "repro", "--dry")) == []
    assert re.findall("Running stage '(.*)'", finished.run(*AGAIN, "--dry")) == [
        "verify",
        "embed",
        "package",
    ]


def test_a_runtime_that_is_emulated_alone_and_has_no_environment_could_not_run(
    finished: Project, tmp_path: Path
) -> None:
    """Its environment is missing, and uv cannot make it offline."""
    copy = finished.copy(tmp_path / "project")
    copy.change({"verify.runtimes": ["tflite_runtime"], "verify.emulated_runtimes": ["litert"]})
    exported = report(copy, "export")
    exported["formats"] = {"tflite_int8": exported["formats"]["tflite_int8"]}
    (copy.folder / "reports/export.json").unlink()
    (copy.folder / "reports/export.json").write_text(json.dumps(exported))
    (tmp_path / "runtimes").mkdir()
    (tmp_path / "runtimes/tflite_runtime").symlink_to(environments.FOLDER / "tflite_runtime")
    code = (
        "from pathlib import Path; from pipeline import verify; "
        "from pipeline.runtimes import environments; "
        f"environments.FOLDER = Path('{tmp_path}/runtimes'); verify.main()"
    )
    cache = str(tmp_path / "cache")
    copy.run(sys.executable, "-c", code, UV_OFFLINE="1", UV_CACHE_DIR=cache)
    native, failed = report(copy, "verify")["pairs"]
    assert (native["runtime"], native["state"]) == ("tflite_runtime", "proven")
    assert (failed["runtime"], failed["processor"]) == ("litert", "nehalem")
    assert failed["state"] == "could not run"
    assert failed["reason"].startswith("no environment for litert: ")
    cure = "; run `make env` where packages can be reached; "
    assert f"{cure}then `dvc repro --force --downstream verify`" in failed["reason"]


def test_make_env_also_makes_emulated_runtimes_and_prints_no_needless_warning(
    project: Project,
) -> None:
    emulated("cortex-a7", "tflite_runtime")
    emulated("nehalem", "litert")
    project.change(
        {
            "verify.runtimes": ["onnxruntime"],
            "verify.processors": ["native", "nehalem", "cortex-a7"],
            "verify.emulated_runtimes": ["litert", "tflite_runtime"],
        }
    )
    pythons = project.run("python", "-m", "pipeline.runtimes.environments").splitlines()
    names = [Path(path).parts[-3] for path in pythons]
    assert names == ["onnxruntime", "litert", "tflite_runtime", "embedded"]
    assert project.attempt("python", "-m", "pipeline.runtimes.emulation").stderr == ""


def reports(project: Project) -> dict[str, Any]:
    return {stage: report(project, stage) for stage in BundleReports.model_fields}


def checked(stage_reports: dict[str, Any]) -> BundleReports:
    return BundleReports.model_validate(stage_reports)


def test_a_folder_that_two_processes_make_at_once_is_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emulation, "FOLDER", tmp_path)

    def fill(folder: Path) -> None:
        (folder / "first").touch()
        time.sleep(0.1)
        if (tmp_path / "full").exists():
            raise OSError("the disk is full")
        (folder / f"made-{time.monotonic()}").touch()

    with ThreadPoolExecutor(2) as pool:
        (folder,) = set(pool.map(lambda _: emulation._made_once("tools", fill), range(2)))
    assert len(list(folder.glob("made-*"))) == len(list(folder.iterdir())) - 1 == 1
    (tmp_path / "full").touch()
    with pytest.raises(OSError, match="the disk is full"):
        emulation._made_once("others", fill)
    assert {path.name for path in tmp_path.iterdir()} == {"full", "tools"}


def test_golden_vectors_include_images_near_a_boundary_and_where_a_file_differs_most() -> None:
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 255, (500, 4, 4, 1), dtype=np.uint8), np.arange(500) % 5
    reference = rng.dirichlet(np.ones(5), 500)
    probabilities = reference.copy()
    probabilities[77] = probabilities[77][::-1] + 0.5
    margins = np.sort(reference, 1)[:, -1] - np.sort(reference, 1)[:, -2]
    synthetic = pixels.synthetic(images[golden.spread_rows(labels)[::2]], (0, 255))
    count = len(synthetic)
    of_file = {"file": np.concatenate([probabilities, probabilities[:count]])}
    vectors = golden.choose(classes, (images, labels), reference, of_file, synthetic)
    rows = {
        int(np.flatnonzero((images == image).all((1, 2, 3)))[0])
        for image in vectors.images[:-count]
    }
    assert {77, int(margins.argmin())} <= rows
    assert (vectors.images[-count:] == synthetic).all()
    assert list(vectors.labels[-count:]) == [golden.NO_LABEL] * count
    np.testing.assert_array_equal(vectors.probabilities["file"][-count:], probabilities[:count])


def test_a_missed_target_stops_the_pipeline_at_its_end_and_allows_a_draft(
    finished: Project, tmp_path: Path
) -> None:
    copy = finished.copy(tmp_path / "project")
    copy.change({"problem.target": 1.0})
    evaluated = copy.run("python", "-m", "pipeline.evaluate")
    assert "is below problem.target 1.0" in evaluated
    stopped = copy.attempt("python", "-m", "pipeline.package")
    assert stopped.returncode == 1
    sentence = stopped.stderr.strip().splitlines()[-1]
    assert sentence.startswith("error: no bundle: test accuracy 0.")
    assert sentence.endswith("`make draft` packs one anyway, marked as not proven")

    copy.run("python", "-m", "pipeline.package", "--draft")
    (draft,) = (copy.folder / "draft").glob("*-NOT-PROVEN.tar.gz")
    with pytest.raises(
        BundleError,
        match=r"is a draft, NOT PROVEN \(test accuracy 0\.\d+ is below problem\.target 1\.0",
    ):
        Classifier.load(draft)
    opened = Bundle(draft, draft=True)
    assert Classifier.load(opened).predict(np.zeros((1, 28, 28, 1), np.uint8)).shape == (1, 10)
    assert "## NOT PROVEN" in opened.read("MODEL_CARD.md").decode()
    for flag, status in (((), 1), (("--draft",), 0)):
        done = copy.attempt("python", "-m", "serving", "check", str(draft), *flag)
        assert done.returncode == status, done.stdout


def test_every_gate_that_fails_is_named_with_its_cure(finished: Project) -> None:
    settings = Params.model_validate(finished.params())
    stage_reports = reports(finished)
    assert gates.failures(settings, checked(stage_reports)) == []
    pairs = stage_reports["verify"]["pairs"]
    pair = next(pair for pair in pairs if pair["format"] == "onnx_int8")
    pair |= {"state": "worse", "reason": "9 of 50 images lost"}
    stage_reports["export"]["formats"]["mine"] = {"error": "ValueError: no"}
    reasons = ["test accuracy 0.5 is below problem.target 0.8"]
    stage_reports["evaluate"]["gate"]["failures"]["target"] = reasons
    failures = gates.failures(settings, checked(stage_reports))
    assert [sentence.split()[0] for sentence in failures] == ["test", "mine", "onnx_int8"]
    assert "onnx_int8" not in gates.files(checked(stage_reports))
    assert "onnx_int8" in gates.files(checked(stage_reports), draft=True)


def test_params_can_require_that_every_pair_is_proven(finished: Project) -> None:
    stage_reports = reports(finished)
    pairs = [pair for pair in stage_reports["verify"]["pairs"] if pair["processor"] == "native"]
    pairs[0] |= {"state": "not shown", "reason": "0 of 200 images lost"}
    stage_reports["verify"]["pairs"] = pairs
    lenient, strict = finished.params(), finished.params()
    strict["verify"]["require"] = "proven"
    assert gates.failures(Params.model_validate(lenient), checked(stage_reports)) == []
    (failure,) = gates.failures(Params.model_validate(strict), checked(stage_reports))
    assert failure.endswith("is not shown (0 of 200 images lost), and verify.require is proven")


OWN = {
    "problem.name": "mine",
    "problem.target": 0.5,
    "dataset.name": "npz",
    "dataset.path": "mine.npz",
    "preprocess.subset": None,
    "export.calibration_images": 5000,
    "export.max_accuracy_drop": 0.002,
    "verify.runtimes": ["litert", "onnxruntime"],
    "verify.processors": ["native"],
    "embed.targets": [],
}


def save_own(project: Project, train: int, test: int) -> None:
    """Writes a new user's images: the first `train` and `test` images of MNIST."""
    with np.load(Path(project.environment["DATA_MIRROR"]) / "mnist.npz") as mnist:
        save_npz(
            project.folder / "mine.npz",
            mnist["x_train"][:train],
            mnist["y_train"][:train],
            mnist["x_test"][:test],
            mnist["y_test"][:test],
        )


def test_a_new_users_few_images_end_with_a_bundle_and_a_true_sentence(project: Project) -> None:
    save_own(project, train=600, test=200)
    recipe = {"train.batch_size": 32, "train.learning_rate": 0.002, "train.epochs": 6}
    every_runtime = ["tflite_runtime", "litert", "onnxruntime", "tflite_micro"]
    project.change(
        {**OWN, **recipe, "verify.runtimes": every_runtime, "verify.micro_max_accuracy_drop": 0.002}
    )
    output = project.run("dvc", "repro", MLFLOW_TRACKING_URI="sqlite:///own.db")
    assert "too few to prove that an exported file loses at most 0.002" in output
    pairs = report(project, "verify")["pairs"]
    assert {pair["state"] for pair in pairs} == {"not shown"}
    assert all(
        "images like these would show 0.2 %" in pair["reason"] for pair in pairs if not pair["lost"]
    )
    assert list((project.folder / "dist").glob("mine-*.tar.gz"))


NOT_TRAINED = ("download", "preprocess", "baseline", "evaluate", "verify", "embed", "package")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("test", [1000, 2000])
def test_with_more_images_the_same_network_goes_from_not_shown_to_proven(
    finished: Project,
    tmp_path: Path,
    test: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The images that `finished` was trained on serve as a new user's own, with fewer test images.

    So nothing has to be trained.
    """
    float_files = {1000: "not shown", 2000: "proven"}[test]
    copy = finished.copy(tmp_path / "project")
    (copy.folder / "data").unlink()
    save_own(copy, train=finished.params()["preprocess"]["subset"], test=test)
    copy.change({**OWN, "verify.processors": ["native", "haswell"]} if test == 2000 else OWN)
    monkeypatch.chdir(copy.folder)
    monkeypatch.setattr(sys, "argv", ["stage"])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # where nobody listens
    for stage in NOT_TRAINED:
        importlib.import_module(f"pipeline.{stage}").main()
    output = capsys.readouterr().out
    for name in ("train/images", "train/labels", "validation/images", "validation/labels"):
        arrays = [
            np.load(project.folder / f"data/prepared/{name}.npy") for project in (copy, finished)
        ]
        np.testing.assert_array_equal(*arrays)
    assert ("too few to prove that an exported file loses at most 0.002" in output) == (
        test == 1000
    )

    verified = report(copy, "verify")
    assert verified["judged_on"] == {"test": test, "validation": 400}
    native = [pair for pair in verified["pairs"] if pair["processor"] == "native"]
    assert {pair["state"] for pair in native} <= {"not shown", "proven"}
    for pair in native:
        if pair["format"].endswith("float32"):
            assert (pair["lost"], pair["state"]) == (0, float_files)
        if pair["state"] == "not shown":
            bound = 100 * pair["accuracy_lost_bound"]
            assert pair["reason"].startswith(
                f"{pair['lost']} of {test + 400:,} images lost, {pair['gained']} gained: "
                f"no significant loss, but so few images show only that it is at most {bound:.2f} %"
            )
            assert pair["accuracy_lost_bound"] > 0.002
    opened = Bundle(copy.folder / "dist")
    page = opened.read("MODEL_CARD.md").decode()
    assert f"on {test + 400:,} test and validation images" in page
    assert f"| {float_files} |" in page
    emulated = [pair for pair in verified["pairs"] if pair["processor"] == "haswell"]
    if any(pair["state"] == "could not run" for pair in emulated):
        pytest.skip(emulated[0]["reason"])
    here = {pair["format"]: pair["state"] for pair in native}
    assert {pair["format"]: pair["state"] for pair in emulated} == ({} if test == 1000 else here)


def test_the_finished_run_in_the_workspace_is_proven_on_every_processor() -> None:
    """CI runs `make run` before the tests."""
    path = ROOT / "reports/verify.json"
    if not path.exists():
        pytest.skip("the pipeline has not run here")
    for processor, runtime in params.load(ROOT / "params.yaml").verify.places:
        emulated(processor, runtime)
    pairs = json.loads(path.read_text())["pairs"]
    assert [pair for pair in pairs if pair["state"] != "proven"] == []
    assert {pair["processor"] for pair in pairs} >= {"native", "nehalem", "haswell", "cortex-a72"}


def test_an_unknown_processor_is_refused_with_a_list_of_those_that_exist(finished: Project) -> None:
    values = finished.params()
    values["verify"]["processors"] = ["native", "skylake"]
    with pytest.raises(
        ValueError, match="'skylake' is not one of native, nehalem, haswell, cortex-a53"
    ):
        Params.model_validate(values)
    values["verify"]["processors"] = ["nehalem"]
    with pytest.raises(ValueError, match="native is missing"):
        Params.model_validate(values)
