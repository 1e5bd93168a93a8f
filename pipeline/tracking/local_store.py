"""MLflow's store in the user's checkout, which keeps working when the project is moved or copied.

MLflow stores the absolute path of every artifact in its database. MLflow 3.17 makes a relative
location absolute when it creates an experiment, takes `mlflow-artifacts:` from clients of a server
alone, and has no call that moves what is logged: `mlflow db move-resources` leaves the paths of
runs and models alone. So without this module a copied project would read and write in the
original's folder.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import quote

DATABASE, ARTIFACTS = "mlflow.db", "mlruns"
# The columns, by table, in which MLflow 3 stores absolute paths.
COLUMNS = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}


def address(home: Path) -> str:
    """The URI of the database in the checkout `home`.

    A path with % or ? must be quoted, as SQLAlchemy unquotes it. MLflow does not unquote it and
    would also create a folder with the quoted name, unless the URI names the driver.
    """
    path = str(home / DATABASE)
    if "%" in path or "?" in path:
        return f"sqlite+pysqlite:///{quote(path)}"
    return f"sqlite:///{path}"


def artifacts(home: Path) -> str:
    """The URI of the artifact folder in the checkout `home`."""
    return (home / ARTIFACTS).as_uri()


def relocate_artifacts(home: Path, experiment: str) -> None:
    """Updates the artifact paths in the database of `home` if `experiment` was logged elsewhere."""
    if not (home / DATABASE).exists():
        return
    here = artifacts(home)
    with closing(sqlite3.connect(home / DATABASE)) as connection, connection:
        if not connection.execute(
            "SELECT 1 FROM sqlite_master WHERE name = 'experiments'"
        ).fetchone():
            return
        row = connection.execute(
            "SELECT artifact_location FROM experiments WHERE name = ?", (experiment,)
        ).fetchone()
        if row is None or row[0] == here:
            return
        old = row[0]
        for table, column in COLUMNS.items():
            replace_prefix = (
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                f"WHERE {column} = ? OR substr({column}, 1, ?) = ?"
            )
            values = (here, len(old) + 1, old, len(old) + 1, f"{old}/")
            connection.execute(replace_prefix, values)


@contextmanager
def migrations() -> Iterator[None]:
    """Lets MLflow find its migrations when the path of its package contains a %.

    Alembic's configuration parses % as syntax.
    """
    import mlflow

    folder = Path(mlflow.__file__).parent / "store" / "db_migrations"
    if "%" not in str(folder):
        yield
        return
    from mlflow.store.db import utils

    original = utils._get_alembic_config
    with linked_folder(folder) as link:
        utils._get_alembic_config = partial(original, alembic_dir=str(link))
        try:
            yield
        finally:
            utils._get_alembic_config = original


@contextmanager
def linked_folder(folder: Path) -> Iterator[Path]:
    """A symbolic link to `folder` in a temporary folder."""
    with tempfile.TemporaryDirectory() as name:
        link = Path(name) / folder.name
        link.symlink_to(folder)
        yield link
