"""A server that cannot start says why in one sentence; one that starts listens on the loopback."""

from __future__ import annotations

import shutil
import socket
import sys
from pathlib import Path

import psutil
import pytest

from serving.__main__ import main
from tests.server import FORMAT, Server, failed

pytestmark = pytest.mark.slow


def test_a_port_in_use_is_one_sentence(archive: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert f"cannot listen on 127.0.0.1 port {port} (Address already in use)" in failed(
            archive, "--port", str(port)
        )


def test_two_bundles_of_one_name_are_one_sentence(archive: Path, bundle: Path) -> None:
    assert "both hold a model named 'mnist-digits'" in failed(
        archive, bundle, "--format", FORMAT, "--port", "0"
    )


def test_a_missing_runtime_is_one_sentence(archive: Path) -> None:
    python = Path(sys.prefix) / "runtimes/onnxruntime/bin/python"
    assert "install" in failed(archive, "--runtime", "tflite_runtime", "--port", "0", python=python)


@pytest.mark.parametrize("damage", ["missing", "empty", "folder", "no card"])
def test_an_unreadable_bundle_is_one_sentence(bundle: Path, damage: str) -> None:
    if damage == "missing":
        shutil.rmtree(bundle)
    elif damage == "empty":
        shutil.rmtree(bundle)
        bundle.write_bytes(b"")
    elif damage == "folder":
        (bundle / "model_card.json").unlink()
        (bundle / "model_card.json").mkdir()
    else:
        (bundle / "model_card.json").write_text("[]")
    failed(bundle, "--format", FORMAT, "--port", "0")


def test_a_token_file_that_cannot_be_used_is_one_sentence(archive: Path, tmp_path: Path) -> None:
    assert "is not readable" in failed(archive, "--token-file", tmp_path / "none", "--port", "0")
    (tmp_path / "empty").write_text("\n")
    assert "is empty" in failed(archive, "--token-file", tmp_path / "empty", "--port", "0")
    for name, token in (
        ("two lines", "one\ntwo"),
        ("terminal", "\x1b[31m"),
        ("nul", "a\0b"),
        ("long", "a" * 100_000),
    ):
        (tmp_path / name).write_text(token)
        assert "holds a token that no header can carry" in failed(
            archive, "--token-file", tmp_path / name, "--port", "0"
        )


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "-1", "soon"])
def test_a_time_is_a_number_of_seconds(
    archive: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    for option in ("--drain", "--timeout"):
        with pytest.raises(SystemExit):
            main(["serve", str(archive / "none"), f"{option}={text}"])
        assert f"argument {option}: " in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["serve", str(archive / "none"), "--timeout", "0"])


def test_an_unknown_host_is_one_sentence(archive: Path) -> None:
    assert "cannot listen on" in failed(archive, "--host", "no such host", "--port", "0")


def test_the_server_listens_on_the_loopback_alone(archive: Path) -> None:
    with Server(archive, "--format", FORMAT) as running:
        connections = psutil.Process(running.process.pid).net_connections("inet")
        (listening,) = [entry for entry in connections if entry.status == psutil.CONN_LISTEN]
        assert (listening.laddr.ip, listening.laddr.port) == ("127.0.0.1", running.port)
