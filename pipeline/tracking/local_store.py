"""MLflow's store in the user's checkout, which goes with the project wherever that is moved or copied.

MLflow writes the absolute path of every artifact into its database and knows no relative one, so that a copied project would
read, and write, in the folder that it was copied from.
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
COLUMNS = {  # those that MLflow 3 keeps such paths in
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}


def address(home: Path) -> str:
    """The database in the checkout `home`, as MLflow names it.

    SQLAlchemy unquotes the path, in which % and ? would else be syntax. MLflow does not, and would make the folder of the quoted
    path as well; it leaves that where the address names its driver.
    """
    path = str(home / DATABASE)
    return (
        f"sqlite+pysqlite:///{quote(path)}" if "%" in path or "?" in path else f"sqlite:///{path}"
    )


def artifacts(home: Path) -> str:
    """The folder of the artifacts in the checkout `home`, as MLflow names it."""
    return (home / ARTIFACTS).as_uri()


def follow(home: Path, experiment: str) -> None:
    """Lets the artifacts of the database in `home` lie in `home`, where its `experiment` says that they lie elsewhere."""
    if not (home / DATABASE).exists():
        return
    here = artifacts(home)
    with closing(sqlite3.connect(home / DATABASE)) as connection, connection:
        if not connection.execute(
            "SELECT 1 FROM sqlite_master WHERE name = 'experiments'"
        ).fetchone():
            return
        found = connection.execute(
            "SELECT artifact_location FROM experiments WHERE name = ?", (experiment,)
        ).fetchone()
        if found is None or found[0] == here:
            return
        for table, column in COLUMNS.items():
            moved = f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE {column} = ? OR substr({column}, 1, ?) = ?"
            old = found[0]
            connection.execute(moved, (here, len(old) + 1, old, len(old) + 1, f"{old}/"))


@contextmanager
def migrations() -> Iterator[None]:
    """Has MLflow find its migrations where a % stands in the path of its package, which Alembic's configuration takes for syntax."""
    import mlflow

    folder = Path(mlflow.__file__).parent / "store" / "db_migrations"
    if "%" not in str(folder):
        yield
        return
    from mlflow.store.db import utils

    given = utils._get_alembic_config
    with linked(folder) as link:
        utils._get_alembic_config = partial(given, alembic_dir=str(link))
        try:
            yield
        finally:
            utils._get_alembic_config = given


@contextmanager
def linked(folder: Path) -> Iterator[Path]:
    """A link to `folder` among the temporary files."""
    with tempfile.TemporaryDirectory() as name:
        link = Path(name) / folder.name
        link.symlink_to(folder)
        yield link
