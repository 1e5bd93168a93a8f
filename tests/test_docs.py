"""The README and docs/ are true: their commands, options, keys, links, files and figures exist."""

from __future__ import annotations

import argparse
import ast
import hashlib
import importlib
import re
import shlex
import subprocess
import sys
import types
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

from pipeline.config import overrides, params, parts
from pipeline.datasets import _photos, _sounds, image_list, imdb, series_folder
from pipeline.files import artifacts, splits
from pipeline.planning.parts import TEST, validation_share
from pipeline.process.errors import UserError
from pipeline.reporting import marked_tables, summary
from serving import gate
from serving.__main__ import COMMANDS as SERVING
from tests.conftest import ROOT

README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
RESULTS = ROOT / "docs" / "results.md"
PROGRAMS = {"make", "edgeproof", "serving", "dvc", "dask", "python"}
OUR_FOLDERS = "pipeline|serving|lectures|tests|benchmarks|docs"
NOT_COMMANDS = {"python", "py", "yaml", "js", "ini"}
OTHERS = {"--prove", "--check", "--force"}  # of the C program, of sha256sum, of dvc
NOT_KEYS = {"field.sqlite", "model.h", "model.code"}  # files, and an attribute
MOST_README_LINES = 130
LARGEST_PICTURE = 150_000  # bytes


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


every_page = pytest.mark.parametrize("page", PAGES, ids=name)


def blocks(page: Path) -> list[tuple[str, str]]:
    """The language and the text of every fenced block."""
    return re.findall(r"^```(\w*)\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def prose(page: Path) -> str:
    """The page without its fenced blocks and comments."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"<!--.*?-->", "", text)


def spans(page: Path) -> list[str]:
    """What stands between backticks in the prose."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(page))]


def commands(page: Path, program: str) -> Iterator[list[str]]:
    """The words of each command of `program`, in blocks and in the prose."""
    text = "\n".join(text for language, text in blocks(page) if language not in NOT_COMMANDS)
    lines = re.sub(r"\\\n", " ", text).splitlines()
    lines += re.findall(r"^ExecStart=(.*)$", page.read_text("utf-8"), re.MULTILINE)
    for line in [*lines, *spans(page)]:
        for part in re.split(r"&&|\||;", line.split("  #")[0]):
            with suppress(ValueError):  # a quote that the text leaves open
                words = shlex.split(part)
                while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
                    words = words[1:]  # a variable of the environment
                if words[1:] and re.search(rf"(^|/){program}$", words[0]):
                    yield words[1:]


def options(words: list[str]) -> set[str]:
    return {word.split("=")[0] for word in words if re.match(r"--?[A-Za-z]", word)}


@every_page
def test_every_make_target_exists(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for words in commands(page, "make"):
        assert words[0] in targets, words


@cache
def module_options(module: str) -> frozenset[str]:
    """The options that `python -m module --help` lists."""
    command = [sys.executable, "-m", module, "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return frozenset(re.findall(r"--?[a-z][a-z-]*", done.stdout))


def our_modules(page: Path) -> Iterator[list[str]]:
    """The words after `python -m`, for modules of this project."""
    for words in commands(page, "python"):
        if words[0] == "-m" and re.match(rf"({OUR_FOLDERS})\b", words[1]):
            yield words[1:]


@every_page
def test_every_module_exists_and_takes_the_options(page: Path) -> None:
    for module, *rest in our_modules(page):
        assert options(rest) <= module_options(module), module


@cache
def serving_options(command: str) -> frozenset[str]:
    parser = argparse.ArgumentParser()
    importlib.import_module(SERVING[command][0]).add_arguments(parser)
    return frozenset(parser._option_string_actions)


@every_page
def test_every_command_of_serving_exists_and_takes_the_options(page: Path) -> None:
    for words in commands(page, "serving"):
        assert words[0] in SERVING, words
        assert options(words) <= serving_options(words[0]), words


@cache
def edgeproof_options() -> dict[str, frozenset[str]]:
    """The options of each command."""
    pytest.importorskip("pipeline.cli.__main__", reason="there is no command line yet")
    app = importlib.import_module("pipeline.cli.__main__").app
    group = importlib.import_module("typer.main").get_command(app)
    return {
        name: frozenset(option for param in command.params for option in param.opts)
        for name, command in [("", group), *group.commands.items()]
    }


@every_page
def test_every_command_of_edgeproof_exists_and_takes_the_options(page: Path) -> None:
    for words in commands(page, "edgeproof"):
        known = edgeproof_options()
        command = "" if words[0].startswith("-") else words[0]
        assert command in known, words
        assert options(words) <= known[command] | {"--help"}, words
        check_overrides(words)
        if words[0] == "run":
            assert set(words[1:]) - options(words) <= set(dvc_stages()), words


def dvc_stages() -> dict[str, Any]:
    stages: dict[str, Any] = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    return stages


@every_page
def test_every_command_of_dvc_exists_and_takes_the_options(page: Path) -> None:
    parser = importlib.import_module("dvc.cli.parser").get_main_parser()
    for words in commands(page, "dvc"):
        complete = [*words, "NAME"] if words[:2] == ["exp", "apply"] and not words[2:] else words
        if words == ["add"]:
            continue
        try:
            parser.parse_args(complete)
        except BaseException as error:
            pytest.fail(f"dvc {' '.join(words)}: {error!r}")
        check_overrides(words)


def check_overrides(words: list[str]) -> None:
    """Every `-S KEY=VALUE` is one that params.yaml accepts."""
    given = [value for option, value in pairwise(words) if option == "-S"]
    settings = params.override(params.load(ROOT / "params.yaml"), overrides.parsed(given))
    check_options(settings)


def check_options(settings: params.Params) -> None:
    """Raises UserError if a dataset has an option that a page gives a wrong value."""
    others = (_photos, _sounds, image_list, imdb)  # whose options mean the same in all of them
    is_series = settings.dataset.name == "series_folder"
    for module in (series_folder,) if is_series else others:
        settings.dataset.options(module.Options)


@cache
def dask_options() -> dict[str, frozenset[str]]:
    """The options of a scheduler and of a worker."""
    programs = {
        name: importlib.import_module(f"distributed.cli.dask_{name}").main
        for name in ("scheduler", "worker")
    }
    return {
        name: frozenset(
            option for each in main.params for option in (*each.opts, *each.secondary_opts)
        )
        for name, main in programs.items()
    }


@every_page
def test_every_command_of_dask_exists_and_takes_the_options(page: Path) -> None:
    for words in commands(page, "dask"):
        assert options(words) <= dask_options()[words[0]], words


@every_page
def test_every_option_in_the_prose_exists(page: Path) -> None:
    mentioned = {span.split()[0] for span in spans(page) if span.startswith("--")} - OTHERS
    missing = mentioned.difference(
        *map(serving_options, SERVING),
        *(module_options(module) for module, *_ in our_modules(page)),
    )
    if missing:
        missing = missing.difference(*edgeproof_options().values(), *dask_options().values())
    assert not missing


def is_key(text: str) -> bool:
    section, *_ = text.split(".")
    return section in params.Params.model_fields and text not in NOT_KEYS


def check_key(key: str) -> None:
    """Raises KeyError for a key that params.yaml has not."""
    model: Any = params.Params
    for part in key.split("."):
        if model is params.Dataset and part in parts.options("datasets"):
            return
        model = model.model_fields[part].annotation
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            model = types.SimpleNamespace(model_fields={})


@every_page
def test_every_key_of_params_yaml_exists(page: Path) -> None:
    for span in spans(page):
        match = re.fullmatch(r"([a-z]+(?:\.[a-z_]+)+)(?:: (.+))?", span)
        if match and is_key(match[1]):
            check_key(match[1])
            if match[2] and match[2] != "mine":
                value = YAML(typ="safe").load(match[2])
                settings = params.load(ROOT / "params.yaml")
                check_options(params.override(settings, {match[1]: value}))


@every_page
def test_every_block_of_yaml_is_a_part_of_params_yaml(page: Path) -> None:
    for language, text in blocks(page):
        if language == "yaml":
            values = YAML(typ="safe").load(ROOT / "params.yaml")
            block = YAML(typ="safe").load(text)
            if "dataset: {" in text:  # to be pasted over the whole section
                assert block["dataset"].keys() >= {"path", "other"}, text
            merge(values, block)
            check_options(params.Params.model_validate(values))


def merge(values: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        if (
            isinstance(value, dict)
            and isinstance(values.get(key), dict)
            and "class_name" not in value
        ):
            merge(values[key], value)
        else:
            values[key] = value


@every_page
def test_every_file_exists(page: Path) -> None:
    for span in spans(page):
        if re.fullmatch(rf"(?:{OUR_FOLDERS}|\.ci)/[\w./*-]+", span) and not span.endswith(
            "mine.py"
        ):
            assert list(ROOT.glob(span.rstrip("/"))), span


def anchors(page: Path) -> set[str]:
    """The anchors of the headings, as GitHub and MkDocs make them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", heading.lower()).strip() for heading in headings)
    return {re.sub(r"[-\s]+", "-", heading) for heading in plain}


@every_page
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    assert not [link for link in links if "://" in link], "a page loads and names nothing elsewhere"
    for link in links:
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_every_page_is_in_the_menu_and_in_both_tables_of_pages() -> None:
    menu = (ROOT / "mkdocs.yml").read_text("utf-8")
    index = (ROOT / "docs" / "index.md").read_text("utf-8")
    for page in PAGES[1:]:
        assert f": {page.name}\n" in menu
        if page.name != "index.md":
            assert f"](docs/{page.name})" in README.read_text("utf-8")
            assert f"]({page.name})" in index


def test_every_picture_is_small_and_shown() -> None:
    shown = "".join(page.read_text("utf-8") for page in PAGES)
    for picture in (ROOT / "docs" / "pictures").iterdir():
        assert f"](pictures/{picture.name})" in shown
        assert picture.stat().st_size <= LARGEST_PICTURE


def test_the_readme_is_short() -> None:
    assert len(README.read_text("utf-8").splitlines()) <= MOST_README_LINES


@every_page
def test_python_in_the_pages_is_python(page: Path) -> None:
    for language, text in blocks(page):
        if language == "python":
            ast.parse(text)


@pytest.mark.slow
def test_the_parts_that_the_architecture_page_adds_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = ROOT / "docs" / "architecture.md"
    texts = [text for language, text in blocks(page) if language == "python"]
    dataset, architecture = (dict[str, Any](), dict[str, Any]())
    for text, names in zip(texts, (dataset, architecture), strict=False):
        exec(compile(text, "mine.py", "exec", dont_inherit=True), names)
    settings = params.load(ROOT / "params.yaml")
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "mine.py").write_text(texts[0], encoding="utf-8")
    monkeypatch.setattr(parts, "PACKAGE", tmp_path)
    for cached in (parts.choices, parts.options):
        monkeypatch.setattr(parts, cached.__name__, cached.__wrapped__)
    raw = dataset["load"](params.Dataset.model_validate({"name": "mine", "examples": 100}))
    assert len(raw.train_images) == len(raw.train_labels) == 100
    with pytest.raises(
        UserError, match=r"dataset\.examples is 0; expected an integer of at least 1"
    ):
        dataset["load"](params.Dataset.model_validate({"name": "mine", "examples": 0}))
    monkeypatch.undo()
    assert raw.train_labels.max() + 1 == len(raw.class_names)
    inputs = artifacts.Inputs(raw.train_images.shape[1:], raw.kind)
    model = architecture["build"](inputs, 2, settings.train.network)
    assert model(raw.train_images[:3]).shape == (3, 2)


def test_the_page_on_the_lectures_has_the_figures_of_their_own_page() -> None:
    theirs = (ROOT / "lectures" / "README.md").read_text("utf-8")
    block = theirs[theirs.index("| study |") :].split("\n\n")[0]
    expected = [[re.sub(r"\[(\w+)\].*", r"\1", row[0]), *row[1:4]] for row in table(block)[1]]
    page = (ROOT / "docs" / "lectures.md").read_text("utf-8")
    assert table(page[page.index("| example |") :].split("\n\n")[0])[1] == expected


def test_the_page_on_the_server_quotes_the_benchmark() -> None:
    benchmarks = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    _, rows = table(benchmarks[benchmarks.index("| server |") :].split("\n\n")[0])
    json_rate = {row[0]: row[2] for row in rows}
    page = " ".join((ROOT / "docs" / "server.md").read_text("utf-8").split())
    assert f"answers {json_rate['ours, onnx_float32']} JSON requests per second" in page
    assert f"FastAPI around the same model answers {json_rate['FastAPI']}" in page
    assert f"`mlflow models serve` {json_rate['mlflow models serve']}." in page


def test_the_page_on_the_team_says_of_killed_servers_what_was_shown() -> None:
    report = (ROOT / "benchmarks" / "chaos.md").read_text("utf-8")
    header, rows = table(report)
    page = " ".join((ROOT / "docs" / "team.md").read_text("utf-8").split())
    succeeded = [row for row in rows if row[header.index("given again")] == "succeeded"]
    assert f"at each of {len(rows)} random moments" in page
    assert f"{len(succeeded)} of {len(rows)} commands succeeded when they were given again" in page


def test_the_page_on_training_says_what_a_teacher_was_worth() -> None:
    report = (ROOT / "benchmarks" / "distillation.md").read_text("utf-8")
    _, rows = table(report[: report.index("## ")])
    expected: dict[tuple[str, str], dict[str, list[str]]] = {}
    for data, network, training, mean, _, gain, _ in rows:
        expected.setdefault((data, network), {})[training] = [mean, gain]
    page = (ROOT / "docs" / "training.md").read_text("utf-8")
    header, quoted = table(page[page.index("| data | network | plain |") :].split("\n\n")[0])
    assert [(row[0], row[1]) for row in quoted] == list(expected)
    for row in quoted:
        ways = expected[row[0], row[1]]
        assert row[2] == ways["plain"][0]
        assert row[3:5] == ways[header[3]]
        assert row[5:] == ways.get(header[5], ["", ""])
        # What the page concludes: no gain of two standard errors, and time is spent as well
        points, error = (float(part) for part in row[4].split(" ± "))
        assert points < 2 * error
        assert not row[6] or float(row[6].split()[0]) >= points


def results() -> tuple[list[str], list[list[str]]]:
    """The header and the rows of the full table of results."""
    block = RESULTS.read_text("utf-8").split(marked_tables.BEGIN)[1].split(marked_tables.END)[0]
    return table(block)


def table(block: str) -> tuple[list[str], list[list[str]]]:
    header, _, *rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in block.splitlines()
        if line.startswith("|")
    ]
    return header, rows


def test_the_table_of_results_shows_what_the_pipeline_must_reach() -> None:
    header, lines = results()
    assert header == list(summary.COLUMNS)
    rows = [dict(zip(header, line, strict=True)) for line in lines]
    size = {row["model"]: int(row["bytes"].replace(",", "")) for row in rows[1:]}
    assert set(params.load(ROOT / "params.yaml").export.formats) | {"Keras"} == set(size)
    keras = number(rows[1]["test accuracy"])
    assert keras >= 99.5
    for row in rows[2:]:
        agreement = {"float32": 100.0, "float16": 99.9, "dynamic": 99.9, "int8": 99.8}[
            row["model"].split("_")[1]
        ]
        assert number(row["agreement"]) >= agreement, row
        assert keras - number(row["test accuracy"]) <= 0.1 + 1e-9, row
        assert row["verdict"] == "proven"
    assert size["tflite_int8"] <= min(100_000, 0.3 * size["tflite_float32"])


def number(cell: str) -> float:
    return float(cell.removesuffix(" %"))


def test_the_readme_has_the_same_figures_in_short() -> None:
    header, rows = results()
    lines = [dict(zip(header, row, strict=True)) for row in rows[1:]]
    block = README.read_text("utf-8").split(marked_tables.SHORT_BEGIN)[1]
    short_header, short_rows = table(block.split(marked_tables.SHORT_END)[0])
    assert short_header == list(marked_tables.SHORT_COLUMNS)
    expected = [marked_tables.short_row(line) for line in lines]
    assert [dict(zip(short_header, row, strict=True)) for row in short_rows] == expected


def test_the_tables_are_those_that_were_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only if the reports here are those of the committed dvc.lock: another processor measures
    other times and may train other weights."""
    committed = subprocess.run(
        ["git", "show", "HEAD:dvc.lock"], cwd=ROOT, capture_output=True, check=True
    ).stdout
    outs = {
        out["path"]: out.get("md5")
        for stage in YAML(typ="safe").load(committed)["stages"].values()
        for out in stage.get("outs", [])
    }
    reports = [f"reports/{name}.json" for name in summary.REPORTS]
    if any(
        not (ROOT / path).exists()
        or hashlib.md5((ROOT / path).read_bytes()).hexdigest() != outs[path]
        for path in reports
    ):
        pytest.skip("the reports here are of another run")
    monkeypatch.chdir(ROOT)
    assert marked_tables.block() in RESULTS.read_text("utf-8")
    assert marked_tables.short_block() in README.read_text("utf-8")


def test_the_gate_page_says_what_few_images_of_ones_own_can_show() -> None:
    settings = params.load(ROOT / "params.yaml")
    page = (ROOT / "docs" / "gate.md").read_text("utf-8")
    limit = settings.export.max_accuracy_drop
    needed = gate.images_needed(limit)
    assert needed == 1559
    for images in (200, 500, 1000, 2000, 5568):
        count = unseen(images)
        loss = 100 * gate.accuracy_lost_bound(0, 0, count)
        verdict = "proven" if count >= needed else "not shown"
        assert verdict == gate.verdict(0, 0, count, limit)
        assert f"| {images:,} | {count:,} | {loss:.2g} points | {verdict} |\n" in page
    _, rows = table(page[page.index("| `export.max_accuracy_drop` |") :].split("\n\n")[0])
    assert len(rows) == 6
    for drop, needed_for_drop, total in rows:
        count, images = (int(cell.replace(",", "")) for cell in (needed_for_drop, total))
        assert count == gate.images_needed(float(drop))
        assert unseen(images) >= count > unseen(images - 1)


def test_the_readme_says_what_few_images_show_with_the_split_that_start_proposes() -> None:
    bounds = (gate.accuracy_lost_bound(0, 0, unseen(images)) for images in (200, 1000, 2000))
    losses = [f"{100 * bound:.2g}" for bound in bounds]
    readme = " ".join(README.read_text("utf-8").split())
    assert f"at most {losses[0]}, {losses[1]} or {losses[2]} percentage points, if no" in readme
    assert "From 5,568 images on, that is the default limit of 0.2, and the file is" in readme


def unseen(images: int) -> int:
    """How many images of one's own the weights do not see, with the split that `start` proposes."""
    share = validation_share(images - round(TEST * images))
    preprocess = params.load(ROOT / "params.yaml").preprocess
    preprocess = preprocess.model_copy(update={"validation": share})
    rows = splits.splits(np.zeros(images, int), TEST, preprocess)
    return len(rows["test"]) + len(rows["validation"])
