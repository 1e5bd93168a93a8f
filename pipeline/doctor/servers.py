"""The servers that a team shares for its runs: MLflow, and the remotes of DVC."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from importlib import metadata
from urllib.parse import urlsplit

from pipeline.doctor import Check, Finding, clock
from pipeline.doctor.web import answer, seconds_ahead
from pipeline.process import dvc_command
from pipeline.process.errors import UserError
from pipeline.tracking import store
from pipeline.tracking.credentials import masked, moved_to_environment

EXTRAS = ("s3", "ssh")  # of pyproject.toml, with DVC's packages for such remotes


def checks() -> Iterator[Check]:
    """Those that the environment and DVC's configuration name."""
    yield Check("MLflow", mlflow)
    try:
        for name, facts in remotes().items():
            look = partial(remote, name, facts["url"], facts.get("endpointurl"))
            yield Check(f"DVC remote {name}", look)
    except UserError as error:
        yield Check("DVC", partial(Finding, "DVC", str(error), "fault"))


def mlflow() -> Finding:
    """Whether runs can be logged, and the version of the server."""
    subject, address = "MLflow", store.address()
    if urlsplit(address).scheme not in ("http", "https"):
        return Finding(subject, f"{masked(address)}, no server")
    url = moved_to_environment(address).rstrip("/")
    user = os.environ.get("MLFLOW_TRACKING_USERNAME", "")
    auth = (user, os.environ.get("MLFLOW_TRACKING_PASSWORD", "")) if user else None
    version = answer("MLFLOW_TRACKING_URI", f"{url}/version", auth)
    listed = answer(
        "MLFLOW_TRACKING_URI", f"{url}/api/2.0/mlflow/experiments/search?max_results=1", auth
    )
    if listed.status_code in (401, 403):
        raise UserError(
            f"{url} refuses {user or 'requests without a name'} (status {listed.status_code}); set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
    if version.status_code != 200 or listed.status_code != 200:
        status = max(version.status_code, listed.status_code)
        raise UserError(
            f"{url} is not an MLflow server (it answers with status {status}); "
            "correct MLFLOW_TRACKING_URI"
        )
    here, there = metadata.version("mlflow"), version.text.strip()
    same = there.split(".")[0] == here.split(".")[0]
    fact = f"{url} has version {there}, and here is {here}{clock(seconds_ahead(listed))}"
    return Finding(subject, fact, "ok" if same else "note")


def remotes() -> dict[str, dict[str, str]]:
    """What is configured of DVC's remotes, by name."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            return dict(repo.config["remote"])
    except DvcException as error:
        dvc_command.refuse(error)
        raise UserError(f"DVC cannot be used here: {error}") from None


def remote(name: str, address: str, endpoint: str | None = None) -> Finding:
    """Whether a remote can be looked into. Raises UserError.

    `endpoint` is a server of S3, which refuses requests whose time is 15 minutes off.
    """
    from dvc.repo import Repo

    subject, shown, program, skew = f"DVC remote {name}", masked(address), "", ""
    if endpoint:
        with suppress(UserError):  # DVC may reach it all the same, by its own certificates
            hello = answer("endpointurl", endpoint)
            program = f" on {masked(endpoint)} ({hello.headers.get('Server', 'unknown version')})"
            skew = clock(seconds_ahead(hello))
    if address.startswith(("http://", "https://")):  # which counts as empty if unreachable
        status = answer("its url in .dvc/config", address).status_code
        return Finding(subject, f"{shown} answers with status {status}")
    try:
        with Repo() as repo:
            files = repo.cloud.get_remote_odb(name)
            there = files.fs.exists(files.path)
    except Exception as error:  # of any storage's library
        reason = masked(" ".join(str(error).split()), address)[:200] or type(error).__name__
        scheme = urlsplit(address).scheme
        cure = f"; run `uv sync --extra {scheme}`" if scheme in EXTRAS else ""
        raise UserError(
            f"{shown} cannot be used: {reason}{cure if 'requires' in reason else ''}{skew}"
        ) from None
    if not there:
        fact = f"{shown} is reachable{program} and empty; `dvc push` fills it{skew}"
        return Finding(subject, fact, "note")
    return Finding(subject, f"{shown} is reachable{program}{skew}")
