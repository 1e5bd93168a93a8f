"""MLflow's store in the user's checkout, which goes with the project wherever that is moved or copied.

MLflow writes the absolute path of every artifact into its database and knows no relative one, so that a copied project would
read, and write, in the folder that it was copied from.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

DATABASE, ARTIFACTS = "mlflow.db", "mlruns"
COLUMNS = {  # those that MLflow 3 keeps such paths in
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}


def address(home: Path) -> str:
    """The database in the checkout `home`, as MLflow names it."""
    return f"sqlite:///{home / DATABASE}"


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
