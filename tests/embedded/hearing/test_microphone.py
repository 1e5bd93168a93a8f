"""The microphone: the page hears the words in it as C does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect

from benchmarks.listening import RATE, Recording
from pipeline.embedded import c
from pipeline.files.artifacts import Array
from pipeline.process.words import percent
from serving import sound
from tests.embedded.conftest import Tab
from tests.embedded.hearing.conftest import choose, features, in_c, needs_recordings, shown, wav
from tests.server import Server

pytestmark = needs_recordings


KEEP_WHAT_IS_HEARD = """async () => {
    const { Listener } = await import("./listener.js");
    const windows = Listener.prototype.windows;
    globalThis.heard = [];
    Listener.prototype.windows = function* (samples) {
        globalThis.heard.push(...samples);
        yield* windows.call(this, samples);
    };
}"""


def listened(page: Any, track: Path) -> tuple[Array, Array]:
    """What the page heard while the microphone played the track, and the track."""
    samples = sound.samples(track, "track", RATE, 60 * RATE)
    page.context.grant_permissions(["microphone"])
    page.evaluate(KEEP_WHAT_IS_HEARD)
    page.click("#listen")
    expect(page.locator("#listen")).to_have_text("Stop")
    expect(page.locator("#clock")).to_contain_text(f"{len(samples) // RATE + 1}.")
    assert page.locator("#words li").count()
    page.click("#listen")
    expect(page.locator("#listen")).to_have_text("Listen to the microphone")
    return np.array(page.evaluate("heard"), np.int16), samples


# Firefox refuses a microphone of another rate than its own
LIKE_FIREFOX = """() => {
    const original = AudioContext.prototype.createMediaStreamSource;
    AudioContext.prototype.createMediaStreamSource = function (stream) {
        if (this.sampleRate === 8000) throw new DOMException("other rate", "NotSupportedError");
        return original.call(this, stream);
    };
}"""


@pytest.mark.parametrize("script", ["() => null", LIKE_FIREFOX], ids=["chromium", "like firefox"])
def test_a_microphone_plays_the_track_and_its_words_are_those_that_c_hears(
    page: Any, tab: Tab, program: Path, track: Path, script: str
) -> None:
    page.evaluate(script)
    heard, played = listened(page, track)
    assert shown(page) == in_c(program, heard) != []
    assert likeness(heard, played) > 0.5, "the track, though resampled twice"
    assert not tab.faults


def likeness(heard: Array, played: Array) -> float:
    """The largest correlation of what was played with what was heard, at any delay."""
    length = len(heard) + len(played)
    spectra = [np.fft.rfft(samples.astype(float), length) for samples in (heard, played)]
    products = np.fft.irfft(spectra[0] * spectra[1].conj(), length)
    norms = np.linalg.norm(heard.astype(float)) * np.linalg.norm(played.astype(float))
    return float(products.max() / norms)


def test_a_microphone_that_cannot_be_used_gets_a_sentence(browsers: Any, server: Server) -> None:
    port = server.url.rpartition(":")[2]
    for browser, host, permissions, sentence in (
        ("microphone", "127.0.0.1", [], "does not let the page use the microphone; allow it"),
        ("none", "127.0.0.1", ["microphone"], "there is no microphone; connect one"),
        ("microphone", "device.example", [], "open this page with https:// or at http://127.0.0.1"),
    ):
        tab = Tab(browsers[browser], permissions=permissions)
        address = f"http://{host}:{port}/bundles/digits-heard/embedded/browser/"
        tab.open(address).click("#listen")
        expect(tab.page.locator("#problem")).to_contain_text(sentence)
        expect(tab.page.locator("#listen")).to_be_enabled()
        assert not tab.faults
        tab.page.context.close()


def test_what_is_chosen_while_the_microphone_listens_ends_it(
    page: Any, tab: Tab, program: Path, spoken: list[Recording]
) -> None:
    page.context.grant_permissions(["microphone"])
    page.click("#listen")
    expect(page.locator("#clock")).to_contain_text("s heard")
    choose(page, "word.wav", wav(spoken[5].samples))
    shares = c.classify(program, features(spoken[5:6]))[0]
    expect(page.locator("#answer")).to_contain_text(percent(float(shares.max())))
    assert page.text_content("#listen") == "Listen to the microphone"
    page.click("#listen")
    expect(page.locator("#listen")).to_have_text("Stop")
    page.locator("#examples button").first.click()
    expect(page.locator("#listen")).to_have_text("Listen to the microphone")
    expect(page.locator("#latency")).to_contain_text("ms for the model in WebAssembly")
    assert not tab.faults
