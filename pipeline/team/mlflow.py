"""MLflow, which asks for a password, keeps runs in PostgreSQL, and files on S3."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import requests

from pipeline.process.errors import UserError
from pipeline.team import postgresql, seaweedfs
from pipeline.team.server import HOST, Server
from pipeline.team.settings import Settings, write_secret

USER = "team"  # MLflow's administrator
DRIVER = "postgresql+psycopg"


def server(folder: Path, settings: Settings) -> Server:
    """The server; PostgreSQL and S3 must be running. Raises UserError if a package is missing."""
    if importlib.util.find_spec("flask_wtf") is None:
        raise UserError("MLflow's authentication is not installed; run `uv sync --extra team`")
    port = settings.ports.mlflow
    command = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth"]
    command += ["--host", HOST, "--port", str(port), "--workers", "2"]
    command += ["--backend-store-uri", postgresql.address(settings, "mlflow", DRIVER)]
    command += ["--artifacts-destination", "s3://mlflow/runs"]
    return Server(
        "MLflow",
        address(settings),
        command,
        lambda: _answers(settings),
        folder / "mlflow.log",
        environment=_environment(folder, settings),
    )


def address(settings: Settings) -> str:
    return f"http://{HOST}:{settings.ports.mlflow}"


def variables(settings: Settings) -> dict[str, str]:
    """The environment of clients of MLflow."""
    return {
        "MLFLOW_TRACKING_URI": address(settings),
        "MLFLOW_TRACKING_USERNAME": USER,
        "MLFLOW_TRACKING_PASSWORD": settings.secrets.mlflow,
    }


def _environment(folder: Path, settings: Settings) -> dict[str, str]:
    users = (folder / "mlflow.ini").absolute()
    facts = {
        "default_permission": "EDIT",  # everyone with an account may add to the team's runs
        "database_uri": postgresql.address(settings, "users", DRIVER),
        "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth",
        # Ten requests on two busy cores took 1.6 s, and 7.2 s if each hashed the password again.
        "auth_cache_ttl_seconds": "60",
    }
    lines = [f"{name} = {value}\n" for name, value in facts.items()]
    write_secret(users, "".join(["[mlflow]\n", *lines]))
    return {
        **seaweedfs.variables(settings),
        "MLFLOW_S3_ENDPOINT_URL": seaweedfs.address(settings),
        "MLFLOW_AUTH_CONFIG_PATH": str(users),
        "MLFLOW_AUTH_ADMIN_USERNAME": USER,
        "MLFLOW_AUTH_ADMIN_PASSWORD": settings.secrets.mlflow,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": settings.secrets.session,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # a process more, for generative AI
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PGPASSWORD": settings.secrets.postgresql,
    }


def _answers(settings: Settings) -> bool:
    """Whether it lets the team in."""
    url = f"{address(settings)}/api/2.0/mlflow/experiments/search?max_results=1"
    try:
        response = requests.get(url, auth=(USER, settings.secrets.mlflow), timeout=10)
    except requests.RequestException:
        return False
    return response.status_code == 200
