"""What the page for sounds does to samples, under Node; tests/embedded opens it in Chromium."""

from __future__ import annotations

import base64
import json
import struct

import numpy as np
import pytest

from pipeline.embedded import browser
from serving import sound
from serving.errors import InputError
from tests.sounds.conftest import tone, wav
from tests.test_browser import in_node

pytestmark = pytest.mark.slow

READ = """
import { readFileSync } from "node:fs";
const { beginning } = await import(process.argv[1] + "/wav.js");
const files = JSON.parse(readFileSync(0)).map(text => Buffer.from(text, "base64"));
const results = await Promise.all(files.map(file => beginning(new Blob([file]), "a.wav", 8000, 5000)
  .then(samples => [...samples], error => error.message)));
console.log(JSON.stringify(results));
"""


RESAMPLE = """
import { readFileSync } from "node:fs";
const { Resampler } = await import(process.argv[1] + "/resampler.js");
const results = JSON.parse(readFileSync(0)).map(({ from, to, samples, piece }) => {
  const resampler = new Resampler(from, to);
  const result = [];
  for (let start = 0; start < samples.length; start += piece)
    result.push(...resampler.add(Float32Array.from(samples.slice(start, start + piece))));
  return result;
});
console.log(JSON.stringify(results));
"""


@pytest.mark.parametrize(
    ("source", "rate"),
    [(48000, 8000), (44100, 8000), (44100, 16000), (8000, 16000), (16000, 16000)],
)
def test_the_page_resamples_a_microphone_however_it_is_cut(source: int, rate: int) -> None:
    """A tone below three quarters of the band passes, and one above the band does not."""
    kept = 0.75 * min(source, rate) / 2
    tones = [tone(source, 0.2, frequency) for frequency in (200, kept, 1.2 * rate / 2)]
    requests = [
        {"from": source, "to": rate, "samples": samples.tolist(), "piece": piece}
        for samples in tones
        for piece in (999_999, 441)
    ]
    results = in_node(RESAMPLE, browser.TEMPLATES / "sounds", data=json.dumps(requests))
    assert results[::2] == results[1::2]
    low, high, above = (np.array(result) for result in results[::2])
    for frequency, result in ((200, low), (kept, high)):
        expected = tone(rate, 0.2, frequency)[: len(result)]
        assert len(expected) > 0.19 * rate - 40
        assert np.abs(result - expected)[50:].max() < 0.002
    if 1.2 * rate < source:
        assert np.abs(above[50:-50]).max() < 0.002


def damaged(data: bytes, dice: np.random.Generator) -> bytes:
    """The file cut somewhere, with another byte in its header, or with a chunk in between."""
    way, place = dice.integers(0, 3), int(dice.integers(0, 60))
    if way == 0:
        return data[:place]
    if way == 1:
        return data[: place % 44] + bytes([dice.integers(0, 256)]) + data[place % 44 + 1 :]
    chunk = b"LIST" + struct.pack("<I", place) + bytes(place + place % 2)
    return data[:12] + chunk + data[12:]


def test_the_page_reads_and_refuses_the_wav_files_that_python_does() -> None:
    dice = np.random.default_rng(0)
    short = (tone() * 0.9)[:300]
    files = [
        wav(short),
        wav(tone()),
        wav(short, 44100),
        wav(short, subtype="PCM_24"),
        wav(short, subtype="FLOAT"),
        wav(np.stack([short] * 8, 1)),
        wav(short[:0]),
        wav(short, kind="FLAC"),
        b"",
        *(damaged(wav(short), dice) for _ in range(400)),
    ]
    sent = json.dumps([base64.b64encode(data).decode() for data in files])
    page = browser.TEMPLATES / "sounds"
    read = 0
    for data, result in zip(files, in_node(READ, page, data=sent), strict=True):
        try:
            expected: list[int] | str = sound.samples(data, "a.wav", 8000, 5000).tolist()
        except InputError as error:
            expected = str(error).partition(", as of `ffmpeg")[0]
        if "not readable" in str(expected):  # each reader has its own reason
            assert str(result).startswith("a.wav is not readable ("), data[:80]
            continue
        assert result == expected, data[:80]
        read += isinstance(result, list)
    assert 100 < read < 400
