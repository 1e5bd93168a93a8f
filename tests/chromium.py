"""Headless Chromium for the tests that look at a page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.waiting import SECONDS


@pytest.fixture
def chromium() -> Iterator[Any]:
    """A patient browser of Playwright; the test is skipped if Chromium is not installed."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("Chromium is not installed; on Debian: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])

        def new_page(**options: Any) -> Any:
            page = browser.new_page(**options)
            page.set_default_timeout(1000 * SECONDS)
            return page

        yield SimpleNamespace(new_page=new_page)
        browser.close()


def assert_accessible(page: Any, packages: Path) -> None:
    """axe finds nothing wrong with the page as it is, and nothing is wider than the screen."""
    page.add_script_tag(path=packages / "axe-core/axe.min.js")
    violations = page.evaluate("axe.run()")["violations"]
    assert not [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in violations]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
