"""MLflow's store in the user's checkout, which goes with the project wherever that is moved or copied.

MLflow writes the absolute path of every artifact into its database and knows no relative one, so that a copied project would
read, and write, in the folder that it was copied from.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

DATABASE, ARTIFACTS = "mlflow.db", "mlruns"
COLUMNS = {  # those that MLflow 3 keeps such paths in
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}


def address(home: Path) -> str:
    """The database in the checkout `home`, as MLflow names it. SQLAlchemy unquotes the path, in which % and ? would else be syntax."""
    return f"sqlite:///{quote(str(home / DATABASE))}"


def artifacts(home: Path) -> str:
    """The folder of the artifacts in the checkout `home`, as MLflow names it."""
    return (home / ARTIFACTS).as_uri()


def follow(home: Path, experiment: str) -> None:
    """Lets the artifacts of the database in `home` lie in `home`, where its `experiment` says that they lie elsewhere."""
    if not (home / DATABASE).exists():
        return
    here = artifacts(home)
    with closing(sqlite3.connect(home / DATABASE)) as connection, connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'experiments'").fetchone():
            return
        found = connection.execute("SELECT artifact_location FROM experiments WHERE name = ?", (experiment,)).fetchone()
        if found is None or found[0] == here:
            return
        for table, column in COLUMNS.items():
            moved = f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE {column} = ? OR substr({column}, 1, ?) = ?"
            old = found[0]
            connection.execute(moved, (here, len(old) + 1, old, len(old) + 1, f"{old}/"))


def find_migrations() -> None:
    """Has MLflow find its migrations where there is a % in the path of its package, which it hands to Alembic as it is."""
    from mlflow.store.db import utils

    if "%" in utils.__file__:
        utils._get_alembic_config = alembic_config


def alembic_config(db_url: str, alembic_dir: str | None = None) -> Any:
    """What MLflow's function of that name makes, with every % escaped: Alembic's values are those of a configuration file."""
    from alembic.config import Config
    from mlflow.store.db import utils

    folder = alembic_dir or str(Path(utils.__file__).parents[1] / "db_migrations")
    config = Config(f"{folder}/alembic.ini")
    for name, value in {"script_location": folder, "sqlalchemy.url": db_url}.items():
        config.set_main_option(name, value.replace("%", "%%"))
    return config
