"""Suspect labels: how they are ranked, the page for deciding on them, and the file it saves."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from pipeline import download, inputs
from pipeline.config import params
from pipeline.files import artifacts, raw
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError
from pipeline.search import folds, labels, labels_page
from pipeline.search.analysis import Analysis, AnalysisOptions
from pipeline.search.announcement import announce
from pipeline.search.engine import Engine
from pipeline.search.labels import Suspect
from tests.settings import configure
from tests.test_corrections import OWN

HOSTILE = ["</script><script>document.title='broken'</script>", 'a "quoted", name', "plain"]


@pytest.mark.filterwarnings("ignore")
def test_a_label_is_suspect_if_its_class_is_less_likely_than_for_others_with_that_label() -> None:
    """By hand: the mean probability of class 0 is 0.84 where it is the label, that of class 1 0.7.

    What is labelled 0 and has at least 0.7 for class 1 is taken for wrong; what has 0.55 is not,
    though class 1 is likelier. In each group the lowest probability of the label comes first.
    """
    probabilities = np.array(
        [[0.93, 0.07]] * 20 + [[0.3, 0.7]] * 20 + [[0.45, 0.55], [0.2, 0.8], [0.05, 0.95]],
        np.float32,
    )
    given = np.array([0] * 20 + [1] * 20 + [0, 0, 0])
    rows = np.arange(100, 143)
    assert probabilities[given == 0, 0].mean() == pytest.approx(0.84, abs=0.01)
    suspects = labels.ranked(rows, given, probabilities)
    assert [
        (suspect.row, suspect.given, suspect.suggested, suspect.is_wrong) for suspect in suspects
    ] == [(142, 0, 1, True), (141, 0, 1, True), (140, 0, 1, False)]
    assert suspects[0].likelihood == pytest.approx(0.95)
    assert suspects[0].confidence == pytest.approx(0.05)


def test_one_sigmoid_is_the_probability_of_the_second_class() -> None:
    np.testing.assert_allclose(labels.two_columns(np.array([[0.2]])), [[0.8, 0.2]])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_command_ranks_examples_of_models_that_did_not_train_on_them(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = folds.validating(Analysis("labels", AnalysisOptions(), folds=2), 2)
    assert [task.cached() for task in tasks] == [None, None]
    announce(tasks, Engine())
    assert capsys.readouterr().out == (
        "2 trainings of 1 epoch, each on 300 examples or more; how long they take is shown after "
        "the first two epochs\n"
    )
    for task in tasks:
        task.run()
        right = task.probabilities().argmax(1) == raw.rows(task.validation_rows)[1]
        cached = task.cached()
        assert cached is not None
        assert right.mean() == pytest.approx(cached.accuracy)
    labels.find(2, 7, AnalysisOptions())
    assert "2 of 2 trainings already done" in capsys.readouterr().out
    with Path("reports/labels.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    rows, given, probabilities = labels.out_of_fold(tasks)
    assert sorted(rows) == list(range(600))
    place = {int(row): number for number, row in enumerate(rows)}
    confidences = []
    for line in lines:
        own = probabilities[place[int(line["row"])]]
        assert line["given"] == str(given[place[int(line["row"])]])
        assert line["suggested"] == line["label"] == str(own.argmax())
        assert line["decision"] == ""
        confidences.append(own[int(line["given"])])
    text = Path("reports/labels.md").read_text()
    match = re.search(r"takes (\d+) for wrong .*, and (\d+) more are suspect", text)
    assert match is not None
    assert labels.CAUTION in text  # one epoch is not enough to know the digits
    wrong = int(match[1])
    assert 0 < wrong < len(lines) == wrong + int(match[2])
    assert len(lines) == (probabilities.argmax(1) != given).sum()
    for part in (confidences[:wrong], confidences[wrong:]):
        assert part == sorted(part)
    page = Path("reports/labels.html").read_text(encoding="utf-8")
    assert page.count("<li ") == 7
    assert f"{len(lines) - 7:,} more suspects are in reports/labels.csv" in page


def a_page() -> None:
    """reports/labels.html on three suspects, in the working directory."""
    images = np.random.default_rng(0).integers(0, 255, (30, 4, 4, 3), np.uint8)
    np.savez("mine.npz", x_train=images, y_train=np.arange(30) % 3, class_names=np.array(HOSTILE))
    configure(OWN)
    download.main()
    suspects = [Suspect(row, row % 3, (row + 1) % 3, 0.9, 0.05, True) for row in (4, 0, 7, 2)]
    lines = labels.cells(suspects, HOSTILE)
    earlier = [{**lines[0], "row": "9", "given": HOSTILE[0], "decision": "drop", "label": ""}]
    labels_page.write(labels.PAGE, "labels-12345678", suspects, lines, earlier)


@pytest.mark.slow
def test_the_page_saves_decisions_that_preprocess_takes_by_keys_and_by_clicks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chromium: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    a_page()
    tab = chromium.new_page(viewport={"width": 400, "height": 900})
    requests: list[str] = []
    tab.on("request", lambda request: requests.append(request.url))
    address = f"file://{tmp_path / labels.PAGE}"
    tab.goto(address)
    assert tab.title() == "Suspect labels: labels-12345678"
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400
    assert tab.evaluate("[...document.images].every(image => image.naturalWidth === 4)")
    for key in ("ArrowRight", "a", "k", "d", "ArrowLeft", "u"):
        tab.keyboard.press(key)
    status = tab.locator("#count")
    assert status.text_content() == "2 of 4 decided: 1 to change, 0 to drop, 1 to keep."
    tab.keyboard.press("c")
    tab.keyboard.type("no such class")
    tab.keyboard.press("Enter")
    assert "2 of 4 decided" in status.text_content()
    tab.locator("li >> nth=2").locator("input").fill(HOSTILE[0])
    tab.keyboard.press("Enter")
    tab.locator("li >> nth=3").get_by_role("button", name="drop").click()
    tab.reload()  # the browser keeps the decisions
    assert status.text_content() == "4 of 4 decided: 2 to change, 1 to drop, 1 to keep."
    with tab.expect_download() as download_:
        tab.get_by_role("button", name="Save corrections.csv").click()
    assert download_.value.suggested_filename == "corrections.csv"
    download_.value.save_as("corrections.csv")
    assert {url for url in requests if not url.startswith(("data:", "blob:"))} == {address}
    configure({**OWN, "preprocess.corrections": "corrections.csv"})
    edits = raw.edits("training")
    assert edits.changed == {4: 2, 7: 0}
    assert edits.dropped == {2, 9}
    assert edits.decided == {0, 2, 4, 7, 9}
    again = labels.earlier_decisions("corrections.csv")
    assert [line["row"] for line in again] == ["9", "4", "0", "7", "2"]


def test_every_kind_of_input_is_shown_without_another_file() -> None:
    rng = np.random.default_rng(0)
    series = inputs.kind("series").html(rng.normal(size=(1000, 3)).astype(np.float32))
    assert len(list(ElementTree.fromstring(series))) == 3
    flat = inputs.kind("series").html(np.zeros((1, 1), np.float32))
    assert "nan" not in flat.lower()
    words = inputs.kind("ids").html(np.array([2, 1, 0]), ["<b>", "a & b"])
    assert words == "<p>a &amp; b &lt;b&gt;</p>"
    photo = inputs.kind("pixels").html(rng.integers(0, 255, (900, 600, 3), np.uint8))
    assert photo.startswith('<img alt="" src="data:image/jpeg;base64,')
    assert len(photo) < 60_000


@pytest.mark.parametrize(
    ("rows", "target"),
    [
        (np.array([[0, 1], [1, 0], [1, 1], [0, 0]] * 6), "labels"),
        (np.linspace(0, 1, 24), "number"),
    ],
)
def test_several_labels_at_once_numbers_and_no_pictures_are_refused(
    rows: Array, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("mine.npz", x_train=np.zeros((24, 4, 4, 1), np.uint8), y_train=rows)
    configure(OWN)
    download.main()
    with pytest.raises(
        UserError, match=f"one class for each example; the target of these is {target}"
    ):
        labels.find(2, 7, AnalysisOptions())
    artifacts.save_description(
        artifacts.RAW / "description.json", raw.description().__class__("npz", ["a"], (1,), {}, [])
    )
    with pytest.raises(UserError, match="--most is 0; expected an integer of at least 1"):
        labels.find(2, 0, AnalysisOptions())


def test_an_analysis_does_not_vary_the_corrections(here: Path) -> None:
    with pytest.raises(UserError, match="is the same for all trainings; set it in"):
        Analysis("folds", AnalysisOptions([f"preprocess.corrections={params.NONE}"]))
