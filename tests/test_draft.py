"""A draft says that it is one wherever it is used: on the terminal, in JSON, and on the server."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from serving import Bundle, BundleError, __main__
from tests.acceptance_sets import change_card
from tests.server import FORMAT, Server
from tests.waiting import SECONDS

pytestmark = pytest.mark.slow

REASONS = ["test accuracy 0.97 is below problem.target 0.99", "onnx_int8 on onnxruntime is worse"]
DESCRIPTION = f"a draft, NOT PROVEN ({REASONS[0]}, and 1 more)"


@pytest.fixture
def draft(bundle: Path) -> Path:
    """The unpacked bundle, changed into a draft."""
    return change_card(bundle, not_proven=REASONS)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(tmp_path / "black.png")
    return tmp_path / "black.png"


@pytest.mark.parametrize("command", ["check", "prove", "predict", "bench"])
def test_every_command_says_on_stderr_that_it_opens_a_draft(
    command: str, draft: Path, picture: Path, archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {
        "check": [],
        "prove": ["--images", "20"],
        "predict": [str(picture)],
        "bench": ["--runs", "5"],
    }[command]
    options += ["--format", FORMAT]
    __main__.main([command, str(draft), *options, "--draft"])
    assert capsys.readouterr().err.splitlines()[0] == f"warning: {draft} is {DESCRIPTION}"
    __main__.main([command, str(archive), *options, "--draft"])
    assert "NOT PROVEN" not in "".join(capsys.readouterr())


def test_the_verdict_of_check_and_its_json_name_the_reason(
    draft: Path, archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert __main__.main(["check", str(draft), "--format", FORMAT, "--draft"]) == 0
    verdict = capsys.readouterr().out.splitlines()[-1]
    assert verdict.startswith(
        f"This device may run mnist-digits 1.0.0, {DESCRIPTION}: onnx_float32 on onnxruntime "
    )
    for bundle, reasons in ((draft, REASONS), (archive, [])):
        __main__.main(["check", str(bundle), "--format", FORMAT, "--draft", "--json"])
        assert json.loads(capsys.readouterr().out)["not_proven"] == reasons


def test_the_server_says_it_in_its_log_its_metadata_and_its_description(draft: Path) -> None:
    with Server(draft, "--format", FORMAT, "--draft") as running:
        assert running.get("/v2/models/mnist-digits").json["parameters"] == {
            "not_proven": DESCRIPTION
        }
        (entry,) = running.ask("POST", "/v2/repository/index").json
        assert entry["reason"] == DESCRIPTION
        description = running.get("/openapi.json").json["info"]["description"]
        assert description.endswith(f" mnist-digits is {DESCRIPTION}.")
        running.signal(signal.SIGTERM)
        out, errors = (stream.decode() for stream in running.process.communicate(timeout=SECONDS))
    assert f"warning: {draft} is {DESCRIPTION}" in errors
    assert running.first_line.endswith(f", {DESCRIPTION}\n")
    assert not out


def test_the_servers_page_shows_it(draft: Path, chromium: Any) -> None:
    with Server(draft, "--format", FORMAT, "--draft") as running:
        page = chromium.new_page()
        page.goto(f"http://{running.url}/docs")
        page.get_by_text(f"mnist-digits is {DESCRIPTION}.").wait_for()


def test_a_signature_is_refused_without_a_key_to_check_it_with(
    archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sentence = (
        "the signature made.sig is checked only with --trust; "
        "name the maker's public key or certificate authority there"
    )
    for command in (
        ["prove", str(archive)],
        ["predict", str(archive), "x.png"],
        ["bench", str(archive)],
    ):
        assert __main__.main([*command, "--signature", "made.sig"]) == 1
        assert capsys.readouterr().err == f"error: {sentence}\n"
    assert __main__.main(["check", str(archive), "--signature", "made.sig"]) == 1
    assert capsys.readouterr().out == f"This device may not run it: {sentence}.\n"
    with pytest.raises(BundleError, match="only with --trust"):
        Bundle(archive, signature="made.sig")
