"""`edgeproof start` writes params.yaml."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.config import params
from pipeline.datasets import image_list, imdb
from pipeline.datasets.reading import photo_list, sound_list
from pipeline.planning import (
    kinds,
    params_file,
    recipe,
    start,
)
from pipeline.planning.choice import Choice
from pipeline.planning.data import Survey
from pipeline.process.errors import UserError
from tests.conftest import ROOT
from tests.planning.conftest import SHIPPED, photos


@pytest.mark.parametrize("data", [photos(500), photos(90_000, side=28)])
def test_every_choice_is_written_and_every_other_line_stays(data: Survey) -> None:
    network = kinds.kind_of(data).candidates(data, None, True)[0]
    choices = recipe.propose(data, Path("pets"), network, None)
    text = params_file.apply(SHIPPED, choices)
    settings = params.override(params.load(ROOT / "params.yaml"), recipe.overrides(choices))
    assert params.parsed(text, Path("params.yaml")) == settings
    assert params_file.apply(text, choices) == text
    assert max(map(len, text.splitlines())) <= 100
    unchanged = [line for line in text.splitlines() if line in SHIPPED.splitlines()]
    assert len(unchanged) > 100
    for choice in choices:
        first_words = choice.reason.split()[:2]
        assert not choice.reason or f"here: {' '.join(first_words)}" in " ".join(text.split())


def test_a_reason_is_gone_when_its_choice_is() -> None:
    once = params_file.apply(SHIPPED, [Choice("train.epochs", 80, "for a test")])
    assert "# here: for a test" in once
    assert params_file.apply(once, [Choice("train.epochs", 12)]) == SHIPPED


PASTED = "dataset: {name: npz,\n  path: mine.npz}\n\n"  # as docs/own-data.md has it


def pasted(text: str) -> str:
    first, last = text.index("dataset:"), text.index("preprocess:")
    return text[:first] + PASTED + text[last:]


def in_braces(text: str) -> str:
    return json.dumps(YAML(typ="safe").load(text))


def by_another_writer(text: str) -> str:
    written = io.StringIO()
    YAML(typ="safe").dump(YAML(typ="safe").load(text), written)
    return written.getvalue()


def without_a_section(text: str) -> str:
    first, last = text.index("evaluate:"), text.index("export:")
    return text[:first] + text[last:]


@pytest.mark.parametrize("change", [pasted, in_braces, by_another_writer, without_a_section])
def test_a_file_that_something_else_wrote_takes_every_choice(change: Callable[[str], str]) -> None:
    data = photos(500)
    choices = recipe.propose(
        data, Path("pets"), kinds.kind_of(data).candidates(data, None, False)[0], None
    )
    text = params_file.apply(change(SHIPPED), choices)
    expected = params.override(params.parsed(SHIPPED, params.FILE), recipe.overrides(choices))
    assert meaning(params.parsed(text, params.FILE)) == meaning(expected)
    assert params_file.apply(text, choices) == text


def meaning(settings: params.Params) -> object:
    """The values, with the defaults of options of datasets that the file does not name."""
    dataset = settings.dataset
    kinds = (photo_list.Options, sound_list.Options, image_list.Options, imdb.Options)
    common = dataset.model_dump(include=set(params.Dataset.model_fields))
    rest = settings.model_copy(update={"dataset": None})
    return rest, common, [dataset.options(kind) for kind in kinds]


def test_a_section_that_is_written_anew_leaves_the_others_as_they_are() -> None:
    text = params_file.apply(pasted(SHIPPED), [Choice("dataset.path", "theirs.npz")])
    assert text == pasted(SHIPPED).replace(PASTED, "dataset:\n  name: npz\n  path: theirs.npz\n\n")


def test_a_text_that_yaml_would_misread_is_quoted() -> None:
    text = params_file.apply(SHIPPED, [Choice("dataset.path", "yes: #1")])
    assert YAML(typ="safe").load(text)["dataset"]["path"] == "yes: #1"


def test_a_file_of_the_user_is_kept_unless_git_has_it_as_it_came(folder: Path) -> None:
    output = Path("params.yaml")
    with pytest.raises(UserError, match="would be overwritten; give --force"):
        start.check_output(output, force=False)
    start.check_output(output, force=True)
    for command in (
        ("init", "--quiet"),
        ("add", "params.yaml"),
        (
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b",
            "commit",
            "--quiet",
            "--message",
            "as it came",
        ),
    ):
        subprocess.run(["git", *command], check=True)
    start.check_output(output, force=False)
    output.write_text(SHIPPED.replace("epochs: 12", "epochs: 13"), encoding="utf-8")
    with pytest.raises(UserError, match="would be overwritten"):
        start.check_output(output, force=False)
