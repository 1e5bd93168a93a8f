"""Commands for those who share servers: are they there, and the servers of a small team."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import options

if TYPE_CHECKING:
    from pipeline.doctor import Check


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
    from pipeline.doctor import findings, machine

    faults = 0
    for finding in findings([*machine.checks(), *_servers(storage, cluster)]):
        print(finding, flush=True)
        faults += finding.state == "fault"
    raise typer.Exit(1 if faults else 0)


def team() -> None:
    """Run the servers of a small team on this host until Ctrl-C: PostgreSQL, S3, MLflow, Dask."""
    from pipeline.team import start

    start.team(_servers)


def _servers(storage: str | None, cluster: str | None) -> Iterator[Check]:
    from pipeline.doctor import servers
    from pipeline.search import server_checks

    yield from servers.checks()
    yield from server_checks.checks(storage, cluster)
