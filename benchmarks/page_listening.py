"""Does the page of a bundle hear the words that `serving listen` hears?

    python -m benchmarks.page_listening BUNDLE [--words 60] [--speaker nicolas]

It plays the first words of the track of `benchmarks.listening` to the page in Chromium: as a WAV
file, and into its microphone, which takes as long as the track does. Rejects and accepts are
counted as there. `as Python` are the words of `serving listen` that the page hears within a window.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import expect, sync_playwright

from benchmarks.listening import RATE, Track, judged, recordings, with_pauses
from pipeline.bundle import golden_sounds
from pipeline.reporting import tables
from serving import Bundle, Classifier, listening
from serving.listening import Listener, Word
from serving.model_card import ModelCard

COLUMNS = ("heard by", "words", "as Python", "false rejects", "false accepts")
FAKE = ("--use-fake-device-for-media-stream", "--no-sandbox")
LATER = 2  # seconds that the microphone stays open after the track
READ = """() => [...document.querySelectorAll("#words li")].reverse().map(
    row => [parseFloat(row.children[0].textContent), row.children[1].textContent])"""


def track_of(speaker: str, count: int) -> Track:
    everything, dice = recordings(), np.random.default_rng(0)
    own = [recording for recording in everything if recording.speaker == speaker]
    others = [recording for recording in everything if recording.speaker != speaker]
    return with_pauses([own[index] for index in dice.permutation(len(own))[:count]], others, dice)


def no_words(card: ModelCard) -> list[str]:
    """The classes that are not digits."""
    return [name for name in card.class_names if len(name) > 1]


def in_python(classifier: Classifier, listener: Listener, track: Track) -> list[Word]:
    names = classifier.card.class_names
    ignored = [names.index(name) for name in no_words(classifier.card)]
    answers = listening.without(ignored, classifier.file.answers)
    return list(listener.words([track.samples], classifier.predict, answers))


@contextmanager
def hosted(folder: Path) -> Iterator[str]:
    """The address of the page in an unpacked bundle."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/embedded/browser/"
        server.shutdown()


def read(page: Any, card: ModelCard) -> list[Word]:
    rows = page.evaluate(READ)
    names = card.class_names
    return [Word(round(second * RATE), names.index(name), 0.0) for second, name in rows]


def in_the_page(
    address: str, card: ModelCard, sound: Path, seconds: float
) -> dict[str, list[Word]]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=[*FAKE, f"--use-file-for-fake-audio-capture={sound}%noloop"],
        )
        page = browser.new_context(permissions=["microphone"]).new_page()
        page.goto(address)
        page.click("summary")
        for name in no_words(card):
            page.check(f"#ignored input[value='{name}']")
        page.set_input_files("#recording", sound)
        expect(page.locator("#answer")).to_contain_text(" word", timeout=1000 * seconds)
        from_file = read(page, card)
        page.click("#listen")
        page.wait_for_timeout(1000 * (seconds + LATER))
        page.click("#listen")
        heard = {"the page, WAV file": from_file, "the page, microphone": read(page, card)}
        browser.close()
    return heard


def shared(words: list[Word], others: list[Word], length: int) -> int:
    return sum(
        any(
            abs(other.start - word.start) < length and other.number == word.number
            for other in others
        )
        for word in words
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--words", type=int, default=60, help="default %(default)s")
    parser.add_argument("--speaker", default="nicolas", help="default %(default)s")
    arguments = parser.parse_args()
    classifier = Classifier.load(Bundle(arguments.bundle), "tflite_int8")
    front_end = classifier.card.preprocessing.sound
    assert front_end is not None
    listener = Listener.by_default(front_end, classifier.card.input_shape[0])
    track = track_of(arguments.speaker, arguments.words)
    seconds, length = len(track.samples) / RATE, front_end.samples(listener.frames)
    print(f"{len(track.words)} words in {seconds:.0f} s, which the page hears twice", flush=True)
    python = in_python(classifier, listener, track)
    with tempfile.TemporaryDirectory() as name:
        sound = Path(name) / "track.wav"
        golden_sounds.save(sound, track.samples, RATE)
        shutil.unpack_archive(arguments.bundle, Path(name) / "bundle", filter="data")
        (folder,) = (Path(name) / "bundle").iterdir()
        with hosted(folder) as address:
            page = in_the_page(address, classifier.card, sound, seconds)
    rows = [
        [way, len(words), shared(python, words, length), *judged(track, words, length)]
        for way, words in {"serving listen": python, **page}.items()
    ]
    print(tables.table(COLUMNS, [list(map(str, row)) for row in rows]))


if __name__ == "__main__":
    main()
