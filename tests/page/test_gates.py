"""The page after a failed gate: the verdict, its reason and its cure."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import params
from pipeline.embedded import c
from pipeline.files.reports.verify import FailedPair
from serving import gate
from tests.conftest import EDGEPROOF, Project
from tests.page.conftest import PAGE, Reader, change_report, text, written

pytestmark = pytest.mark.slow


# Enough for every gate, in a quarter of the time.
FEWER = {
    "verify.runtimes": ["litert", "onnxruntime"],
    "verify.processors": ["native"],
    "embed.targets": ["c"],
    "embed.programs": [c.HERE],
}


@pytest.mark.long
def test_after_a_failed_gate_a_run_ends_with_the_page_and_the_table_and_a_draft_can_be_made(
    own: Project,
) -> None:
    table = (*EDGEPROOF, "report")
    named = f"\nThe whole run on one page: {PAGE}\n"
    assert own.run(*table).endswith(named)
    params_file = own.folder / params.FILE
    before = params_file.read_bytes()
    own.change({"problem.target": 1.0, **FEWER})
    assert named not in own.run(*table)
    # In the environment of the tests.
    done = own.attempt("make", "--no-print-directory", "--old-file=env", "run", "RUN=")
    assert done.returncode != 0
    assert "error: no bundle: test accuracy 0." in done.stderr
    assert done.stdout.endswith(named)
    (keras,) = (line for line in done.stdout.splitlines() if line.startswith("| Keras "))
    assert keras.rstrip(" |").endswith("| failed")
    assert "| onnx_int8 " in done.stdout
    shown = text((own.folder / PAGE).read_text(encoding="utf-8"))
    assert "This run made no bundle: 1 of 6 gates failed." in shown
    assert "is below problem.target 1.0; change the model or the data, and train again" in shown
    assert re.search(
        r"Next steps .* edgeproof advise .* edgeproof improve .* edgeproof draft", shown
    )
    assert own.run(*table).endswith(named)
    drafted = own.attempt("make", "--old-file=env", "draft", "RUN=")
    assert drafted.returncode == 0, drafted.stderr
    assert "NOT-PROVEN.tar.gz: NOT PROVEN" in drafted.stdout
    assert keras in drafted.stdout
    own.change({"export.max_accuracy_drop": 0.02})
    assert named not in own.run(*table)
    params_file.write_bytes(before)
    own.run("dvc", "repro")  # which takes away the page that DVC knows nothing of
    assert "All 6 gates passed" in (own.folder / PAGE).read_text(encoding="utf-8")
    assert own.run(*table).endswith(named)


def fail_every_gate(run: Path) -> None:
    """Changes params and reports as if every gate had failed."""
    values = (run / "params.yaml").read_text().replace("targets: all", "targets: [c]")
    (run / "params.yaml").write_text(values.replace("require: not worse", "require: proven"))

    def convert(report: dict[str, Any]) -> None:
        report["formats"]["tflite_float16"] = {"error": "RuntimeError: op 'CAST'"}

    def verify(report: dict[str, Any]) -> None:
        verdicts = {
            "onnx_int8": (gate.WORSE, "601 of 16,000 images lost"),
            "tflite_int8": (gate.NOT_SHOWN, "5,551 images would show 0.2 %"),
            "tflite_dynamic": (gate.COULD_NOT_RUN, "the operator SELU is not supported"),
        }
        for pair in report["pairs"]:
            if pair["format"] in verdicts:
                pair["state"], pair["reason"] = verdicts[pair["format"]]
            if pair["state"] == gate.COULD_NOT_RUN:  # then it has no figures
                for name in pair.keys() - FailedPair.model_fields:
                    del pair[name]

    def refuse(report: dict[str, Any]) -> None:
        report["targets"] = [{"target": "c", "format": "onnx_float32", "refused": "no operator"}]

    def warn(report: dict[str, Any]) -> None:
        report["duplicates"] |= {"train_and_test": 12, "within_train": 3}
        report["unreadable"] = [f"{number}.jpg" for number in range(14)]
        counts = {"train": 21, "validation": 0, "test": 1}
        report["corrected"] = {"relabelled": counts, "dropped": counts, "unused": 5}
        report["splits"]["test"]["empty"] = 2

    def evaluate(report: dict[str, Any]) -> None:
        report["gate"]["failures"] = {
            "target": ["below the target"],
            "baseline": ["does not beat the baseline"],
            "classes": ["never predicts 'b'"],
        }

    change_report("export", convert)
    change_report("verify", verify)
    change_report("embed", refuse)
    change_report("preprocess", warn)
    change_report("evaluate", evaluate)


def test_every_gate_and_verdict_is_a_word_with_its_reason_and_its_cure(run: Path) -> None:
    fail_every_gate(run)
    shown = text(written())
    assert "This run made no bundle: 6 of 6 gates failed." in shown
    for sentence in (
        "Target ✗ failed below the target",
        "Baseline ✗ failed does not beat the baseline",
        "Every class predicted ✗ failed never predicts 'b'",
        "Conversion ✗ failed tflite_float16 could not be converted: RuntimeError: op 'CAST'",
        "Without Python ✗ failed c refuses the model: no operator",
        "tflite_float32 ✓ proven",
        "tflite_int8 ? not shown not shown on ",
        "5,551 images would show 0.2 %",
        "tflite_dynamic ○ could not run could not run on ",
        "the operator SELU is not supported",
        "onnx_int8 ✗ worse worse on ",
        "12 examples are in both the training set and the test set, a leak.",
        "3 examples of the training set are copies of others in it.",
        "2 examples of the test set are empty",
        "14 files could not be read: 0.jpg, ",
        "9.jpg, and 4 more.",
        "labels changed: 21 of the train set, 0 of the validation set, 1 of the test set; "
        "examples dropped: 21 of the train set",
        "5 are of examples that are in another set than the file says",
    ):
        assert sentence in shown


def test_the_commands_that_cure_a_gate_can_be_pasted(run: Path) -> None:
    from dvc.utils.hydra import apply_overrides

    fail_every_gate(run)
    commands = re.findall(r"<pre>(.*?)</pre>", written())
    parsed = [shlex.split(Reader(command).text) for command in commands]
    overrides = [command[4] for command in parsed if command[:4] == ["dvc", "exp", "run", "-S"]]
    apply_overrides(run / "params.yaml", overrides)
    changed = params.load()
    assert changed.export.formats == [
        "tflite_float32",
        "tflite_dynamic",
        "tflite_int8",
        "onnx_float32",
    ]
    assert changed.verify.require == "not worse"
    assert changed.embed.targets == "all"
