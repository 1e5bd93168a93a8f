"""reports/index.html: one page on a run, even if it failed a gate."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline import package
from pipeline.config import params
from pipeline.files import artifacts
from pipeline.files.reports.bundle import KINDS, BundleReports
from pipeline.files.reports.verify import FailedPair
from pipeline.reporting import by_group, page, page_inputs
from serving import gate
from tests.conftest import EDGEPROOF, PACK_DRAFT, Project

pytestmark = pytest.mark.slow

PAGE = "reports/index.html"
HOSTILE = "<script>document.title = 'broken'</script>"


@pytest.fixture
def run(finished: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the files of a finished run, which is the working directory."""
    monkeypatch.chdir(finished.copy(tmp_path / "run").folder)
    return Path.cwd()


@pytest.fixture
def own(finished: Project, tmp_path: Path) -> Project:
    """A finished project of one's own, with what DVC knows of it."""
    folder = shutil.copytree(finished.folder, tmp_path / "project", symlinks=True)
    return Project(folder, Path(finished.environment["DATA_MIRROR"]))


def change_report(name: str, change: Callable[[dict[str, Any]], None]) -> None:
    path = KINDS[name].PATH
    report = artifacts.load_json(path)
    change(report)
    artifacts.save_json(path, report)


def written() -> str:
    """The page that `package` writes on the reports in the working directory."""
    package.write_page(params.load(), BundleReports.load())
    return page_inputs.PAGE.read_text(encoding="utf-8")


class Reader(HTMLParser):
    """The visible text of a page, its tags, and the addresses it refers to."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.text = ""
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.open_tags: list[str] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open_tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        while self.open_tags.pop() != tag:  # of tags without an end, such as <img>
            pass

    def handle_data(self, data: str) -> None:
        if "style" not in self.open_tags:
            self.text += data


def text(content: str) -> str:
    return " ".join(Reader(content).text.split())


def test_the_page_of_a_run_tells_the_whole_run_without_any_other_file(finished: Project) -> None:
    content = (finished.folder / PAGE).read_text(encoding="utf-8")
    reader = Reader(content)
    assert all(address.startswith(("data:image/png;base64,", "#")) for address in reader.addresses)
    assert reader.tags.count("img") == 7
    assert "Groups, the lowest" not in reader.text
    assert not {"script", "link", "iframe"} & set(reader.tags)
    assert "@import" not in content
    assert "url(" not in content
    assert str(finished.folder) not in content
    shown = text(content)
    evaluation, preprocess, verification, diagnosis = (
        json.loads((finished.folder / f"reports/{name}.json").read_text())
        for name in ("evaluate", "preprocess", "verify", "diagnose")
    )
    assert "All 6 gates passed. The bundle for devices is dist/mnist-digits-1.0.0.tar.gz." in shown
    assert f"Test accuracy is {100 * evaluation['test_accuracy']:.2f} %" in shown
    assert diagnosis["sentence"][1:] in shown
    worst = min(evaluation["per_class"].items(), key=lambda item: item[1]["recall"])
    for name, title in (("balanced_accuracy", "of the classes, is"), ("macro_f1", "macro F1")):
        assert f"{title} {100 * evaluation[name]:.2f} %" in shown
    assert f"The worst class is {worst[0]}: {100 * worst[1]['recall']:.2f} %" in shown
    for part in preprocess["splits"].values():
        assert f"{part['images']:,}" in shown
    for pair in verification["pairs"]:
        assert pair["format"] in shown
        assert pair["runtime"] in shown
    assert "haswell" not in shown
    assert "nehalem, emulated: x86-64 without AVX" in shown
    assert "Raspberry Pi Pico" in shown
    assert "serving check dist/mnist-digits-1.0.0.tar.gz" in shown


def test_equal_reports_make_equal_bytes_also_of_a_draft(own: Project) -> None:
    before = (own.folder / PAGE).read_bytes()
    own.run(*PACK_DRAFT)
    assert (own.folder / PAGE).read_bytes() == before
    own.run("dvc", "repro", "--force", "--single-item", "package")
    assert (own.folder / PAGE).read_bytes() == before


@pytest.mark.long
def test_the_page_is_there_after_a_failed_gate_and_the_table_ends_with_it(own: Project) -> None:
    table = (*EDGEPROOF, "report")
    named = f"\nThe whole run on one page: {PAGE}\n"
    assert own.run(*table).endswith(named)
    own.change({"problem.target": 1.0})
    assert named not in own.run(*table)
    done = own.attempt("dvc", "repro")
    assert "error: no bundle: test accuracy 0." in done.stderr
    shown = text((own.folder / PAGE).read_text(encoding="utf-8"))
    assert "This run made no bundle: 1 of 6 gates failed." in shown
    assert "is below problem.target 1.0; change the model or the data, and train again" in shown
    assert re.search(
        r"Next steps .* edgeproof advise .* edgeproof improve .* edgeproof draft", shown
    )
    assert own.run(*table).endswith(named)
    own.change({"export.max_accuracy_drop": 0.02})
    assert named not in own.run(*table)
    own.change({"export.max_accuracy_drop": 0.01, "problem.target": 0.8})
    own.run("dvc", "repro")  # which takes away the page that DVC knows nothing of
    assert "All 6 gates passed" in (own.folder / PAGE).read_text(encoding="utf-8")
    assert own.run(*table).endswith(named)


def fail_every_gate() -> None:
    """Changes the reports as if every gate had failed."""

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
    values = (run / "params.yaml").read_text().replace("targets: all", "targets: [c]")
    (run / "params.yaml").write_text(values.replace("require: not worse", "require: proven"))
    fail_every_gate()
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

    values = (run / "params.yaml").read_text().replace("targets: all", "targets: [c]")
    (run / "params.yaml").write_text(values.replace("require: not worse", "require: proven"))
    fail_every_gate()
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


def rename_classes(names: list[str]) -> None:
    """Gives the reports these classes, each as one of the ten digits."""

    def split(report: dict[str, Any]) -> None:
        report["class_names"] = names
        for part in report["splits"].values():
            part["per_class"] = {name: index % 7 for index, name in enumerate(names)}

    def evaluate(report: dict[str, Any]) -> None:
        scores = list(report["per_class"].values())
        report["per_class"] = {name: scores[index % 10] for index, name in enumerate(names)}

    change_report("preprocess", split)
    change_report("evaluate", evaluate)


def in_groups(names: list[str]) -> None:
    """Gives the test examples these groups, the later the better."""
    right = np.concatenate([np.arange(50) < number % 50 for number in range(len(names))])
    scores = by_group.scores(right, np.repeat(names, 50).tolist())
    values = {name: score.model_dump() for name, score in scores.items()}
    change_report("evaluate", lambda report: report.update(per_group=values))


def test_names_that_look_like_html_or_are_long_or_foreign_do_not_break_the_page(
    run: Path, chromium: Any
) -> None:
    names = [HOSTILE, '"><img src=x onerror=alert(1)>', "w" * 3000, "一二三四五六七八九十" * 30]
    names += ["\u202eright to left", "\udcff", "", "{{ 7 * 7 }}", "&amp;", "\x00"]
    rename_classes([*names, *(f"class {index}" for index in range(1000 - len(names)))])
    in_groups([*names[:5], *(f"group {index}" for index in range(45))])
    values = (run / "params.yaml").read_text()
    statement = re.search("statement: (.*)", values)
    assert statement
    (run / "params.yaml").write_text(values.replace(statement[1], json.dumps(HOSTILE * 20)))
    content = written()
    assert "script" not in Reader(content).tags
    assert "&lt;script&gt;" in content
    assert "{{ 7 * 7 }}" in content
    assert "The other 980 classes" in text(content)
    assert "The other 30 groups" in text(content)
    assert f"The worst of 50 groups is {HOSTILE!r}: 0 of 50 examples" in text(content)
    for width in (400, 1200):
        tab = chromium.new_page(viewport={"width": width, "height": 900})
        requests: list[str] = []
        tab.on("request", lambda request, seen=requests: seen.append(request.url))
        tab.goto(f"file://{run / PAGE}")
        assert tab.title() == "mnist-digits 1.0.0: passed"
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
        assert [url for url in requests if not url.startswith("data:")] == [f"file://{run / PAGE}"]


def test_a_wide_table_fits_a_desktop_and_shows_elsewhere_that_it_goes_on(
    finished: Project, chromium: Any
) -> None:
    for width, fits in ((400, False), (1200, True), (1600, True)):
        tab = chromium.new_page(viewport={"width": width, "height": 900})
        tab.goto(f"file://{finished.folder / PAGE}")
        box = tab.locator(".wide", has_text="calibration error").first
        assert box.evaluate("box => box.scrollWidth <= box.clientWidth") == fits
        assert "gradient" in box.evaluate("box => getComputedStyle(box).backgroundImage")


def test_a_picture_that_no_browser_could_show_is_named_instead(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(np.zeros((100, 200), np.uint8)).save(run / "reports/confusion.png")
    monkeypatch.setattr(page, "MOST_PIXELS", 19_999)
    Image.fromarray(np.zeros((100, 100), np.uint8)).save(run / "reports/mistakes.png")
    monkeypatch.setattr(page, "MOST_PIXELS", 10_000)
    shown = text(written())
    assert "The picture is too large for this page: reports/confusion.png." in shown
    assert "reports/mistakes.png" not in shown
