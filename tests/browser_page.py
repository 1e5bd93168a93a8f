"""The page of a bundle in Chromium, on all images of its acceptance set."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.files.artifacts import Array
from serving import Bundle
from serving.acceptance import Acceptance
from tests.server import Server

CLASSIFY = """
async images => {
    const { Classifier } = await import("./classifier.js");
    const { target } = await import("./answers.js");
    const classifier = await Classifier.load();
    return images.map(image => {
        const pixels = Uint8Array.from(atob(image), letter => letter.charCodeAt(0));
        const { answer, probabilities } = classifier.classify(pixels);
        const words = target(classifier.card).words(classifier.card, answer, probabilities);
        return { answer, words, outputs: [...probabilities] };
    });
}
"""
PROVE = """
async () => {
    const { Classifier } = await import("./classifier.js");
    const { prove } = await import("./prove.js");
    return await prove(await Classifier.load(), () => null);
}
"""


@dataclass(frozen=True)
class Ran:
    """What the page says of each image, its outputs (N, K), and what "Prove it here" finds.

    `texts` are those of the page: an example's name and answer, its bars, the proof, the card.
    """

    answers: list[Any]
    words: list[list[str]]
    outputs: Array
    facts: dict[str, Any]
    texts: dict[str, str]


def run(archive: Path, chromium: Any) -> Ran:
    images = Acceptance.load(Bundle(archive)).images
    encoded = [base64.b64encode(image.tobytes()).decode() for image in images]
    with Server(archive) as server:
        page, faults = chromium.new_page(), []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(f"http://{server.url}/")
        page.wait_for_selector("#main:not([hidden])")
        rows, facts = page.evaluate(CLASSIFY, encoded), page.evaluate(PROVE)
        example = page.locator("#examples button").first
        example.click()
        page.click("#prove")
        page.wait_for_selector("#proof:not([hidden])")
        names = ("answer", "probabilities", "verdict", "proof", "card")
        texts = {name: page.locator(f"#{name}").inner_text() for name in names}
        texts["example"] = example.get_attribute("aria-label")
        assert faults == []
    outputs = np.array([row["outputs"] for row in rows], np.float32)
    answers, words = ([row[name] for row in rows] for name in ("answer", "words"))
    return Ran(answers, words, outputs, facts, texts)
