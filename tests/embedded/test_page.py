"""The page in real Chromium: proof on the device, drafts, hosts, accessibility, privacy."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect

from pipeline.config import params
from pipeline.embedded import browser, c
from pipeline.embedded._verified import VerifiedFile
from pipeline.reporting import statistics
from serving import Bundle, Classifier, acceptance
from serving.acceptance import Acceptance
from serving.model_card import FILE as CARD
from serving.model_file import answers
from tests.chromium import assert_accessible
from tests.conftest import ROOT
from tests.embedded.conftest import DESKTOP, PAGE, PHONE, Tab
from tests.embedded.drawing import STROKES, draw
from tests.server import FORMAT, Server, rename

PROGRAM = f"embedded/c/programs/classify-{c.HERE}"


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
    assert_accessible(page, packages)
    assert not tab.faults
    page.context.close()


def test_the_page_proves_the_model_with_the_same_figures_as_python(
    page: Any, tab: Tab, archive: Path
) -> None:
    page.click("#prove")
    page.wait_for_selector("#proof:not([hidden])")
    opened = Bundle(archive)
    proof = acceptance.prove(
        opened, Classifier.load(opened, "tflite_int8"), Acceptance.load(opened), lambda *_: None
    )
    expected = acceptance.figures(proof)
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
            "answered",
            "answered_wrong",
        ):
            assert value == expected[name], name
        elif name in ("accuracy_interval", "mcnemar_p_value", "accuracy_lost_bound"):
            assert value == pytest.approx(expected[name], abs=1e-9), name
    verdict = page.text_content("#verdict")
    assert verdict.split(":")[0].lower() == expected["state"]
    counts = f"{expected['lost']} of {expected['images']:,} examples lost"
    assert f"{counts}, {expected['gained']} gained" in verdict
    assert expected["answered"] < expected["images"], "the model of `make run` rejects some"
    assert page.locator("#proof tbody tr").count() == 12
    assert not tab.faults


def test_the_page_says_none_of_these_with_its_best_guess(
    host: str, archive: Path, bundle: Path, tab: Tab, tmp_path: Path
) -> None:
    """On the example images, with a threshold that half of them do not reach."""
    with contextlib.chdir(ROOT):
        verified = VerifiedFile.load("tflite_int8", params.load())
        examples = verified.micro.golden[verified.golden_labels >= 0]
        threshold = float(np.sort(examples.max(1))[len(examples) // 2])
        model = dataclasses.replace(verified, accept_from=threshold)
        browser.fill(tmp_path, model)
        browser.compile_module(tmp_path, model.code.sources, bundle / PAGE / browser.MODEL)
    page = tab.open(host)
    unsure, sure = int(examples.max(1).argmin()), int(examples.max(1).argmax())
    for number, answered in ((unsure, False), (sure, True)):
        page.locator("#examples button").nth(number).click()
        guess, share = examples[number].argmax(), f"{100 * examples[number].max():.2f} %"
        shown = (
            (str(guess), share) if answered else ("None of these", f"best guess {guess}, {share}")
        )
        expect(page.locator("#answer")).to_have_text("".join(shown))
        expect(page.locator("#announcement")).to_have_text(", ".join(shown))
        assert page.locator("#probabilities .likeliest").count() == answered
    page.click("#prove")
    page.wait_for_selector("#proof:not([hidden])")
    acceptance_set = Acceptance.load(Bundle(archive))
    own = answers(c.classify(ROOT / PROGRAM, acceptance_set.images), threshold)
    wrong = int(((own != -1) & (own != acceptance_set.labels)).sum())
    table = page.inner_text("#proof")
    assert f"images answered\t{(own != -1).sum()} (" in table
    assert f"wrong answers\t{wrong} (" in table
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
    card = json.loads((bundle / CARD).read_text())
    (bundle / CARD).write_text(
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
    card = json.loads((bundle / CARD).read_text())
    (bundle / CARD).write_text(
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


def test_onnx_runtime_web_gives_almost_the_same_probabilities_in_floating_point(
    page: Any, tab: Tab
) -> None:
    page.click("#compare")
    page.wait_for_selector("#comparison:not([hidden])")
    assert "ONNX Runtime Web 1.30.0, onnx_float32.onnx" in page.text_content("#comparison")
    difference = float(page.text_content("#comparison tbody tr:last-child td:last-child"))
    assert 0 < difference < statistics.QUANTIZED_TOLERANCE
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


def test_a_browser_that_cannot_compile_the_module_is_told_which_can(
    host: str, bundle: Path, tab: Tab
) -> None:
    path = bundle / PAGE / "model.wasm"
    path.write_bytes(path.read_bytes()[:-1])
    tab.page.goto(host)
    expect(tab.page.locator("#notice")).to_contain_text("this browser cannot run model.wasm")
    expect(tab.page.locator("#notice")).to_contain_text("use Chrome 91, Firefox 89, Safari 16.4 or")
    assert not tab.page.is_visible("#main")


def test_without_an_onnx_file_there_is_no_second_engine(
    host: str, bundle: Path, packages: Path, tab: Tab
) -> None:
    card = json.loads((bundle / CARD).read_text())
    card["files"] = [file for file in card["files"] if not file["file"].endswith(".onnx")]
    (bundle / CARD).write_text(json.dumps(card))
    modules = bundle / PAGE / "node_modules"
    modules.mkdir()
    (modules / "onnxruntime-web").symlink_to(packages / "onnxruntime-web")
    page = tab.open(host)
    page.click("#compare")
    expect(page.locator("#comparison-problem")).to_have_text(
        "the bundle has no ONNX file, which ONNX Runtime Web needs"
    )


def test_a_page_opened_as_a_file_says_what_to_do(bundle: Path, tab: Tab) -> None:
    tab.page.goto((bundle / PAGE / "index.html").as_uri())
    expect(tab.page.locator("#notice")).to_contain_text("python3 -m http.server")
    tab.page.wait_for_timeout(2000)  # in which nothing replaces it
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
    assert measured["state"] == "proven"
    assert measured["test_images"] == 10000 > measured["images_equal_to_micro"] == 1000
    assert f"WebAssembly module, bytes: {measured['wasm_bytes']:,}" in page.text_content("#card")
