"""The page for sounds as a page: proof, privacy, accessibility, and browsers that it refuses."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect

from benchmarks.listening import RATE
from tests.chromium import assert_accessible
from tests.embedded.conftest import DESKTOP, PHONE, Tab, static_host
from tests.embedded.hearing.conftest import choose, heard_until_its_end, needs_recordings, wav
from tests.server import Server

pytestmark = needs_recordings


def test_the_page_proves_the_model_and_contacts_only_the_server(
    page: Any, tab: Tab, server: Server
) -> None:
    page.click("#prove")
    page.wait_for_selector("#proof:not([hidden])")
    assert page.text_content("#verdict").startswith("Proven: ")
    assert "test sounds\t250" in page.inner_text("#proof")
    assert "How a sound becomes the input" in page.text_content("#card")
    assert any(address.endswith("/recordings/buzz.features") for address in tab.addresses)
    assert all(address.startswith((f"http://{server.url}/", "data:")) for address in tab.addresses)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_no_accessibility_violations(
    chromium: Any, server: Server, packages: Path, screen: dict[str, Any], scheme: str
) -> None:
    tab = Tab(chromium, bypass_csp=True, color_scheme=scheme, **screen)
    page = tab.open(f"http://{server.url}/")
    choose(page, "noise.wav", wav(np.random.default_rng(0).integers(-999, 999, 9 * RATE)))
    heard_until_its_end(page)
    page.click("summary")
    assert_accessible(page, packages)
    assert not tab.faults
    page.context.close()


def test_a_browser_with_other_features_refuses_to_start(
    bundle: Path, tab: Tab, tmp_path: Path
) -> None:
    """One of the golden recordings is louder than the features beside it were made from."""
    with tarfile.open(bundle) as archive:
        archive.extractall(tmp_path, filter="data")
    (root,) = tmp_path.iterdir()
    path = root / "recordings/buzz.wav"
    data = bytearray(path.read_bytes())
    data[2000:3000] = bytes(1000)
    path.write_bytes(data)
    with static_host(root) as address:
        tab.page.goto(address)
        expect(tab.page.locator("#notice")).to_contain_text(
            "this browser computes other features of buzz.wav than were verified"
        )
    assert not tab.page.is_visible("#main")
