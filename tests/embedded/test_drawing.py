"""Digits that are drawn on the page, with a mouse and with keys."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.embedded.conftest import Tab
from tests.embedded.drawing import STROKES, announced, draw, silence


@pytest.mark.parametrize("digit", STROKES)
def test_drawn_strokes_are_recognised(page: Any, digit: str) -> None:
    assert draw(page, STROKES[digit]) == digit


def test_keys_draw_undo_and_clear(page: Any) -> None:
    page.focus("#drawing")
    for key in [*["ArrowUp"] * 10, "Space", *["ArrowDown"] * 20, "Space"]:
        page.keyboard.press(key)
    assert announced(page) == "1"
    assert page.get_attribute("#drawing", "aria-label") == "Drawing area"
    for key in ("Space", "ArrowRight"):
        page.keyboard.press(key)
    assert page.get_attribute("#drawing", "aria-label") == "Drawing area, pen down"
    silence(page)
    page.keyboard.press("Backspace")
    assert announced(page) == "1"
    page.keyboard.press("Delete")
    expect(page.locator("#answer")).to_have_text("Nothing drawn yet")
    page.click("#undo")
    assert announced(page) == "1"


@pytest.mark.parametrize("key", ["Control+z", "Delete"])
def test_a_line_that_is_removed_while_it_is_drawn_does_not_continue(
    page: Any, tab: Tab, key: str
) -> None:
    shown = "document.getElementById('drawing').toDataURL()"
    empty = page.evaluate(shown)
    draw(page, STROKES["1"])
    expected = page.evaluate(shown) if key == "Control+z" else empty
    box = page.locator("#drawing").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.keyboard.press(key)
    page.mouse.move(box["x"] + 250, box["y"] + 20, steps=3)
    page.mouse.up()
    assert page.evaluate(shown) == expected
    assert not tab.faults
