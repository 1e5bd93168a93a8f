"""Verification: what is judged on which images, and how many of them a proof takes."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import params
from pipeline.config.params import Params
from pipeline.files.reports.verify import AnyPair
from pipeline.planning import start
from pipeline.planning.data import Given
from pipeline.verification import verdicts
from serving import Bundle
from tests.conftest import OWN_PROBLEM, ROOT, Project, emulated
from tests.reports import compared, report, verification
from tests.reports import failed as could_not_run

pytestmark = pytest.mark.slow


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
    assert verified["judged_on"] == {**images, "noun": "images"}
    pair = next(pair for pair in verified["pairs"] if pair["format"] == "onnx_float32")
    assert pair["runtime"] == "onnxruntime"
    assert (pair["images"], pair["test_images"]) == (sum(images.values()), images["test"])
    assert pair["accuracy"] == report(finished, "evaluate")["test_accuracy"]


def test_the_card_has_the_threshold_that_was_fitted_on_the_validation_set(
    finished: Project, tmp_path: Path, run_stages: Callable[..., None]
) -> None:
    """Of 400 images, 99 % are answered with 95 % confidence if only the least sure may be not."""
    copy = finished.copy(tmp_path / "project")
    copy.change({"problem.coverage": 0.99, "verify.processors": ["native"]})
    run_stages(copy, "verify", "package")
    pairs = report(copy, "verify")["pairs"]
    pair = next(pair for pair in pairs if pair["format"] == "onnx_float32")
    with np.load(copy.folder / "evaluation/validation.npz") as validation:
        least = validation["probabilities"].max(1).min()
    assert pair["accept_from"] == pytest.approx(least, abs=1e-5)
    assert pair["rejection"]["images"] == pair["test_images"]
    assert pair["rejection"]["coverage"] > 0.98
    assert pair["calibration_error"] == pytest.approx(
        report(copy, "evaluate")["test_calibration_error"], abs=0.001
    )
    bundle = Bundle(copy.folder / "dist")
    files = {file.format: file for file in bundle.card.files}
    assert files["onnx_float32"].accept_from == pair["accept_from"]
    int8 = files["tflite_int8"]
    assert int8.accept_from is not None
    assert (256 * int8.accept_from).is_integer(), "a value that the file's output can take"
    page = bundle.read("MODEL_CARD.md").decode()
    assert "## None of these" in page
    assert "pictures/reliability.png" in page
    assert "How often answers of each" in (copy.folder / "reports/index.html").read_text("utf-8")


OWN = {
    **OWN_PROBLEM,
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
        np.savez(
            project.folder / "mine.npz",
            x_train=mnist["x_train"][:train],
            y_train=mnist["y_train"][:train],
            x_test=mnist["x_test"][:test],
            y_test=mnist["y_test"][:test],
        )


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_a_new_users_few_images_end_with_a_bundle_and_a_true_sentence(
    project: Project,
    run_stages: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By the recipe that `edgeproof start` writes."""
    save_own(project, train=600, test=200)
    with np.load(project.folder / "mine.npz") as mine:
        strange = {name: 255 - mine[name] for name in ("x_train", "x_test")}
    np.savez(project.folder / "strange.npz", **strange)
    monkeypatch.chdir(project.folder)
    shutil.copy(ROOT / "params.yaml", ".")
    start.start(Path("mine.npz"), None, Path("params.yaml"), True, Given(other="strange.npz"))
    project.change(
        {
            "evaluate.folds": "pipeline/none",  # which would train five more
            "problem.coverage": 0.9,
            "export.formats": ["tflite_int8", "onnx_float32"],
            "verify.processors": ["native"],
            "verify.micro_images": 50,
            "verify.micro_max_accuracy_drop": 0.002,
            "embed.targets": [],
        }
    )
    run_stages(project)
    printed = capsys.readouterr().out
    assert "too few to prove that an exported file loses at most 0.002" in printed
    assert "pictures of none of the classes: train: 600, test: 200" in printed
    pairs = report(project, "verify")["pairs"]
    assert {pair["state"] for pair in pairs} == {"not shown"}
    assert all(
        "images like these would show 0.2 %" in pair["reason"] for pair in pairs if not pair["lost"]
    )
    for pair in pairs:  # inverted digits
        assert pair["others"]["images"] == (50 if pair["runtime"] == "tflite_micro" else 200)
        assert pair["others"]["share"] >= 0.95
    assert re.search(r"; rejects (9\d|100)\.\d\d % of (50|200) others \(", printed)
    (archive,) = (project.folder / "dist").glob("mine-*.tar.gz")
    card = Bundle(archive).read("MODEL_CARD.md").decode()
    assert "| file | runtime | others | rejected | 95 % interval |" in card
    page = (project.folder / "reports/index.html").read_text("utf-8")
    assert "of the test pictures that are none of the classes" in page


NOT_TRAINED = ("download", "preprocess", "baseline", "evaluate", "verify", "embed", "package")


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("test", [1000, 2000])
def test_with_more_images_the_same_network_goes_from_not_shown_to_proven(
    finished: Project,
    tmp_path: Path,
    test: int,
    run_stages: Callable[..., None],
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
    run_stages(copy, *NOT_TRAINED)
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
    assert verified["judged_on"] == {"test": test, "validation": 400, "noun": "images"}
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


def test_each_verdict_is_printed_when_it_is_there_and_each_file_is_summed_up(
    finished: Project,
    tmp_path: Path,
    run_stages: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    copy = finished.copy(tmp_path / "project")
    copy.change({"verify.processors": ["native"]})
    run_stages(copy, "verify")
    first = capsys.readouterr().out.splitlines()
    assert first[0] == "11 pairs of a file and a runtime to compare"
    left = [re.fullmatch(r".+ on .+: proven \((\d+) left\)", line) for line in first[1:12]]
    assert [match and match[1] for match in left] == [str(number) for number in range(10, -1, -1)]
    assert len(first) == 12 + 1 + 6, "after the latencies, one line for each file"
    assert first[13].startswith("tflite_float32: proven on 2 of 2: loses at most 0.")
    (int8,) = (line for line in first[13:] if line.startswith("tflite_int8"))
    assert re.fullmatch(
        r"tflite_int8: proven on 3 of 3: loses at most [\d.]+ to [\d.]+ %(; answers [^;]+)*", int8
    )
    run_stages(copy, "verify")
    assert re.fullmatch(
        r"11 pairs of a file and a runtime to compare, which took \d+ s the first time",
        capsys.readouterr().out.splitlines()[0],
    )


def test_many_verdicts_are_one_line_for_each_file_and_verdict_with_the_worst_reason() -> None:
    few = {"state": "not shown", "reason": "0 of 50 images lost", "accuracy_lost_bound": 0.06}
    many = {"state": "not shown", "reason": "1 of 200 images lost", "accuracy_lost_bound": 0.02}
    there = {**many, "reason": "as on this processor", "golden_difference": 0.004}
    pairs: list[AnyPair] = [
        compared(**many),
        compared(runtime="tflite_micro", **few),
        *(compared(processor=name, **there) for name in ("haswell", "nehalem")),
        could_not_run(runtime="onnxruntime", reason="no kernel"),
        could_not_run(runtime="onnxruntime", processor="haswell", reason="no kernel"),
        could_not_run(format="tflite_float32", reason="no kernel"),
        could_not_run(format="tflite_float32", processor="nehalem", reason="no emulator"),
    ]
    name = pairs[0].format
    assert verdicts.summary(verification(*pairs)) == [
        f"{name}: not shown on 4 of 6: loses at most 2.00 to 6.00 %; the same on emulated "
        "processors, within 0.004; tflite_micro: 0 of 50 images lost",
        f"{name}, tflite_float32: could not run on 3 of 8: no kernel",
        "tflite_float32: could not run on 1 of 2: no emulator",
    ]


def test_a_file_that_is_better_than_the_model_loses_at_most_nothing() -> None:
    better, worse = compared(accuracy_lost_bound=-0.0001), compared(accuracy_lost_bound=0.02)
    assert verdicts.bounds([better, better]) == "loses at most 0.00 %"
    assert verdicts.bounds([better, worse]) == "loses at most 0.00 to 2.00 %"
