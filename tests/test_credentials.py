"""Nobody sees a password in the address of a store: not in warnings, MLflow's output or runs."""

from __future__ import annotations

import base64
import json
import os
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import ClassVar

import pytest

from pipeline.process.errors import UserError
from pipeline.search import optuna_storage
from pipeline.tracking import credentials, runs
from tests import web
from tests.conftest import ROOT

PASSWORD = "hunter2-Tr0ub4dor"
PATIENCE = 60  # seconds on a busy machine; MLflow itself would try a database for 102
ADDRESSES = [
    f"http://me:{PASSWORD}@127.0.0.1:1",
    f"https://me:{PASSWORD}@127.0.0.1:1/below/a/path",
    f"http://me:{PASSWORD}@127.0.0.1:port",
    f"http://{PASSWORD}@127.0.0.1:1",
    f"http://me:first@{PASSWORD}/third@127.0.0.1:1",
    f"http://me:[{PASSWORD}@127.0.0.1:1",
    f"http:/me:{PASSWORD}@127.0.0.1:1",
    f"me:{PASSWORD}@127.0.0.1:1",
    f"htp://me:{PASSWORD}@127.0.0.1",
    f"postgresql://me:{PASSWORD}@127.0.0.1:1/mlflow",
    f"postgresql+nothing://me:{PASSWORD}@127.0.0.1:1/mlflow",
    f"postgresql//me:{PASSWORD}@127.0.0.1/mlflow",
    f"postgresql://127.0.0.1:1/mlflow?user=me&password={PASSWORD}",
    f"mysql+pymysql://me:{PASSWORD}@127.0.0.1:1/mlflow",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_store_that_cannot_be_used_is_reported_without_its_password(
    address: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    forget_credentials(monkeypatch)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.chdir(ROOT)
    started = time.monotonic()
    assert runs.log_search("search", Path("params.yaml"), {}) is None
    assert time.monotonic() - started < PATIENCE
    output = capfd.readouterr()
    assert output.err.startswith("warning: MLflow at ")
    assert "nothing is lost" in output.err
    assert PASSWORD not in output.out + output.err
    assert not any(
        PASSWORD in value
        for name, value in os.environ.items()
        if name.endswith("_URI") and value != address
    )


def forget_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clears MLflow's variables and restores them after the test."""
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")


@pytest.mark.parametrize("spelled", ["p%40ss%2Fword%21", "p@ss/word!"])
def test_a_password_is_masked_in_any_spelling_and_in_parts(
    spelled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_credentials(monkeypatch)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:{spelled}@host")
    text = credentials.masked(
        "cannot read p@ss/word! or p%40ss%2Fword%21 at /word!; http://me:p@ss/word!@host, http://host/a"
    )
    assert text == "cannot read *** or *** at /***; http://me:***@host, http://host/a"


def test_text_without_a_password_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_credentials(monkeypatch)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for text in (
        "sqlite:////home/me@work:1/mlflow.db",
        "postgresql://tester@/postgres?host=/tmp/socket",
    ):
        assert credentials.masked(text, text) == text
    sentence = "http://127.0.0.1:5000/api/2.0/mlflow and me@example.org"
    assert credentials.masked(sentence) == sentence


class PasswordRequired(web.Quiet, BaseHTTPRequestHandler):
    """A server that records the password and has no experiments."""

    received: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.received.append(self.headers.get("Authorization", ""))
        body = json.dumps(
            {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such experiment"}
        ).encode()
        self.send_response(404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815


def test_user_and_password_reach_the_server_although_its_address_has_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "another")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.chdir(ROOT)
    with web.served(PasswordRequired) as address:
        host = address.removeprefix("http://")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:p%40ss{PASSWORD}@{host}")
        assert runs.log_search("search", Path("params.yaml"), {}) is None
    assert set(PasswordRequired.received) == {
        f"Basic {base64.b64encode(f'me:p@ss{PASSWORD}'.encode()).decode()}"
    }
    assert PASSWORD not in capsys.readouterr().err
    assert PASSWORD not in os.environ["MLFLOW_TRACKING_URI"]


@pytest.mark.parametrize(
    "storage",
    [
        f"mysql://me:{PASSWORD}@127.0.0.1/x",
        f"postgresql//me:{PASSWORD}@127.0.0.1/x",
        f"postgresql://me:{PASSWORD}@127.0.0.1:port/x",
        f"postgresql://me:{PASSWORD}@127.0.0.1",
        f"postgresql://me:{PASSWORD}@127.0.0.1:1/x",
        f"postgresql://127.0.0.1:1/x?user=me&password={PASSWORD}",
        f"postgresql://me@127.0.0.1:1/x?nothing={PASSWORD}&sslpassword={PASSWORD}",
    ],
)
def test_the_storage_of_a_search_is_reported_without_its_password(storage: str) -> None:
    with (
        pytest.raises(UserError) as refusal,
        optuna_storage.locked(optuna_storage.address(storage)),
    ):
        pass
    assert "storage " in str(refusal.value)
    assert PASSWORD not in str(refusal.value)
