"""PostgreSQL, with a password for everyone."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path

from pipeline.process.errors import UserError
from pipeline.team.server import HOST, Server
from pipeline.team.settings import Settings, write_secret

# MLflow's runs, MLflow's users, and the studies of `sweep` and `shrink`. Each keeps the version of
# its tables in a table of the same name.
DATABASES = ("mlflow", "users", "studies")
USER = "team"
DEBIAN = Path("/usr/lib/postgresql")
ACCOUNT = "postgres"  # of the package, for root, whom PostgreSQL refuses


def server(folder: Path, settings: Settings) -> Server:
    """The server on data in `folder`, which are made if there are none. Raises UserError."""
    if importlib.util.find_spec("psycopg") is None:
        raise UserError("psycopg is not installed; run `uv sync --extra team`")
    data, port = folder / "postgresql", settings.ports.postgresql
    owner = account(folder)
    binaries = programs(data)
    if not data.exists():
        _make(data, binaries, settings.secrets.postgresql, owner)
    options = {"listen_addresses": HOST, "port": port, "unix_socket_directories": ""}
    command: list[str | Path] = [binaries / "postgres", "-D", data.absolute()]
    command += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    return Server(
        "PostgreSQL",
        f"{HOST}:{port}",
        command,
        lambda: _has_databases(settings),
        folder / "postgresql.log",
        user=owner,
        end_by=signal.SIGINT,  # a fast shutdown, which does not wait for clients
    )


def address(settings: Settings, database: str, scheme: str = "postgresql") -> str:
    """A database's address without the password, which libpq takes from PGPASSWORD."""
    return f"{scheme}://{USER}@{HOST}:{settings.ports.postgresql}/{database}"


def account(folder: Path) -> str | None:
    """Who runs PostgreSQL if this process is root's; None if its own user does."""
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(ACCOUNT)
    except KeyError:
        raise UserError(
            f"PostgreSQL refuses to run as root, and there is no user {ACCOUNT} to run it; start "
            "it as another user"
        ) from None
    look = ["test", "-x", str(folder.absolute())]
    if subprocess.run(look, user=ACCOUNT, cwd="/", check=False).returncode:
        raise UserError(
            f"PostgreSQL refuses to run as root, and the user {ACCOUNT} may not enter "
            f"{folder.absolute()}; let it enter each folder on the path, or start as another user"
        )
    return ACCOUNT


def programs(data: Path) -> Path:
    """The folder of `postgres` and `initdb`, of the version that made the data. Raises UserError.

    Without data, the newest of Debian's, or else that of the path.
    """
    version = data / "PG_VERSION"
    made_by = version.read_text(encoding="ascii").strip() if version.exists() else None
    folders = {path.parts[-3]: path.parent for path in DEBIAN.glob("*/bin/postgres")}
    if made_by in folders:
        return folders[made_by]
    if folders and made_by is None:
        return folders[max(folders, key=float)]
    if program := shutil.which("postgres"):
        return Path(program).resolve().parent
    wanted = f"PostgreSQL {made_by}, which made {data}," if made_by else "PostgreSQL's server"
    package = f"postgresql-{made_by}" if made_by else "postgresql"
    raise UserError(f"{wanted} is not installed; on Debian: apt-get install {package}")


def _make(data: Path, binaries: Path, password: str, owner: str | None) -> None:
    new, secret = data.with_name("postgresql.new"), data.with_name("postgresql.password")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    write_secret(secret, password)
    if owner:
        shutil.chown(new, owner)
        shutil.chown(secret, owner)
    command: list[str | Path] = [binaries / "initdb", "--auth=scram-sha-256", f"--username={USER}"]
    command += ["--encoding=UTF8", "--locale=C", f"--pwfile={secret.absolute()}", new.absolute()]
    done = subprocess.run(command, user=owner, cwd=new, capture_output=True, text=True, check=False)
    secret.unlink()
    if done.returncode:
        raise UserError(f"initdb could not make {data}: {' '.join(done.stderr.split())}")
    new.rename(data)


def _has_databases(settings: Settings) -> bool:
    """Whether it answers; makes the databases that are missing."""
    import psycopg
    from psycopg import sql

    uri, password = address(settings, "postgres"), settings.secrets.postgresql
    try:
        with psycopg.connect(uri, password=password, autocommit=True) as connection:
            there = {name for (name,) in connection.execute("select datname from pg_database")}
            for name in set(DATABASES) - there:
                connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    except psycopg.OperationalError:
        return False
    return True
