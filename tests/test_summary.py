"""The table of results belongs to this run, even if the pipeline stopped early."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.box import ASCII2

from pipeline.process.errors import UserError
from pipeline.reporting import marked_tables, result_notes, summary, terminal
from pipeline.reporting.result_row import cells
from pipeline.reporting.tables import MILLISECONDS, table
from serving.gate import WORSE
from tests import reports
from tests.conftest import EDGEPROOF, Project


@pytest.fixture
def line(finished: Project, tmp_path: Path) -> Project:
    """A copy of a finished pipeline, with what DVC knows about it."""
    return finished.whole_copy(tmp_path / "project")


def printed(project: Project) -> str:
    return project.run(*EDGEPROOF, "report", COLUMNS="80")


@pytest.mark.slow
def test_figures_of_an_earlier_run_are_not_printed(line: Project) -> None:
    whole = printed(line)
    assert all(f"| {name} " in whole for name in ("baseline:", "Keras", "onnx_int8"))
    assert max(map(len, whole.splitlines())) <= 80
    assert all(text.rstrip(" |").endswith("| proven") for text in whole.splitlines() if "_" in text)
    assert "Not shown" not in whole

    line.change({"verify.micro_images": 40})
    partly = printed(line)
    assert "| Keras " in partly
    assert "| onnx_int8 " not in partly
    assert partly.endswith("Not shown, because missing or from an earlier run: verify.\n")

    (line.folder / "model/model.keras").unlink()  # as a training that fails leaves it
    assert "| baseline: " in printed(line)
    assert "Keras" not in printed(line)

    line.change({"preprocess.subset": 3000})
    assert printed(line) == (
        "Not shown, because missing or from an earlier run: baseline, evaluate, verify,\n"
        "diagnose.\n"
    )
    readme = (line.folder / "README.md").read_text()
    written = line.attempt(*EDGEPROOF, "report", "README.md")
    assert written.returncode == 1
    assert written.stderr == (
        "error: the reports of baseline, evaluate, verify, diagnose are missing or from an earlier "
        "run; run `edgeproof run` first\n"
    )
    assert (line.folder / "README.md").read_text() == readme


@pytest.mark.slow
def test_params_that_dvc_cannot_read_are_one_sentence(line: Project) -> None:
    with (line.folder / "params.yaml").open("a") as file:
        file.write("\nproblem: [")
    done = line.attempt(*EDGEPROOF, "report")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "error: no table, because DVC cannot say which run the reports belong to: "
    )
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("width", [67, 70, 79, 80, 81, 100])
def test_a_table_keeps_its_last_column_in_a_narrow_terminal(width: int) -> None:
    baseline = {"model": "baseline: nearest class mean (RMSE)", "test accuracy": "73.33 %"}
    file = {"model": "tflite_float32", "loses at most": "2.82 %", "size": "194 kB"}
    rows = [baseline, {**file, MILLISECONDS: "0.060", "verdict": "not shown"}]
    text = summary.table(terminal.COLUMNS, rows, ASCII2, width)
    assert max(map(len, text.splitlines())) <= width
    assert all(line.endswith(("|", "+")) for line in text.splitlines())
    assert {"verdict", "not", "shown"} <= {*text.split()}


def notes(*emulated: dict[str, Any]) -> str:
    there = [reports.compared(processor="haswell", **pair) for pair in emulated]
    return result_notes.notes(reports.verification(reports.compared(), *there))


FLOATS = "4 for files in float32, which are slow there and hardly differ"
GOLDEN = " and the golden vectors, whose probabilities differ from those here by at most 0.01. "


@pytest.mark.parametrize(
    ("emulated", "sentence"),
    [
        (
            [{"images": 40, "golden_difference": 0.01}, {"images": 4, "golden_difference": 1e-6}],
            f"40 test examples ({FLOATS}){GOLDEN}",
        ),
        ([{"images": 40, "golden_difference": 0.01}], f"40 test examples{GOLDEN}"),
        ([{"images": 40}], "40 test examples. "),
        ([{"images": 1}], "1 test example. "),
        (
            [{"images": 40}, {"images": 4}],
            f"40 test examples ({FLOATS}). ",
        ),
    ],
)
def test_the_notes_say_what_emulated_processors_saw_and_no_more(
    emulated: list[dict[str, Any]], sentence: str
) -> None:
    assert f" Each emulated processor sees {sentence}" in notes(*emulated)


def test_a_file_that_no_runtime_here_reads_could_not_run_whatever_an_emulator_found() -> None:
    there = reports.compared(processor="haswell")
    row = summary.file_row("tflite_int8", [there])
    assert row.verdict == "could not run: none of verify.runtimes reads it"


def test_without_an_emulated_processor_nothing_is_said_of_one() -> None:
    assert "emulated" not in notes()


def test_a_row_shows_the_worst_runtime_and_leaves_out_one_that_saw_fewer_images() -> None:
    fast = reports.compared(median_milliseconds=0.04)
    worse = reports.compared(runtime="tflite_runtime", accuracy=0.98, median_milliseconds=0.2)
    slow = reports.compared(
        runtime="tflite_micro", images=50, accuracy=0.9, median_milliseconds=1.2
    )
    refused = reports.failed(runtime="onnxruntime", reason="no")
    row = summary.file_row("tflite_int8", [fast, worse, slow, refused])
    assert row.score == 0.98
    assert summary.COLUMNS[MILLISECONDS](row) == "0.040 to 1.200"
    assert row.verdict == "proven; could not run on onnxruntime"


def test_a_file_that_is_worse_on_an_emulated_processor_alone_is_worse_in_its_row() -> None:
    there = reports.compared(processor="haswell", state=WORSE, reason="golden vectors differ")
    row = summary.file_row("onnx_int8", [reports.compared(), there])
    assert (row.verdict, row.emulated) == (WORSE, "haswell")


def test_a_narrow_table_cuts_no_name_of_a_file_and_no_number() -> None:
    columns = ("model", "balanced accuracy", "loses at most", "bytes", "ms/input", "verdict")
    figures = dict(
        zip(columns[1:], ("83.28 %", "1.31 %", "14,221,189", "28.334", "not shown"), strict=True)
    )
    names = ["baseline: nearest class mean (RMSE)", "tflite_float32", "onnx_float32"]
    rows = [{"model": name, **figures} for name in names]
    lines = summary.table(columns, rows, ASCII2, 80).splitlines()
    assert max(map(len, lines)) <= 80
    for name in names[1:]:
        (line,) = (text for text in lines if name in text)
        assert "14,221,189" in line


def test_the_short_row_has_the_fastest_time_and_the_loss_in_points() -> None:
    confidences = [{"calibration_error": error} for error in (0.001, 0.002)]
    pairs = [
        reports.compared(median_milliseconds=median, **values)
        for median, values in zip((0.04, 0.2), confidences, strict=True)
    ]
    row = summary.file_row("tflite_int8", pairs)
    assert cells(marked_tables.short_columns([row]), [row])[0] == {
        "file": "tflite_int8",
        "size": "60 kB",
        "test accuracy": "99.00 %",
        "may lose at most": "0.12 points",
        "calibration error": "0.0020",
        "answered": "",
        "of these wrong": "",
        "ms/input": "0.040",
        "verdict": "proven",
    }


def test_the_short_row_of_the_keras_model_has_its_interval() -> None:
    evaluation = reports.evaluation(gate={"failures": {"classes": ["never predicts 'b'"]}})
    keras = summary.keras_row(evaluation, 256_184)
    (row,) = cells(marked_tables.short_columns([keras]), [keras])
    assert row["size"] == "256 kB"
    assert row["test accuracy"] == "99.00 % (98.00 to 99.50 %)"
    assert row["verdict"] == "failed"


def test_the_short_note_names_the_emulated_processors() -> None:
    seen = (("haswell", 100), ("nehalem", 10), ("haswell", 10))
    there = [reports.compared(processor=name, images=images) for name, images in seen]
    assert result_notes.verdicts(reports.verification(reports.compared(), *there)) == (
        " A verdict is the worst here and on emulated haswell, nehalem, where 100 test examples "
        "(10 for files in float32) and the golden vectors must not contradict it."
    )
    assert "where 10 test examples and the golden" in result_notes.verdicts(
        reports.verification(reports.compared(), there[-1])
    )
    assert result_notes.verdicts(reports.verification(reports.compared())) == ""


def test_a_file_without_markers_is_left_as_it_is(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("no markers")
    with pytest.raises(UserError, match="add them where the table belongs"):
        marked_tables.replace(page, "table", marked_tables.BEGIN, marked_tables.END)
    assert page.read_text() == "no markers"


def test_the_name_of_a_class_neither_shifts_a_table_nor_begins_html() -> None:
    rows = table(["class", "recall"], [["<b>a|b\nc</b>", "1.0"]]).split("\n")
    assert rows[-1] == r"| \<b>a\|b c\</b> | 1.0 |"
