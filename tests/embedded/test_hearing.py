"""The page for sounds in real Chromium: recordings, a microphone, and the words in them."""

from __future__ import annotations

import base64
import io
import os
import shutil
import subprocess
import tarfile
import wave
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from playwright.sync_api import expect, sync_playwright

from benchmarks import cortex_m
from benchmarks import listening as benchmark
from benchmarks.listening import RATE, Recording
from pipeline.embedded import c
from pipeline.files.artifacts import Array, Description
from pipeline.process.words import percent
from pipeline.runtimes import environments
from serving import sound
from serving.listening import Listener
from serving.log_mel import LogMel
from tests.embedded import linear_bundle
from tests.embedded.conftest import DESKTOP, MICRO, Tab, static_host
from tests.embedded.linear_bundle import Linear
from tests.embedded.test_page import PHONE
from tests.server import Server

MIRROR = Path(os.environ.get("DATA_MIRROR", ""))
pytestmark = pytest.mark.skipif(
    not (MIRROR / "fsdd.zip").is_file(), reason="needs fsdd.zip in DATA_MIRROR"
)

FRONT_END = LogMel()
LISTENER = Listener.by_default(FRONT_END, FRONT_END.frames(RATE))
WINDOW = FRONT_END.samples(LISTENER.frames)
HELD_OUT = "nicolas"
SPREAD = 3e5  # scales squared distances, so that some words in a stream are and some are not heard
NAMES = [str(digit) for digit in range(10)]
PARAMS = {
    "problem.name": "digits-heard",
    "problem.statement": "Which digit is spoken?",
    "problem.use": "Trying the page.",
    "problem.limits": ["It knows no other word."],
    "export.max_accuracy_drop": 0.1,
    "verify.runtimes": ["litert", "tflite_micro"],
    "verify.processors": ["native"],
    "embed.targets": ["browser", "c"],
    "embed.programs": [c.HERE],
}


def features(recordings: list[Recording]) -> Array:
    rows = [sound.features(FRONT_END, recording.samples, WINDOW) for recording in recordings]
    return np.stack(rows)


def nearest_mean(recordings: list[Recording]) -> Linear:
    """Of the digits' mean features, seen from the mean of all of them."""
    digits, images = np.array([row.digit for row in recordings]), features(recordings).astype(float)
    means = np.stack([images[digits == digit].mean(0) for digit in range(10)])
    centre = means.mean(0)
    halves = -((means**2).sum((1, 2, 3)) - (centre**2).sum()) / 2
    return Linear((means - centre) / SPREAD, halves / SPREAD, zero_point=0)


@pytest.fixture(scope="module")
def spoken() -> list[Recording]:
    """Forty recordings of a speaker that the network does not know, four of each digit."""
    own = [row for row in benchmark.recordings() if row.speaker == HELD_OUT]
    return [row for digit in range(10) for row in [row for row in own if row.digit == digit][:4]]


@pytest.fixture(scope="module")
def bundle(spoken: list[Recording], tmp_path_factory: pytest.TempPathFactory) -> Path:
    others = [row for row in benchmark.recordings() if row.speaker != HELD_OUT]
    shape = (LISTENER.frames, FRONT_END.bands, 1)
    data = Description("fsdd", NAMES, shape, {}, [], "sounds", sound=asdict(FRONT_END))
    examples = others[::10]
    labels = np.array([row.digit for row in examples])
    folder = tmp_path_factory.mktemp("hearing")
    return linear_bundle.make(
        folder, nearest_mean(others), data, (features(examples), labels), PARAMS
    )


@pytest.fixture(scope="module")
def program(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C program in the bundle."""
    with tarfile.open(bundle) as archive:
        name = next(name for name in archive.getnames() if name.endswith(f"classify-{c.HERE}"))
        archive.extract(name, tmp_path_factory.getbasetemp(), filter="data")
    return tmp_path_factory.getbasetemp() / name


@pytest.fixture(scope="module")
def track(spoken: list[Recording], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some of these words, with pauses and in noise, as a WAV file."""
    others = [row for row in benchmark.recordings() if row.speaker != HELD_OUT]
    samples = benchmark.with_pauses(spoken[::7], others, np.random.default_rng(0)).samples
    path = tmp_path_factory.mktemp("track") / "track.wav"
    path.write_bytes(wav(samples))
    return path


@pytest.fixture(scope="module")
def server(bundle: Path) -> Iterator[Server]:
    with Server(bundle, *MICRO, python=environments.python("tflite_micro")) as running:
        yield running


@pytest.fixture(scope="module")
def browsers(track: Path) -> Iterator[Any]:
    """Chromium whose microphone plays the track once; and Chromium as it comes, without one."""
    fake = (
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={track}%noloop",
    )
    resolver = "--host-resolver-rules=MAP device.example 127.0.0.1"
    with sync_playwright() as playwright:

        def launch(*options: str) -> Any:
            arguments = ["--no-sandbox", resolver, *options]
            return playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=arguments
            )

        launched = {"microphone": launch(*fake), "none": launch()}
        yield launched
        for browser in launched.values():
            browser.close()


@pytest.fixture(scope="module")
def chromium(browsers: Any) -> Any:
    return browsers["microphone"]


def wav(samples: Array) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as opened:
        opened.setparams((1, 2, RATE, 0, "NONE", ""))
        opened.writeframes(samples.astype("<i2").tobytes())
    return file.getvalue()


def choose(page: Any, name: str, content: bytes) -> None:
    page.set_input_files("#recording", {"name": name, "mimeType": "audio/wav", "buffer": content})


def in_c(program: Path, samples: Array, *ignored: str) -> list[str]:
    """The words that the C program prints of a stream, as the page shows them."""
    data = samples.astype("<i2").tobytes()
    command: list[str | Path] = [program, "--listen", "-", *ignored]
    printed = subprocess.run(command, input=data, capture_output=True, check=True).stdout.decode()
    rows = [line.split("\t") for line in printed.splitlines()]
    return [f"{second} s|{name}|{percent(float(share))}" for second, name, share in rows]


def shown(page: Any) -> list[str]:
    """The words in the list, the earliest first."""
    rows: list[str] = page.evaluate(
        """[...document.querySelectorAll("#words li")].reverse()
            .map(row => [...row.children].map(cell => cell.textContent).join("|"))"""
    )
    return rows


def heard_until_its_end(page: Any) -> None:
    expect(page.locator("#answer")).to_contain_text(" word")


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
    page.add_script_tag(path=packages / "axe-core/axe.min.js")
    violations = page.evaluate("axe.run()")["violations"]
    assert not [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in violations]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
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
