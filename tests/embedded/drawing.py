"""Draws digits on the page, and reads what it announces."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import expect

STROKES = {
    "0": [
        (0.5, 0.2),
        (0.35, 0.3),
        (0.3, 0.5),
        (0.35, 0.7),
        (0.5, 0.8),
        (0.65, 0.7),
        (0.7, 0.5),
        (0.65, 0.3),
        (0.5, 0.2),
    ],
    "1": [(0.52, 0.2), (0.5, 0.5), (0.48, 0.8)],
    "2": [
        (0.32, 0.33),
        (0.4, 0.22),
        (0.58, 0.22),
        (0.65, 0.36),
        (0.55, 0.55),
        (0.32, 0.78),
        (0.5, 0.76),
        (0.7, 0.78),
    ],
    "3": [
        (0.35, 0.22),
        (0.6, 0.22),
        (0.62, 0.38),
        (0.48, 0.48),
        (0.64, 0.6),
        (0.6, 0.76),
        (0.34, 0.78),
    ],
    "7": [(0.3, 0.25), (0.7, 0.25), (0.62, 0.4), (0.5, 0.6), (0.45, 0.8)],
}


def draw(page: Any, strokes: list[tuple[float, float]]) -> str:
    """Draws with the mouse and returns the class that is announced."""
    box = page.locator("#drawing").bounding_box()
    for index, (x, y) in enumerate(strokes):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=4)
        if index == 0:
            page.mouse.down()
    page.mouse.up()
    return announced(page)


def silence(page: Any) -> None:
    """Clears the last announcement, so that a test can wait for the next one."""
    page.evaluate("document.getElementById('announcement').textContent = ''")


def announced(page: Any) -> str:
    expect(page.locator("#announcement")).not_to_be_empty()
    return str(page.text_content("#announcement")).rpartition(",")[0]
