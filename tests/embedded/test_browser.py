"""The page of a bundle in real Chromium: Debian's package, headless, driven by Playwright."""

from __future__ import annotations

import base64
import functools
import http.server
import io
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from pipeline.embedded import browser as target
from pipeline.files.artifacts import Array
from serving import Bundle, Classifier, InputError, acceptance, photo
from serving.acceptance import Acceptance
from serving.model_card import ModelCard
from tests.conftest import ROOT
from tests.embedded.conftest import DESKTOP, Tab, png
from tests.server import FORMAT, Server, rename
from tests.test_browser import sheets
from tests.test_photo import card

PACKAGES = ("axe-core@4.14.1", "onnxruntime-web@1.30.0")
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
CARD_FILE = "model_card.json"
PAGE = "embedded/browser/"
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


@pytest.fixture(scope="session")
def archive() -> Path:
    """The bundle of this working tree, as `make run` left it."""
    archives = sorted((ROOT / "dist").glob("*.tar.gz"))
    assert archives, "there is no bundle to show: run `make run` first"
    return archives[0]


@pytest.fixture(scope="session")
def packages() -> Path:
    """The folder of the npm packages, beside the environments of the runtimes; fetched once."""
    folder = target.ENVIRONMENT.parent / "npm"
    if not (folder / "node_modules/.package-lock.json").exists():  # which npm writes last
        shutil.rmtree(folder, ignore_errors=True)
        npm = target.node().parent.parent / "lib/node_modules/npm/bin/npm-cli.js"
        options = ("--silent", "--prefix", folder)
        command: list[str | Path] = [target.node(), npm, "install", *options, *PACKAGES]
        process = subprocess.run(command, check=False, capture_output=True, text=True)
        assert not process.returncode, f"npm could not fetch {PACKAGES}: {process.stderr}"
    return folder / "node_modules"


@pytest.fixture(scope="module")
def server(archive: Path, packages: Path) -> Iterator[Server]:
    with Server(
        archive, "--format", FORMAT, "--onnxruntime-web", packages / "onnxruntime-web"
    ) as running:
        yield running


@pytest.fixture
def page(tab: Tab, server: Server) -> Any:
    return tab.open(f"http://{server.url}/")


@pytest.fixture
def host(bundle: Path) -> Iterator[str]:
    """A static web server, here Python's, with an unpacked bundle."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=bundle)
    ) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/{PAGE}"
        running.shutdown()


def prepare(page: Any, picture: bytes, model: ModelCard, kind: str = "image/png") -> Array | str:
    """What the page makes of a picture for that card: (H, W, C) uint8, or its error message."""
    answer = page.evaluate(
        """async ([picture, card, kind]) => {
            const { read } = await import("./photo.js");
            const bytes = Uint8Array.from(atob(picture), letter => letter.charCodeAt(0));
            try {
                return [...await read(new Blob([bytes], { type: kind }), card)];
            } catch (error) {
                return error.message;
            }
        }""",
        [base64.b64encode(picture).decode(), json.loads(model.dump()), kind],
    )
    if isinstance(answer, str):
        return answer
    return np.array(answer, np.uint8).reshape(model.input_shape)


def in_python(picture: bytes, model: ModelCard) -> Array | str:
    try:
        pixels: Array = photo.read(picture, model)
    except InputError as error:
        return str(error).replace("the picture", "the photo")
    return pixels


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


def test_200_test_images_give_the_same_classes_and_probabilities_as_in_python(
    page: Any, archive: Path, images: Array
) -> None:
    images = images[:200]
    expected = Classifier.load(archive, FORMAT).predict(images)
    answers = page.evaluate(
        """async images => {
            const { Classifier } = await import("./classifier.js");
            const classifier = await Classifier.load();
            return images.map(image => [...classifier.predict(Uint8Array.from(image))]);
        }""",
        images.reshape(200, -1).tolist(),
    )
    assert (np.argmax(answers, 1) == expected.argmax(1)).all()
    assert np.abs(np.array(answers) - expected).max() < 1e-5


def test_golden_photos_are_prepared_to_the_pixel(page: Any, bundle: Path) -> None:
    model = ModelCard.parse((bundle / CARD_FILE).read_bytes())
    names = [
        path.name.removesuffix(".expected.png")
        for path in (bundle / "photos").glob("*.expected.png")
    ]
    assert len(names) == 5
    for name in names:
        expected = np.asarray(Image.open(bundle / f"photos/{name}.expected.png"))
        prepared = prepare(page, (bundle / f"photos/{name}.png").read_bytes(), model)
        np.testing.assert_array_equal(np.squeeze(prepared), expected, name)


@pytest.mark.parametrize(
    "model",
    [card("mnist"), card("fashion_mnist"), card("npz", (20, 36, 3))],
    ids=["mnist", "grey", "colour"],
)
def test_any_picture_is_prepared_as_in_python_or_refused_with_the_same_message(
    page: Any, model: ModelCard
) -> None:
    refused = 0
    pictures = [png(sheet) for channels in (1, 3, 4) for sheet in sheets(7, channels)]
    for number, picture in enumerate(pictures):
        expected, answer = in_python(picture, model), prepare(page, picture, model)
        if isinstance(expected, str) or isinstance(answer, str):
            assert expected == answer, number
            refused += 1
        else:
            np.testing.assert_array_equal(answer, expected, str(number))
    assert refused < 10


def test_a_jpeg_is_prepared_almost_as_in_python(page: Any, images: Array) -> None:
    digit = images[0, ..., 0]
    file = io.BytesIO()
    Image.fromarray(240 - np.pad(digit, 9).repeat(9, 0).repeat(9, 1) // 2).convert("RGB").save(
        file, "JPEG", quality=80
    )
    answer, expected = (
        prepare(page, file.getvalue(), card("mnist"), "image/jpeg"),
        photo.read(file.getvalue(), card("mnist")),
    )
    assert not isinstance(answer, str)
    assert np.abs(answer.astype(int) - expected).max() <= 2


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


DROP_AND = """async ([pictures, selector]) => {
    const bitmaps = [], original = window.createImageBitmap;
    window.createImageBitmap = (...options) => (bitmaps.push(original(...options)), bitmaps.at(-1));
    for (const picture of pictures) {
        const data = new DataTransfer();
        const bytes = Uint8Array.from(atob(picture), letter => letter.charCodeAt(0));
        data.items.add(new File([bytes], "photo.png", { type: "image/png" }));
        document.dispatchEvent(new DragEvent("drop", { dataTransfer: data }));
    }
    if (selector) document.querySelector(selector).click();
    for (let count = 0; count < bitmaps.length; count++) {
        await bitmaps[count].catch(() => null);
        await new Promise(resolve => setTimeout(resolve));
    }
    await new Promise(resolve => requestAnimationFrame(() => setTimeout(resolve)));
    window.createImageBitmap = original;
    return document.getElementById("answer").firstChild.textContent;
}"""


def test_a_slow_photo_does_not_replace_the_answer_to_what_came_after_it(
    page: Any, tab: Tab, server: Server, images: Array
) -> None:
    small = png(255 - images[0, ..., 0])
    large = png(255 - images[1, ..., 0].repeat(80, 0).repeat(80, 1))
    first, second = (
        server.ask("POST", "/predict", picture).json["class"] for picture in (large, small)
    )
    assert first != second
    sent = [base64.b64encode(picture).decode() for picture in (large, small)]
    assert page.evaluate(DROP_AND, [sent, None]) == second
    assert page.evaluate(DROP_AND, [sent[:1], "#clear"]) == "Nothing drawn yet"
    example = page.locator("#examples button").first
    label = str(example.get_attribute("aria-label")).rpartition(" ")[2]
    assert label != first
    assert page.evaluate(DROP_AND, [sent[:1], "#examples button"]) == label
    assert not tab.faults


def test_a_picture_may_be_chosen_dropped_or_pasted(
    page: Any, tab: Tab, server: Server, images: Array
) -> None:
    deliver = """([name, picture]) => {
        const bytes = Uint8Array.from(atob(picture), letter => letter.charCodeAt(0));
        const data = new DataTransfer();
        data.items.add(new File([bytes], "photo.png", { type: "image/png" }));
        const event = name === "paste"
            ? new ClipboardEvent(name, { clipboardData: data })
            : new DragEvent(name, { dataTransfer: data });
        document.dispatchEvent(event);
    }"""
    for image, way in zip(images[:3, ..., 0], ("choose", "drop", "paste"), strict=True):
        picture = png(255 - image)
        silence(page)
        if way == "choose":
            page.set_input_files(
                "#picture", {"name": "photo.png", "mimeType": "image/png", "buffer": picture}
            )
        else:
            page.evaluate(deliver, [way, base64.b64encode(picture).decode()])
        expected = server.ask("POST", "/predict", picture).json
        assert announced(page) == expected["class"]
        share = page.text_content("#probabilities .likeliest td:last-child")
        assert share == f"{100 * expected['probabilities'][expected['class']]:.2f} %"
    assert not tab.faults


def test_a_file_that_is_not_a_picture_or_shows_nothing_gets_one_message(
    page: Any, tab: Tab
) -> None:
    for name, content, message in (
        (
            "notes.png",
            b"not at all",
            "notes.png is not a picture that this browser can read; choose a PNG or JPEG",
        ),
        (
            "blank.png",
            png(np.full((40, 40), 200, np.uint8)),
            "nothing that stands out from its background",
        ),
    ):
        page.set_input_files("#picture", {"name": name, "mimeType": "image/png", "buffer": content})
        expect(page.locator("#problem")).to_contain_text(message)
        assert page.text_content("#answer") == "No answer"
    assert not tab.faults


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_no_accessibility_violations(
    chromium: Any, server: Server, packages: Path, screen: dict[str, Any], scheme: str
) -> None:
    tab = Tab(chromium, bypass_csp=True, color_scheme=scheme, **screen)
    page = tab.open(f"http://{server.url}/")
    draw(page, STROKES["7"])
    page.click("#compare")
    page.wait_for_selector("#comparison:not([hidden])")
    page.click("#prove")
    page.wait_for_selector("#proof:not([hidden])")
    page.add_script_tag(path=packages / "axe-core/axe.min.js")
    violations = page.evaluate("axe.run()")["violations"]
    assert not [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in violations]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert not tab.faults
    page.context.close()


def test_the_page_proves_the_model_with_the_same_figures_as_python(
    page: Any, tab: Tab, archive: Path
) -> None:
    page.click("#prove")
    page.wait_for_selector("#proof:not([hidden])")
    opened = Bundle(archive)
    expected = acceptance.prove(
        opened, Classifier.load(opened, FORMAT), Acceptance.load(opened), lambda *_: None
    )
    facts = page.evaluate(
        """async () => {
            const { Classifier } = await import("./classifier.js");
            const { prove } = await import("./prove.js");
            return await prove(await Classifier.load(), () => null);
        }"""
    )
    for name, value in facts.items():
        if name in (
            "state",
            "images",
            "lost",
            "gained",
            "accuracy",
            "keras_accuracy",
            "agreement",
            "max_accuracy_drop",
        ):
            assert value == expected[name], name
        elif name in ("accuracy_interval", "mcnemar_p_value", "accuracy_lost_bound"):
            assert value == pytest.approx(expected[name], abs=1e-9), name
    verdict = page.text_content("#verdict")
    assert verdict.split(":")[0].lower() == expected["state"]
    counts = f"{expected['lost']} of {expected['images']:,} images lost"
    assert f"{counts}, {expected['gained']} gained" in verdict
    assert page.locator("#proof tbody tr").count() == 10
    assert not tab.faults


def test_an_acceptance_set_of_another_model_gets_one_message(
    host: str, bundle: Path, tab: Tab
) -> None:
    path = bundle / PAGE / "acceptance.bin"
    path.write_bytes(path.read_bytes()[:-1])
    page = tab.open(host)
    page.click("#prove")
    expect(page.locator("#prove-problem")).to_have_text(
        "acceptance.bin belongs to another model or is cut short; make the bundle again"
    )
    path.unlink()
    page.click("#prove")
    expect(page.locator("#prove-problem")).to_contain_text(
        "acceptance.bin could not be read (404); serve the whole bundle"
    )
    assert page.is_enabled("#prove")


def test_the_page_of_a_draft_says_plainly_that_it_is_not_proven(
    host: str, bundle: Path, tab: Tab
) -> None:
    card = json.loads((bundle / CARD_FILE).read_text())
    (bundle / CARD_FILE).write_text(
        json.dumps(
            {**card, "not_proven": ["the test accuracy of 97.10 % misses the target of 99.00 %"]}
        )
    )
    page = tab.open(host)
    assert "NOT PROVEN. This is a draft, not for use." in page.inner_text("#draft")
    assert (
        page.text_content("#failures li")
        == "the test accuracy of 97.10 % misses the target of 99.00 %"
    )
    assert page.title().endswith(", NOT PROVEN")
    assert not tab.faults


def test_a_bundle_without_an_acceptance_set_offers_no_proof(
    host: str, bundle: Path, tab: Tab
) -> None:
    card = json.loads((bundle / CARD_FILE).read_text())
    (bundle / CARD_FILE).write_text(
        json.dumps(
            {**card, "acceptance_images": 0, "no_acceptance": "package.acceptance_images is 0"}
        )
    )
    page = tab.open(host)
    assert not page.is_visible("#prove")
    assert (
        page.text_content("#verdict")
        == "The bundle has no acceptance set (package.acceptance_images is 0)."
    )


def test_onnx_runtime_web_gives_the_same_probabilities(page: Any, tab: Tab) -> None:
    page.click("#compare")
    page.wait_for_selector("#comparison:not([hidden])")
    assert "ONNX Runtime Web 1.30.0" in page.text_content("#comparison")
    assert float(page.text_content("#comparison tbody tr:last-child td:last-child")) < 1e-5
    assert not tab.faults


def test_only_the_server_is_contacted(page: Any, tab: Tab, server: Server) -> None:
    draw(page, STROKES["1"])
    assert len(tab.addresses) > 10
    assert all(address.startswith((f"http://{server.url}/", "data:")) for address in tab.addresses)
    refused = page.evaluate("fetch('http://127.0.0.2:1/').then(() => '', error => error.message)")
    assert "Content Security Policy" in refused or "Content Security Policy" in " ".join(tab.faults)


def test_any_static_host_serves_the_page(host: str, tab: Tab) -> None:
    page = tab.open(host)
    assert draw(page, STROKES["1"]) == "1"
    assert not tab.faults
    page.click("#compare")
    expect(page.locator("#comparison-problem")).to_contain_text(
        "npm install --prefix embedded/browser onnxruntime-web"
    )


def test_a_page_whose_model_does_not_compute_the_verified_probabilities_refuses_to_start(
    host: str, bundle: Path, tab: Tab
) -> None:
    path = bundle / PAGE / "golden.json"
    golden = json.loads(path.read_text())
    golden["probabilities"][3].reverse()
    path.write_text(json.dumps(golden))
    tab.page.goto(host)
    expect(tab.page.locator("#notice")).to_contain_text(
        "different probabilities from those verified"
    )
    assert not tab.page.is_visible("#main")


def test_a_page_opened_as_a_file_says_what_to_do(bundle: Path, tab: Tab) -> None:
    tab.page.goto((bundle / PAGE / "index.html").as_uri())
    tab.page.wait_for_selector("#notice", state="visible")
    tab.page.wait_for_timeout(2000)
    assert "python3 -m http.server" in tab.page.inner_text("#notice")


def test_one_server_offers_the_pages_of_two_bundles(archive: Path, bundle: Path, tab: Tab) -> None:
    with Server(archive, rename(bundle, "second"), "--format", FORMAT) as running:
        tab.page.goto(f"http://{running.url}/")
        tab.page.wait_for_selector("#pages a")
        assert tab.page.locator("#pages a").count() == 2
        tab.page.click("#pages a >> nth=1")
        tab.page.wait_for_selector("#main:not([hidden])")
        assert tab.page.title().startswith("second ")
        assert (
            tab.page.evaluate("document.getElementById('server').href")
            == f"http://{running.url}/docs"
        )
    assert not tab.faults


def test_the_card_says_what_was_measured(embedded: Path, page: Any) -> None:
    rows = json.loads((ROOT / "reports/embed.json").read_text())["targets"]
    measured = next(row["measured"] for row in rows if row["target"] == "browser")
    assert measured["wasm_bytes"] == (embedded / "browser/model.wasm").stat().st_size
    assert measured["agreement_with_onnxruntime"] == 1
    assert measured["largest_difference"] < 1e-5
    assert f"wasm bytes: {measured['wasm_bytes']:,}" in page.text_content("#card")
