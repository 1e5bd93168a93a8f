"""What `package` refuses to pack, and the draft that it packs all the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline import check, evaluate, package
from pipeline.bundle import gates
from pipeline.config import params
from pipeline.config.params import Params
from pipeline.files import artifacts, raw
from pipeline.files.reports.evaluate import EvaluationReport
from pipeline.files.reports.folds import FoldsReport, recipe
from pipeline.process.errors import UserError
from pipeline.reporting import by_folds, metrics
from serving import Bundle, BundleError, Classifier
from tests.conftest import PACK_DRAFT, Project
from tests.reports import checked, reports

pytestmark = pytest.mark.slow


def test_a_missed_target_keeps_the_earlier_bundle_and_allows_a_draft(
    finished: Project, tmp_path: Path
) -> None:
    copy = finished.copy(tmp_path / "project")
    for name in (".git", ".dvc"):
        shutil.copytree(finished.folder / name, copy.folder / name)
    (earlier,) = (copy.folder / "dist").iterdir()
    contents = earlier.read_bytes()
    copy.change({"problem.target": 1.0})
    evaluated = copy.run("python", "-m", "pipeline.evaluate")
    assert "is below problem.target 1.0" in evaluated
    stopped = copy.attempt("dvc", "repro", "--single-item", "package")
    assert stopped.returncode != 0
    (sentence,) = (line for line in stopped.stderr.splitlines() if "no bundle" in line)
    assert sentence.startswith("error: no bundle: test accuracy 0.")
    assert sentence.endswith(
        f". dist/{earlier.name} is still that of an earlier run. "
        "`edgeproof draft` packs one anyway, marked as not proven"
    )
    assert earlier.read_bytes() == contents
    # By this report, other commands know which bundle is of this run.
    assert not (copy.folder / "reports/package.json").exists()

    copy.run(*PACK_DRAFT)
    (draft,) = (copy.folder / "draft").glob("*-NOT-PROVEN.tar.gz")
    with pytest.raises(
        BundleError,
        match=r"is a draft, NOT PROVEN \(test accuracy 0\.\d+ is below problem\.target 1\.0",
    ):
        Classifier.load(draft)
    opened = Bundle(draft, draft=True)
    assert Classifier.load(opened).predict(np.zeros((1, 28, 28, 1), np.uint8)).shape == (1, 10)
    card = opened.read("MODEL_CARD.md").decode()
    _, failures = card.split("## NOT PROVEN")
    failures, _ = failures.split("\n## ", 1)
    assert "is below problem.target 1.0; change the model or the data, and train" in failures
    assert "| tflite_int8.tflite |" in card and "accuracy loss, at most | ms/input" in card
    assert "| Raspberry Pi Pico |" in card
    commands = [line for line in card.splitlines() if line.startswith("serving ")]
    assert len(commands) == 4
    assert all(" --draft" in line for line in commands), "serving refuses a draft without it"
    for flag, status in (((), 1), (("--draft",), 0)):
        done = copy.attempt("python", "-m", "serving", "check", str(draft), *flag)
        assert done.returncode == status, done.stdout


def test_a_new_bundle_replaces_all_that_was_in_its_folder(tmp_path: Path) -> None:
    new = tmp_path / "mine-1.0.1.tar.gz"
    for path in (new, tmp_path / "mine-1.0.0.tar.gz", tmp_path / "unpacked/card.json"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    package.remove_others(new)
    assert list(tmp_path.iterdir()) == [new]


def test_folds_of_this_recipe_judge_the_target_and_are_on_the_card(
    finished: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = finished.copy(tmp_path / "project")
    copy.change({"evaluate.folds": "reports/folds.json"})
    monkeypatch.chdir(copy.folder)
    score = by_folds.score([metrics.by_accuracy(np.arange(100) < 99)] * 3)
    FoldsReport(recipe=recipe(params.load(), raw.description()), score=score).save()
    assert by_folds.sentence(score) in copy.run("python", "-m", "pipeline.evaluate")
    copy.run(*PACK_DRAFT)
    (draft,) = (copy.folder / "draft").glob("*-NOT-PROVEN.tar.gz")
    card = Bundle(draft, draft=True).read("MODEL_CARD.md").decode()
    assert card.count(by_folds.sentence(score)) == 1

    copy.change({"train.epochs": 50})
    judged = EvaluationReport.load()
    again = evaluate.by_folds(judged, params.load(), artifacts.load_description())
    (sentence,) = again.judged.failures["target"]
    assert "folds.json is of other data, or of other values of dataset" in sentence
    assert judged.judged.target_reached
    assert not again.judged.target_reached
    (copy.folder / "reports/folds.json").unlink()
    with pytest.raises(UserError, match=r"evaluate\.folds reports/folds\.json does not exist; `"):
        check.main()


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
    every = stage_reports["verify"]["pairs"]
    pairs = [{**pair, "rejection": None} for pair in every if pair["processor"] == "native"]
    pairs[0] |= {"state": "not shown", "reason": "0 of 200 images lost"}
    stage_reports["verify"]["pairs"] = pairs
    lenient, strict = finished.params(), finished.params()
    strict["verify"]["require"] = "proven"
    assert gates.failures(Params.model_validate(lenient), checked(stage_reports)) == []
    (failure,) = gates.failures(Params.model_validate(strict), checked(stage_reports))
    assert failure.endswith("is not shown (0 of 200 images lost), and verify.require is proven")
    pairs[1] |= {"state": "not shown", "reason": "0 of 200 images lost"}
    (failure,) = gates.failures(Params.model_validate(strict), checked(stage_reports))
    first, second = (f"{pair['format']} on {pair['runtime']}" for pair in pairs[:2])
    assert failure.startswith(f"{first}, {second} are not shown (0 of 200 images lost), and ")
