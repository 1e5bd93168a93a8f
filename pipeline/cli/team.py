"""The command that starts the servers of a team."""

from __future__ import annotations


def team() -> None:
    """Run the servers of a small team on this host until Ctrl-C: PostgreSQL, S3, MLflow, Dask."""
    from pipeline.team import start

    start.team()
