"""The pages hang together: links, menu, pictures and sizes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import params, parts
from pipeline.files import artifacts
from pipeline.process.errors import UserError
from tests.conftest import ROOT
from tests.docs.conftest import PAGES, README, blocks, every_page, prose

MOST_README_LINES = 130
LARGEST_PICTURE = 150_000  # bytes


def anchors(page: Path) -> set[str]:
    """The anchors of the headings, as GitHub and MkDocs make them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", heading.lower()).strip() for heading in headings)
    return {re.sub(r"[-\s]+", "-", heading) for heading in plain}


@every_page
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    assert not [link for link in links if "://" in link], "a page loads and names nothing elsewhere"
    for link in links:
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_every_page_is_in_the_menu_and_in_both_tables_of_pages() -> None:
    menu = (ROOT / "mkdocs.yml").read_text("utf-8")
    index = (ROOT / "docs" / "index.md").read_text("utf-8")
    for page in PAGES[1:]:
        assert f": {page.name}\n" in menu
        if page.name != "index.md":
            assert f"](docs/{page.name})" in README.read_text("utf-8")
            assert f"]({page.name})" in index


def test_every_picture_is_small_and_shown() -> None:
    shown = "".join(page.read_text("utf-8") for page in PAGES)
    for picture in (ROOT / "docs" / "pictures").iterdir():
        assert f"](pictures/{picture.name})" in shown
        assert picture.stat().st_size <= LARGEST_PICTURE


def test_the_readme_is_short() -> None:
    assert len(README.read_text("utf-8").splitlines()) <= MOST_README_LINES


@pytest.mark.slow
def test_the_parts_that_the_architecture_page_adds_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = ROOT / "docs" / "architecture.md"
    texts = [text for language, text in blocks(page) if language == "python"]
    dataset, architecture = (dict[str, Any](), dict[str, Any]())
    for text, names in zip(texts, (dataset, architecture), strict=False):
        exec(compile(text, "mine.py", "exec", dont_inherit=True), names)
    settings = params.load(ROOT / "params.yaml")
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "mine.py").write_text(texts[0], encoding="utf-8")
    monkeypatch.setattr(parts, "PACKAGE", tmp_path)
    for cached in (parts.choices, parts.options):
        monkeypatch.setattr(parts, cached.__name__, cached.__wrapped__)
    raw = dataset["load"](params.Dataset.model_validate({"name": "mine", "examples": 100}))
    assert len(raw.train_images) == len(raw.train_labels) == 100
    with pytest.raises(
        UserError, match=r"dataset\.examples is 0; expected an integer of at least 1"
    ):
        dataset["load"](params.Dataset.model_validate({"name": "mine", "examples": 0}))
    monkeypatch.undo()
    assert raw.train_labels.max() + 1 == len(raw.class_names)
    inputs = artifacts.Inputs(raw.train_images.shape[1:], raw.kind)
    model = architecture["build"](inputs, 2, settings.train.network)
    assert model(raw.train_images[:3]).shape == (3, 2)
