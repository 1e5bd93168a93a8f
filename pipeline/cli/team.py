"""Commands for those who share servers: are they there, and the servers of a small team."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.cli import options


def doctor(
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="A storage of `sweep --storage`, such as postgresql://USER@HOST/DATABASE.",
            show_default=False,
        ),
    ] = None,
    cluster: options.Cluster = None,
) -> None:
    """Check that everything a run needs is available, a team's servers too; change nothing."""
    from pipeline.doctor import findings, machine, servers

    faults = 0
    for finding in findings([*machine.checks(), *servers.checks(storage, cluster)]):
        print(finding, flush=True)
        faults += finding.state == "fault"
    raise typer.Exit(1 if faults else 0)


def team() -> None:
    """Run the servers of a small team on this host until Ctrl-C: PostgreSQL, S3, MLflow, Dask."""
    from pipeline.team import start

    start.team()
