"""Hostile names, wide tables and large pictures do not break the page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.reporting import by_group, page
from tests.conftest import Project
from tests.page.conftest import PAGE, Reader, change_report, text, written

pytestmark = pytest.mark.slow
HOSTILE = "<script>document.title = 'broken'</script>"


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
