"""The figures in the pages are those that were measured."""

from __future__ import annotations

import hashlib
import re
import subprocess

import numpy as np
import pytest
from ruamel.yaml import YAML

from pipeline.config import params
from pipeline.files import splits
from pipeline.files.reports.embed import CMeasurements, EmbedReport
from pipeline.planning.parts import TEST, validation_share
from pipeline.reporting import marked_tables, result_row, summary
from serving import gate
from tests.conftest import ROOT
from tests.docs.conftest import README

RESULTS = ROOT / "docs" / "results.md"


def test_the_page_on_the_lectures_has_the_figures_of_their_own_page() -> None:
    theirs = (ROOT / "lectures" / "README.md").read_text("utf-8")
    block = theirs[theirs.index("| example |") :].split("\n\n")[0]
    expected = [[re.sub(r"\[(\w+)\].*", r"\1", row[0]), *row[1:4]] for row in table(block)[1]]
    page = (ROOT / "docs" / "lectures.md").read_text("utf-8")
    assert table(page[page.index("| example |") :].split("\n\n")[0])[1] == expected


def test_the_page_on_the_server_quotes_the_benchmark() -> None:
    benchmarks = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    _, rows = table(benchmarks[benchmarks.index("| server |") :].split("\n\n")[0])
    json_rate = {row[0]: row[2] for row in rows}
    page = " ".join((ROOT / "docs" / "server.md").read_text("utf-8").split())
    assert f"answers {json_rate['ours, onnx_float32']} JSON requests per second" in page
    assert f"FastAPI around the same model answers {json_rate['FastAPI']}" in page
    assert f"`mlflow models serve` {json_rate['mlflow models serve']}." in page


def test_the_page_on_the_team_says_of_killed_servers_what_was_shown() -> None:
    report = (ROOT / "benchmarks" / "chaos.md").read_text("utf-8")
    header, rows = table(report)
    page = " ".join((ROOT / "docs" / "team.md").read_text("utf-8").split())
    succeeded = [row for row in rows if row[header.index("given again")] == "succeeded"]
    assert f"at each of {len(rows)} random moments" in page
    assert f"{len(succeeded)} of {len(rows)} commands succeeded when they were given again" in page


def test_the_page_on_training_says_what_a_teacher_was_worth() -> None:
    report = (ROOT / "benchmarks" / "distillation.md").read_text("utf-8")
    _, rows = table(report[: report.index("## ")])
    expected: dict[tuple[str, str], dict[str, list[str]]] = {}
    for data, network, training, mean, _, gain, _ in rows:
        expected.setdefault((data, network), {})[training] = [mean, gain]
    page = (ROOT / "docs" / "training.md").read_text("utf-8")
    header, quoted = table(page[page.index("| data | network | plain |") :].split("\n\n")[0])
    assert [(row[0], row[1]) for row in quoted] == list(expected)
    for row in quoted:
        ways = expected[row[0], row[1]]
        assert row[2] == ways["plain"][0]
        assert row[3:5] == ways[header[3]]
        assert row[5:] == ways.get(header[5], ["", ""])
        # What the page concludes: no gain of two standard errors, and time is spent as well
        points, error = (float(part) for part in row[4].split(" ± "))
        assert points < 2 * error
        assert not row[6] or float(row[6].split()[0]) >= points


def test_the_page_on_microcontrollers_says_how_good_the_smallest_files_are() -> None:
    report = (ROOT / "benchmarks" / "smallest.md").read_text("utf-8")
    header, rows = table(report[: report.index("## ")])
    page = (ROOT / "docs" / "microcontroller.md").read_text("utf-8")
    shown, quoted = table(page[page.index("| network | weights | bytes |") :].split("\n\n")[0])
    columns = [header.index(column) for column in shown[2:]]
    assert [row[2:] for row in quoted] == [[row[column] for column in columns] for row in rows]


def test_the_page_on_benchmarks_says_which_score_rejects_what() -> None:
    report = (ROOT / "benchmarks" / "strange_scores.md").read_text("utf-8")
    header, rows = table(report)
    page = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    part = page[page.index("### Other scores") :].split("\n## ")[0]
    shown, quoted = table(part)
    assert shown == header
    assert quoted == [row for row in rows if "cut" not in row[0]]
    text = " ".join(part.split())
    sizes = re.search(r"file has ([\d,]+) bytes, and ([\d,]+) when it is cut", report)
    assert sizes is not None
    assert f"{sizes[2]} bytes instead of {sizes[1]}" in text
    (logit,) = (row for row in rows if "cut" in row[0] and row[1] == "largest logit")
    assert f"rejected {logit[header.index('Fashion-MNIST')]} of 1,000 clothes" in text
    # What the page concludes
    clothes = {(row[0], row[1]): number(row[header.index("Fashion-MNIST")]) for row in rows}
    noise = {(row[0], row[1]): number(row[header.index("noise")]) for row in rows}
    files = {row[0] for row in rows}
    for file in files:
        assert clothes[file, "largest logit"] - clothes[file, "largest probability"] >= 15
        assert noise[file, "largest logit"] == 0
    assert max(clothes.values()) < 96


def test_the_page_on_benchmarks_says_how_fast_photos_are_read() -> None:
    report = (ROOT / "benchmarks" / "reading.md").read_text("utf-8")
    page = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    part = page[page.index("### How training reads photos") :].split("\n## ")[0]
    header, rows = table(report)
    assert table(part) == (header, rows)
    # What the page concludes
    cpu = {row[0]: float(row[header.index("CPU ms a photo")]) for row in rows}
    ours = cpu["ours, compressed files"]
    assert all(0.8 < cpu[way] / ours < 1.25 for way in cpu if "Pillow" in way or "2 pro" in way)
    assert cpu["tf.data, its own decoder"] < 0.5 * ours
    assert cpu["ours, pixels"] < 0.1 * ours


def results() -> tuple[list[str], list[list[str]]]:
    """The header and the rows of the full table of results."""
    block = RESULTS.read_text("utf-8").split(marked_tables.BEGIN)[1].split(marked_tables.END)[0]
    return table(block)


def table(block: str) -> tuple[list[str], list[list[str]]]:
    header, _, *rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in block.splitlines()
        if line.startswith("|")
    ]
    return header, rows


def test_the_table_of_results_shows_what_the_pipeline_must_reach() -> None:
    header, lines = results()
    assert header == list(summary.COLUMNS)
    rows = [dict(zip(header, line, strict=True)) for line in lines]
    size = {row["model"]: int(row["bytes"].replace(",", "")) for row in rows[1:]}
    assert set(params.load(ROOT / "params.yaml").export.formats) | {"Keras"} == set(size)
    keras = number(rows[1]["test accuracy"])
    assert keras >= 99.5
    for row in rows[2:]:
        agreement = {"float32": 100.0, "float16": 99.9, "dynamic": 99.9, "int8": 99.8}[
            row["model"].split("_")[1]
        ]
        assert number(row["agreement"]) >= agreement, row
        assert keras - number(row["test accuracy"]) <= 0.1 + 1e-9, row
        assert row["verdict"] == "proven"
    assert size["tflite_int8"] <= min(100_000, 0.3 * size["tflite_float32"])


def number(cell: str) -> float:
    return float(cell.removesuffix(" %"))


def test_the_readme_has_the_same_figures_in_short() -> None:
    header, rows = results()
    lines = [dict(zip(header, row, strict=True)) for row in rows[1:]]
    block = README.read_text("utf-8").split(marked_tables.SHORT_BEGIN)[1]
    short_header, short_rows = table(block.split(marked_tables.SHORT_END)[0])
    assert short_header == list(marked_tables.SHORT_COLUMNS)
    for line, row in zip(lines, short_rows, strict=True):
        interval = f" ({line['95 % interval']})" if line["model"] == summary.KERAS else ""
        assert dict(zip(short_header, row, strict=True)) == {
            "file": line["model"],
            "size": f"{int(line['bytes'].replace(',', '')) / 1000:,.0f} kB",
            "test accuracy": f"{line['test accuracy']}{interval}",
            "may lose at most": line["loses at most"].replace("%", "points"),
            **{title: line[title] for title in result_row.CONFIDENCE_COLUMNS},
            "ms/input": line["ms/input"].split(" ")[0],
            "verdict": line["verdict"],
        }


def test_the_tables_are_those_that_were_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only if the reports here are those of the committed dvc.lock: another processor measures
    other times and may train other weights."""
    committed = subprocess.run(
        ["git", "show", "HEAD:dvc.lock"], cwd=ROOT, capture_output=True, check=True
    ).stdout
    outs = {
        out["path"]: out.get("md5")
        for stage in YAML(typ="safe").load(committed)["stages"].values()
        for out in stage.get("outs", [])
    }
    reports = [f"reports/{name}.json" for name in (*summary.REPORTS, "embed")]
    if any(
        not (ROOT / path).exists()
        or hashlib.md5((ROOT / path).read_bytes()).hexdigest() != outs[path]
        for path in reports
    ):
        pytest.skip("the reports here are of another run")
    monkeypatch.chdir(ROOT)
    assert marked_tables.block() in RESULTS.read_text("utf-8")
    assert marked_tables.short_block() in README.read_text("utf-8")
    (proof,) = (
        target.measured
        for target in EmbedReport.load().targets
        if isinstance(target.measured, CMeasurements)
    )
    images, points = f"all {proof.test_images:,}", f"at most {100 * proof.bound:.2f} points"
    assert f"{images}: {proof.state}, and loses {points}." in RESULTS.read_text("utf-8")


def test_the_gate_page_says_what_few_images_of_ones_own_can_show() -> None:
    settings = params.load(ROOT / "params.yaml")
    page = (ROOT / "docs" / "gate.md").read_text("utf-8")
    limit = settings.export.max_accuracy_drop
    needed = gate.images_needed(limit)
    assert needed == 1559
    for images in (200, 500, 1000, 2000, 5568):
        count = unseen(images)
        loss = 100 * gate.accuracy_lost_bound(0, 0, count)
        verdict = "proven" if count >= needed else "not shown"
        assert verdict == gate.verdict(0, 0, count, limit)
        assert f"| {images:,} | {count:,} | {loss:.2g} points | {verdict} |\n" in page
    _, rows = table(page[page.index("| `export.max_accuracy_drop` |") :].split("\n\n")[0])
    assert len(rows) == 6
    for drop, needed_for_drop, total in rows:
        count, images = (int(cell.replace(",", "")) for cell in (needed_for_drop, total))
        assert count == gate.images_needed(float(drop))
        assert unseen(images) >= count > unseen(images - 1)


def test_the_readme_says_what_few_images_show_with_the_split_that_start_proposes() -> None:
    bounds = (gate.accuracy_lost_bound(0, 0, unseen(images)) for images in (200, 1000, 2000))
    losses = [f"{100 * bound:.2g}" for bound in bounds]
    readme = " ".join(README.read_text("utf-8").split())
    assert f"at most {losses[0]}, {losses[1]} or {losses[2]} percentage points, if no" in readme
    assert "From 5,568 images on, that is the default limit of 0.2, and the file is" in readme


def unseen(images: int) -> int:
    """How many images of one's own the weights do not see, with the split that `start` proposes."""
    share = validation_share(images - round(TEST * images))
    preprocess = params.load(ROOT / "params.yaml").preprocess
    preprocess = preprocess.model_copy(update={"validation": share})
    rows = splits.splits(np.zeros(images, int), TEST, preprocess)
    return len(rows["test"]) + len(rows["validation"])
