"""The page's model, pictures and gate under Node; tests/embedded opens the page in Chromium."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.config import params
from pipeline.embedded import _zig, browser, c
from pipeline.embedded._proof import prove
from pipeline.embedded._verified import VerifiedFile
from pipeline.files.artifacts import Array
from pipeline.files.reports.embed import IntegerProof
from pipeline.process.errors import UserError
from pipeline.runtimes import environments
from serving import InputError, acceptance, gate, photo
from serving.comparison import DeviceProof, MakersVerdict
from tests.conftest import Project
from tests.test_embed import measured_facts
from tests.test_gate import gate_outcomes, sample

pytestmark = pytest.mark.slow

PAGE, PICTURES = browser.TEMPLATES / "page", browser.TEMPLATES / "pixels"
PROOF = set(IntegerProof.model_fields) - {"error", "error_added_bound"}
PREPARE = """
import { readFileSync } from "node:fs";
const { draw, plane } = await import(process.argv[1] + "/ink.js");
const { resize } = await import(process.argv[1] + "/resize.js");
function attempt(prepare) {
  try { return [...prepare().data]; } catch (error) { return error.message; }
}
const prepared = JSON.parse(readFileSync(0)).map(({ height, width, data }) => {
  const picture = plane(height, width, Uint8Array.from(data));
  return [attempt(() => draw(picture, 28, 20)), attempt(() => resize(picture, 28, 28))];
});
console.log(JSON.stringify(prepared));
"""


def in_node(script: str, *arguments: str | Path, data: str = "") -> Any:
    command: list[str | Path] = [browser.node(), "--input-type=module", "--eval", script]
    process = subprocess.run(
        [*command, *arguments], input=data, capture_output=True, text=True, check=True
    )
    return json.loads(process.stdout)


def sheets(count: int, channels: int = 1) -> list[Array]:
    """Pictures (H, W) or (H, W, C) uint8 of many shapes.

    Each has a few bars of ink on grainy paper, of any brightness.
    """
    dice = np.random.default_rng(0)
    result = []
    for height, width in dice.integers(1, 400, (count, 2)):
        sheet = np.zeros((height, width, channels)) + dice.integers(0, 256, channels)
        for _ in range(3):
            top, left = dice.integers(0, height), dice.integers(0, width)
            thickness = max(height, width) // 12 + 1
            if dice.random() < 0.5:
                rows, columns = thickness, width // 2 + 1
            else:
                rows, columns = height // 2 + 1, thickness
            sheet[top : top + rows, left : left + columns] = dice.integers(0, 256, channels)
        sheet += dice.integers(-6, 7, sheet.shape)
        result.append(np.clip(sheet if channels > 1 else sheet[..., 0], 0, 255).astype(np.uint8))
    return result


def drawn(picture: Array) -> list[int] | str:
    try:
        return list(photo.normalize(picture, 28, 20).ravel().tolist())
    except InputError as error:
        return str(error)


def test_pictures_are_prepared_as_in_python_down_to_the_pixel() -> None:
    pictures = [
        *sheets(60),
        np.full((30, 30), 200, np.uint8),
        sheets(1)[0].repeat(9, 0).repeat(7, 1),
    ]
    sent = [
        {"height": len(picture), "width": picture.shape[1], "data": picture.ravel().tolist()}
        for picture in pictures
    ]
    prepared = in_node(PREPARE, PICTURES, data=json.dumps(sent))
    refused = 0
    for number, (picture, (ink_pixels, resized)) in enumerate(zip(pictures, prepared, strict=True)):
        assert ink_pixels == drawn(picture), number
        expected = Image.fromarray(picture).resize((28, 28), Image.Resampling.LANCZOS)
        assert resized == np.asarray(expected).ravel().tolist(), number
        refused += isinstance(ink_pixels, str)
    assert 0 < refused < 30


WORDS = """
import { readFileSync } from "node:fs";
const { fixed, general } = await import(process.argv[1] + "/words.js");
const words = JSON.parse(readFileSync(0)).map(value => [
  fixed(value, 2), general(value), general(value, 1),
]);
console.log(JSON.stringify(words));
"""


def test_the_page_writes_numbers_as_python_does() -> None:
    random = np.random.default_rng(0)
    exact = [step / 256 for step in range(-600, 600)]  # with ties, such as 3.125
    values = [
        *exact,
        *random.normal(0, 1, 500) * 10.0 ** random.integers(-7, 7, 500),
        9999.5,
        0.125,
        25.0,  # a tie with an exponent, as is that of a large number
        *(10 * random.integers(1000, 10_000, 200) + 5.0).tolist(),
    ]
    for value, words in zip(values, in_node(WORDS, PAGE, data=json.dumps(values)), strict=True):
        assert words == [f"{value:.2f}", f"{value:.4g}", f"{value:.1g}"], value


BARS = """
import { readFileSync } from "node:fs";
let rows;
const table = { hidden: false, replaceChildren: (...shown) => (rows = shown) };
globalThis.document = {
  getElementById: () => table,
  createElement: () => ({ style: { setProperty() {} }, append(...parts) { this.parts = parts; } }),
};
const { Page } = await import(process.argv[1] + "/page.js");
const [names, probabilities, answer] = JSON.parse(readFileSync(0));
Page.prototype.showBars.call({ card: { class_names: names } }, probabilities, answer);
console.log(JSON.stringify(rows.map(({ className, parts }) => [parts[0].title, className])));
"""


def test_of_many_labels_the_page_shows_those_that_hold_and_then_the_likeliest(
    tmp_path: Path,
) -> None:
    page = shutil.copytree(PAGE, tmp_path / "page")
    (page / "labels.js").write_text(browser.labels(), encoding="utf-8")
    names = [f"label {number}" for number in range(20)]
    probabilities = [0.4 - 0.01 * number for number in range(20)]
    sent = [names, probabilities, ["label 3", "label 19"]]
    shown = in_node(BARS, page, data=json.dumps(sent))
    assert [name for name, _ in shown] == ["label 3", "label 19", *names[:3], *names[4:11]]
    assert [marked for _, marked in shown] == ["likeliest"] * 2 + [""] * 10


GATE = """
import { readFileSync } from "node:fs";
const gate = await import(process.argv[1] + "/gate.js");
const results = JSON.parse(readFileSync(0)).map(([lost, gained, total, allowed]) => [
  gate.exceeds(lost, gained, total, allowed),
  gate.accuracyLostBound(lost, gained, total),
  gate.mcnemar(lost, gained),
  ...gate.accuracyInterval(total - lost, total),
  gate.imagesNeeded(allowed, lost / total, gained / total),
]);
console.log(JSON.stringify(results));
"""


def test_the_gate_of_the_page_is_that_of_python() -> None:
    outcomes = gate_outcomes()
    results = in_node(GATE, PAGE, data=json.dumps(outcomes))
    for outcome, result in zip(outcomes, results, strict=True):
        lost, gained, total, allowed = outcome
        assert result[0] == gate.exceeds(lost, gained, total, allowed), outcome
        expected = [gate.accuracy_lost_bound(lost, gained, total), gate.mcnemar(lost, gained)]
        assert result[1:5] == pytest.approx(
            [*expected, *gate.accuracy_interval(total - lost, total)], abs=1e-9
        ), outcome
        assert result[5] == gate.images_needed(allowed, lost / total, gained / total), outcome


JUDGE = """
import { readFileSync } from "node:fs";
const { judged } = await import(process.argv[1] + "/prove.js");
const judgements = JSON.parse(readFileSync(0)).map(([lost, golden, verdict]) => judged({
  images: { length: 1000 }, correct: 990 - lost, reference: 990, lost, gained: 0,
  agreeing: 1000 - lost, golden: golden ?? NaN, largest: 0.1, allowed: 0.002, tolerance: 0.1,
  maker: { verdict, images: 16000, bound: 0.0008 }, milliseconds: 1,
}));
console.log(JSON.stringify(judgements.map(({ state, sentence }) => [state, sentence])));
"""


def test_the_page_tells_the_three_verdicts_apart_as_python_does() -> None:
    cases = [
        (lost, golden, maker)
        for lost in (0, 1, 9)
        for golden in (0.04, 0.5, None)
        for maker in ("proven", "not shown", "worse")
    ]
    judgements = in_node(JUDGE, PAGE, data=json.dumps(cases))
    for case, (state, sentence) in zip(cases, judgements, strict=True):
        lost, golden, maker = case
        difference = float("nan") if golden is None else golden
        comparison = sample(lost, 0, 1000)
        proof = DeviceProof(
            state=gate.elsewhere(comparison, difference, 0.1, maker),
            comparison=comparison,
            golden_difference=difference,
            golden_tolerance=0.1,
            maker=MakersVerdict(maker, 16000, 0.0008),
            unit=None,
            median_milliseconds=1.0,
            p95_milliseconds=1.0,
        )
        assert state == proof.state, case
        expected = acceptance.sentence(proof).replace("file or runtime on this device", "browser")
        assert sentence.replace("\u2019", "'").replace("0.50 where", "0.5 where") == expected, case


def test_the_page_is_proven_on_all_test_images_and_equals_micro(finished: Project) -> None:
    measured = measured_facts(finished, "browser")
    proven = measured_facts(finished, "c")
    assert {name: measured[name] for name in PROOF} == {name: proven[name] for name in PROOF}
    assert measured["test_images"] > measured["images_equal_to_micro"] == 50
    module = finished.folder / "embedded/browser/model.wasm"
    assert measured["wasm_bytes"] == module.stat().st_size < 100_000


def test_a_module_that_differs_from_micro_is_refused(finished: Project, tmp_path: Path) -> None:
    """The page's classifier with an image that it reads from one pixel further."""
    shutil.copytree(finished.folder / "embedded/browser", tmp_path, dirs_exist_ok=True)
    script = tmp_path / "classifier.js"
    text = script.read_text()
    assert "image(), size(" in text
    script.write_text(text.replace("image(), size(", "image() + 1, size("))
    with contextlib.chdir(finished.folder):
        model = VerifiedFile.load("tflite_int8", params.load())
        with pytest.raises(UserError, match=r"its C answers \d+ of 50 images unlike TensorFlow"):
            prove(model, lambda images: browser.run(tmp_path, model, images)[0])


def test_the_model_imports_nothing_and_is_the_same_bytes_each_time(
    finished: Project, tmp_path: Path
) -> None:
    """The C in the bundle gives the module in the bundle."""
    script = """
        import { readFileSync } from "node:fs";
        const module = new WebAssembly.Module(readFileSync(process.argv[1]));
        console.log(JSON.stringify(WebAssembly.Module.imports(module)));
    """
    module = finished.folder / "embedded/browser/model.wasm"
    assert in_node(script, module) == []
    shutil.copytree(finished.folder / "embedded/c" / c.SOURCES, tmp_path, dirs_exist_ok=True)
    shutil.copy(browser.TEMPLATES / "exports.c", tmp_path)
    layers = sorted(f"layers/{path.name}" for path in tmp_path.glob("layers/*.c"))
    browser.compile_module(tmp_path, [*layers, "network.c"], tmp_path / "again.wasm")
    assert (tmp_path / "again.wasm").read_bytes() == module.read_bytes()


def test_the_compiler_and_its_libraries_work_below_a_path_with_a_percent_sign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = tmp_path / "50% off #1? Käse"
    checkout.mkdir()
    (checkout / "runtimes").symlink_to(environments.FOLDER)
    monkeypatch.setattr(environments, "FOLDER", checkout / "runtimes")
    (tmp_path / "main.c").write_text(
        "#include <math.h>\nint main(int count, char **words) { return (int)sqrt(count); }\n"
    )
    for name, target in {
        "program": ("-target", _zig.PROGRAMS[c.HERE]),
        "module.wasm": _zig.WEBASSEMBLY,
    }.items():
        _zig.build(tmp_path, ["main.c"], checkout / name, *target, *_zig.C99, "-lm")
        assert (checkout / name).stat().st_size > 100
    assert subprocess.run([checkout / "program"], check=False).returncode == 1
    monkeypatch.setattr(tempfile, "tempdir", str(checkout))
    with pytest.raises(
        ValueError, match=r"has a % in its path, where Zig cannot write; set TMPDIR"
    ):
        _zig.build(tmp_path, ["main.c"], checkout / "again", *_zig.WEBASSEMBLY, *_zig.C99)


def test_an_undefined_function_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "network.c").write_text("int missing(void);\nint run(void) { return missing(); }\n")
    (tmp_path / "exports.c").write_text(
        "int run(void);\n"
        '__attribute__((export_name("predict"))) int predict(void) { return run(); }\n'
    )
    with pytest.raises(
        UserError, match=r"model.wasm could not be compiled: .*missing.*; use another architecture"
    ):
        browser.compile_module(tmp_path, ["network.c"], tmp_path / "model.wasm")
