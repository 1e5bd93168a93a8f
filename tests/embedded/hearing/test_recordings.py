"""Recordings are heard as in C, by the page and by a microcontroller."""

from __future__ import annotations

import base64
import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from playwright.sync_api import expect

from benchmarks import cortex_m
from benchmarks.listening import RATE, Recording
from pipeline.embedded import c
from pipeline.process.words import percent
from serving import sound
from tests.embedded.conftest import Tab
from tests.embedded.hearing.conftest import (
    LISTENER,
    NAMES,
    WINDOW,
    choose,
    features,
    heard_until_its_end,
    in_c,
    needs_recordings,
    shown,
    wav,
)

pytestmark = needs_recordings


def test_recordings_have_the_features_of_python_and_the_probabilities_of_c_to_the_last_bit(
    page: Any, program: Path, spoken: list[Recording]
) -> None:
    answers = page.evaluate(
        """async recordings => {
            const { Listener } = await import("./listener.js");
            const { open } = await import("./recording.js");
            const listener = await Listener.load();
            const results = [];
            for (const recording of recordings) {
                const bytes = Uint8Array.from(atob(recording), letter => letter.charCodeAt(0));
                const file = new File([bytes], "word.wav");
                const { first, isConverted } = await open(file, listener.rate, 99999);
                const features = listener.features(first);
                const { answer, probabilities } = listener.classify(features);
                results.push([[...features], [...probabilities], answer, isConverted]);
            }
            return results;
        }""",
        [base64.b64encode(wav(row.samples)).decode() for row in spoken],
    )
    expected = features(spoken)
    probabilities = c.classify(program, expected)
    for row, image, shares in zip(answers, expected, probabilities, strict=True):
        assert np.array_equal(row[0], image.ravel())
        assert np.array_equal(np.array(row[1], np.float32), shares)
        assert (row[2], row[3]) == (NAMES[shares.argmax()], False)
    right = [row[2] == str(recording.digit) for row, recording in zip(answers, spoken, strict=True)]
    assert np.mean(right) > 0.3, "so the words have been heard, and are no noise"


def test_a_recording_of_a_word_is_answered_as_by_c(
    page: Any, tab: Tab, program: Path, spoken: list[Recording]
) -> None:
    choose(page, "word.wav", wav(spoken[5].samples))
    shares = c.classify(program, features(spoken[5:6]))[0]
    expected = f"{NAMES[shares.argmax()]}{percent(float(shares.max()))}"
    expect(page.locator("#answer")).to_have_text(expected)
    expect(page.locator("#source")).to_have_text("Below, the first 0.99 s of word.wav.")
    expect(page.locator("#latency")).to_contain_text("to prepare the sound")
    assert page.locator("#words li").count() == 0
    assert not tab.faults


def test_a_longer_recording_is_a_stream_with_the_words_that_c_hears(
    page: Any, tab: Tab, program: Path, track: Path
) -> None:
    samples = sound.samples(track, "track", RATE, 60 * RATE)
    choose(page, "track.wav", track.read_bytes())
    heard_until_its_end(page)
    expected = in_c(program, samples)
    assert shown(page) == expected
    assert len(expected) > 2
    assert page.text_content("#answer").startswith(f"{len(expected)} words")
    first = expected[0].split("|")[1]
    page.click("summary")
    page.check(f"#ignored input[value='{first}']")
    heard_until_its_end(page)
    assert shown(page) == in_c(program, samples, first) != expected
    page.fill("#threshold", "1")
    expect(page.locator("#answer")).to_contain_text("0 words")
    assert not tab.faults


@pytest.mark.parametrize("processor", ["cortex-m0", "cortex-m3"])
def test_a_cortex_m_without_an_operating_system_hears_the_words_that_c_hears(
    bundle: Path, program: Path, track: Path, tmp_path: Path, processor: str
) -> None:
    samples = sound.samples(track, "track", RATE, 60 * RATE)
    windows = (len(samples) - WINDOW) // LISTENER.step
    samples = samples[: WINDOW + windows * LISTENER.step]
    (tmp_path / "samples.raw").write_bytes(samples.astype("<i2").tobytes())
    with tarfile.open(bundle) as archive:
        archive.extractall(tmp_path, filter="data")
    (sources,) = tmp_path.glob("*/embedded/c")
    cortex_m.build(sources, "listen.c", processor, tmp_path / "firmware.elf")
    *printed, instructions = cortex_m.run(tmp_path / "firmware.elf")
    rows = [line.split() for line in printed]
    words = [
        f"{int(start) / RATE:.2f} s|{NAMES[int(number)]}|{percent(float(share))}"
        for start, number, share in rows
    ]
    assert words == in_c(program, samples) != []
    assert all(int(count) > 0 for count in instructions.split())


def test_other_recordings_are_converted_or_refused_with_pythons_sentence(
    page: Any, tab: Tab, spoken: list[Recording]
) -> None:
    file = io.BytesIO()
    samples = np.repeat(spoken[0].samples[:7000], 6)
    soundfile.write(file, np.stack([samples, samples], 1), 6 * RATE, format="FLAC")
    choose(page, "word.flac", file.getvalue())
    source = "Below, the first 0.99 s of word.flac, which this browser converted to 8000 Hz."
    expect(page.locator("#source")).to_have_text(source)
    expect(page.locator("#latency")).to_contain_text("to prepare the sound")
    expected = "expected a WAV file with one channel of 16-bit PCM at 8000 Hz"
    for content, reason in (
        (b"not at all", "is not readable (it is no WAV file)"),
        (wav(spoken[0].samples)[:30], "is not readable (it is cut short)"),
        (wav(spoken[0].samples[:0]), "holds no samples"),
    ):
        choose(page, "notes.wav", content)
        expect(page.locator("#problem")).to_have_text(f"notes.wav {reason}; {expected}")
        assert page.text_content("#answer") == "No answer"
        assert page.text_content("#source") == ""
    assert not tab.faults
