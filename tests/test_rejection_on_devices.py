"""None of these, on devices without Python: C, the page and microcontrollers agree with Python."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from pipeline.bundle import card
from pipeline.config import params
from pipeline.embedded import _answer_text, _c_text, _zig, browser, c, microcontroller
from pipeline.embedded._integer_c.answers import Answers, least_accepted
from pipeline.embedded._integer_c.network import Tensor
from pipeline.embedded._verified import VerifiedFile
from pipeline.files.artifacts import Array
from pipeline.files.reports.bundle import BundleReports
from pipeline.process.errors import UserError
from serving import Bundle
from serving.acceptance import Acceptance
from serving.model_file import answers
from tests.conftest import Project
from tests.server import FORMAT
from tests.test_browser import in_node

pytestmark = pytest.mark.slow

# Of a softmax in int8
OUTPUT = Tensor(0, (1, 10), "int8", np.array([1 / 256], np.float32), -128, None)


@dataclasses.dataclass(frozen=True)
class OnDevices:
    """The int8 file of a project with a threshold, compiled: its program, its page's folder."""

    project: Path
    model: VerifiedFile
    program: Path
    page: Path


@pytest.fixture(scope="module")
def tested(finished: Project) -> tuple[Array, Array, float]:
    """Test images, their probabilities, and a threshold with images on it and one step below."""
    images = np.load(finished.folder / "data/prepared/test/images.npy")[:3000]
    program = finished.folder / f"embedded/c/programs/classify-{c.HERE}"
    probabilities = c.classify(program, images)
    largest, counts = np.unique(probabilities.max(1), return_counts=True)
    pairs = np.minimum(counts[1:], counts[:-1]) * (np.diff(largest) == np.float32(1 / 256))
    return images, probabilities, float(largest[1:][pairs.argmax()])


@pytest.fixture(scope="module")
def on_devices(
    finished: Project,
    tested: tuple[Array, Array, float],
    tmp_path_factory: pytest.TempPathFactory,
) -> OnDevices:
    """Made by the code of `embed`, which reads the threshold where `verify` writes it."""
    folder = tmp_path_factory.mktemp("devices")
    copy = finished.copy(folder / "project")
    report = copy.folder / "reports/verify.json"
    facts = json.loads(report.read_text())
    for pair in facts["pairs"]:
        if pair["format"] == "tflite_int8" and pair["processor"] == "native":
            pair["accept_from"] = tested[2]
    report.unlink()
    report.write_text(json.dumps(facts))
    program, page = folder / "program", folder / "page"
    with contextlib.chdir(copy.folder):
        model = VerifiedFile.load("tflite_int8", params.load())
        entries = {
            name: card.model_file(name, BundleReports.load()) for name in ("tflite_int8", FORMAT)
        }
        for part in (program, page):
            part.mkdir()
        c.fill(program, model)
        (program / c.SOURCES / "golden.h").write_text(c.golden(model))
        c.build(program, folder, c.HERE, model)
        shutil.copytree(browser.TEMPLATES / "page", page, dirs_exist_ok=True)
        browser.fill(page, model)
        browser.compile_module(page, model.code.sources, page / browser.MODEL)
    assert [entries[name].accept_from for name in ("tflite_int8", FORMAT)] == [tested[2], None]
    return OnDevices(copy.folder, model, folder / c.HERE, page)


CLASSIFY = """
import { readFileSync } from "node:fs";
const [folder, images] = process.argv.slice(1);
const { Classifier } = await import(folder + "/classifier.js");
const { instance } = await WebAssembly.instantiate(readFileSync(folder + "/model.wasm"));
const card = {
  input: { shape: [28, 28, 1] }, output: { shape: [10] }, class_names: [..."012345678", "none"],
};
const classifier = new Classifier(card, null, instance);
const pixels = readFileSync(images);
const answers = [];
for (let start = 0; start < pixels.length; start += 784)
  answers.push(classifier.classify(pixels.subarray(start, start + 784)).answer);
console.log(JSON.stringify(answers));
"""


def test_python_c_and_the_page_reject_the_same_images_around_the_threshold(
    on_devices: OnDevices, tested: tuple[Array, Array, float], tmp_path: Path
) -> None:
    """On it every image is answered, one step below none is."""
    images, probabilities, threshold = tested
    near = np.abs(probabilities.max(1) - threshold) <= 3 / 256
    images, largest = images[near][:300], probabilities[near].max(1)[:300]
    with contextlib.chdir(on_devices.project):
        in_python = answers(on_devices.model.predict("tflite_micro", images)[0], threshold)
    (tmp_path / "images").write_bytes(images.tobytes())
    output = subprocess.run(
        [on_devices.program, tmp_path / "images"], capture_output=True, text=True, check=True
    ).stdout
    in_c = [line.split("\t")[1] for line in output.splitlines()]
    page = in_node(CLASSIFY, on_devices.page, tmp_path / "images")
    names = [*"012345678", "none"]
    assert [answer if answer is None else names.index(answer) for answer in page] == [
        None if number == -1 else number for number in in_python
    ]
    guesses = probabilities[near].argmax(1)[:300]
    assert in_c == [
        f"none (best guess {guess})" if number == -1 else str(number)
        for number, guess in zip(in_python, guesses, strict=True)
    ]
    at, below = largest == np.float32(threshold), largest == np.float32(threshold - 1 / 256)
    assert at.any()
    assert below.any()
    assert (in_python[at] != -1).all()
    assert (in_python[below] == -1).all()


def test_the_c_reproduces_the_classes_of_the_golden_vectors_and_counts_its_answers(
    on_devices: OnDevices, tested: tuple[Array, Array, float], bundle: Path, tmp_path: Path
) -> None:
    folder = on_devices.program.parent / "program"
    code = [path.relative_to(folder).as_posix() for path in (folder / c.SOURCES).rglob("*.c")]
    strict = (*_zig.C99, "-I", c.SOURCES, "-Wall", "-Wextra", "-Wconversion", "-Werror")
    _zig.build(folder, [*code, "self_test.c"], tmp_path / "self_test", *strict)
    done = subprocess.run([tmp_path / "self_test"], capture_output=True, text=True, check=True)
    assert "golden vectors, 0 of their outputs and classes differ" in done.stdout
    assert -1 in on_devices.model.golden_classes
    command: list[str | Path] = [
        on_devices.program,
        "--prove",
        bundle / "embedded/c/acceptance.bin",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    printed = dict(line.split("\t") for line in done.stdout.splitlines() if "\t" in line)
    acceptance = Acceptance.load(Bundle(bundle))
    own = answers(c.classify(on_devices.program, acceptance.images), tested[2])
    wrong = int(((own != -1) & (own != acceptance.labels)).sum())
    assert (int(printed["answered"]), int(printed["answered_wrong"])) == ((own != -1).sum(), wrong)


def test_a_microcontroller_compares_with_the_same_float32(
    on_devices: OnDevices, tested: tuple[Array, Array, float], tmp_path: Path
) -> None:
    """classify.h, compiled: on the threshold, one float32 below it, and two equal probabilities."""
    header = _c_text.header(on_devices.model)
    definitions = re.findall("#define MODEL_(?:ACCEPT_FROM|WORDS) .*", header)
    own = ["MODEL_VALUE uint8_t", "MODEL_CLASSES 3", 'MODEL_CLASS_NAMES {"a", "b", "c"}']
    lines = [*(f"#define {line}" for line in own), *definitions]
    (tmp_path / "model.h").write_text("\n".join(["#pragma once", *lines, ""]))
    _answer_text.write(tmp_path, on_devices.model)
    source = microcontroller.TEMPLATES / "src/classify.h"
    (tmp_path / "classify.h").write_text(source.read_text())
    least = np.float32(tested[2])
    rows = [[0, least, 0], [0, np.nextafter(least, np.float32(0)), 0], [0, least, least]]
    texts = ["{" + ", ".join(f"{value:.9e}f" for value in row) + "}" for row in rows]
    (tmp_path / "main.c").write_text(
        '#include <stdio.h>\n#include "classify.h"\n'
        f"static const float rows[3][3] = {{{', '.join(texts)}}};\n"
        "int main(void) { for (int row = 0; row < 3; row++)"
        ' printf("%d ", accepted_class(rows[row])); return 0; }\n'
    )
    _zig.build(tmp_path, ["main.c"], tmp_path / "main", *_zig.C99, "-Wall", "-Wextra", "-Werror")
    done = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "-1", "1"]


@pytest.mark.parametrize(
    ("accept_from", "least"), [(None, None), (0.0, None), (0.5, 0), (0.501, 1), (0.99609375, 127)]
)
def test_any_threshold_becomes_the_least_output_that_reaches_it(
    accept_from: float | None, least: int | None
) -> None:
    assert least_accepted(OUTPUT, accept_from) == least


def test_a_threshold_that_no_output_reaches_is_refused() -> None:
    largest = "its threshold is 1, and the largest probability that the file can give is 0.996094; "
    with pytest.raises(UserError, match=f"reject every input: {largest}verify the file again"):
        least_accepted(OUTPUT, 1.0)
    with pytest.raises(UserError, match=f"never give one of the labels: {largest}remove the"):
        Answers.of(OUTPUT, None, [0.5, 1.0])
