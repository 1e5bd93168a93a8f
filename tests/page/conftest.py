"""Finished runs whose reports a test may change, and a reader of their page."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from pipeline import package
from pipeline.config import params
from pipeline.files import artifacts
from pipeline.files.reports.bundle import KINDS, BundleReports
from pipeline.reporting import page_inputs
from tests.conftest import Project

PAGE = "reports/index.html"


@pytest.fixture
def run(finished: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the files of a finished run, which is the working directory."""
    monkeypatch.chdir(finished.copy(tmp_path / "run").folder)
    return Path.cwd()


@pytest.fixture
def own(finished: Project, tmp_path: Path) -> Project:
    """A finished project of one's own, with what DVC knows of it."""
    return finished.whole_copy(tmp_path / "project")


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
