"""Every command, option, key and file in the pages exists."""

from __future__ import annotations

import argparse
import ast
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

import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

from pipeline.config import overrides, params, parts
from pipeline.datasets import image_list, imdb, series_folder
from pipeline.datasets.reading import photo_list, sound_list
from serving.__main__ import COMMANDS as SERVING
from tests.conftest import ROOT
from tests.docs.conftest import blocks, every_page, prose

OUR_FOLDERS = "pipeline|serving|lectures|tests|benchmarks|docs"
NOT_COMMANDS = {"python", "py", "yaml", "js", "ini"}
OTHERS = {"--prove", "--check", "--force"}  # of the C program, of sha256sum, of dvc
NOT_KEYS = {"field.sqlite", "model.h", "model.code"}  # files, and an attribute


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
    texts = [value for option, value in pairwise(words) if option == "-S"]
    settings = params.override(params.load(ROOT / "params.yaml"), overrides.parsed(texts))
    check_options(settings)


def check_options(settings: params.Params) -> None:
    """Raises UserError if a dataset has an option that a page gives a wrong value."""
    # Their options mean the same in all of them.
    others = (photo_list, sound_list, image_list, imdb)
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


@every_page
def test_python_in_the_pages_is_python(page: Path) -> None:
    for language, text in blocks(page):
        if language == "python":
            ast.parse(text)
