"""The card on the page says of several labels what MODEL_CARD.md does."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

from pipeline.bundle import card_markdown
from pipeline.embedded import browser
from tests.test_browser import PAGE, in_node
from tests.test_photo import card

SHOWN = """
import { readFileSync } from "node:fs";
globalThis.document = {
  createElement: () => ({ append(...parts) { this.parts = parts; }, setAttribute() {} }),
};
const { describe } = await import(process.argv[1] + "/card.js");
const element = describe(JSON.parse(readFileSync(0)), []);
console.log(JSON.stringify(element.flatMap(({ parts }) => parts ?? [])));
"""


def test_the_page_has_the_thresholds_of_labels_as_the_card_has_them(tmp_path: Path) -> None:
    page = shutil.copytree(PAGE, tmp_path / "page")
    (page / "labels.js").write_text(browser.labels(), encoding="utf-8")
    plain = replace(card("cifar10"), provenance={"data_sha256": {}, "params": {}})
    known = replace(plain, target="labels", holds_from=[0.123456, 0.5])
    text = card_markdown._thresholds(known).removeprefix("- ").strip()
    assert text.endswith("a 0.1235, b 0.5.")
    assert text in in_node(SHOWN, page, data=json.dumps(asdict(known)))
    without = in_node(SHOWN, page, data=json.dumps(asdict(plain)))
    assert not any("Thresholds" in str(part) for part in without)
