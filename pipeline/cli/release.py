"""Commands for a model that is released or in use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def sign(
    key: Annotated[
        Path,
        typer.Argument(help="A private key on the curve P-256, in PEM.", show_default=False),
    ],
    certificate: Annotated[
        Path | None, typer.Option(metavar="PEM", help="The certificate of that key.")
    ] = None,
    chain: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PEM",
            help="A certificate between that one and the certificate authority. Repeatable.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Sign the bundle: writes release/ with the archive and its signature."""
    from pipeline.bundle import sign as signing

    signing.sign_bundle(key, certificate, chain or [])


def field(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="LOG_OR_FOLDER",
            help="A log of predictions that `serving` wrote, or pictures in one folder per class.",
            show_default=False,
        ),
    ],
    labels: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="True answers, in columns id,label or file,label."),
    ] = None,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace", help="Let labels of the CSV replace those in the log, which win otherwise."
        ),
    ] = False,
    bundle: Annotated[
        Path, typer.Option(help="The bundle that classifies a folder of pictures.")
    ] = Path("dist"),
) -> None:
    """Compare a deployed model with its test: its score, what is weak, drift, worst cases."""
    from pipeline.field import assess

    assess.assess(source, labels, bundle, replace)


def fleet(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="LINES_OR_FOLDER",
            help="The lines that devices sent, in one file or in a folder of files.",
            show_default=False,
        ),
    ],
    devices: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="All devices, one a line: finds those that are silent."),
    ] = None,
) -> None:
    """Report how a release did on a fleet, from the line that each device sent."""
    from pipeline.field import fleet_table

    fleet_table.show(source, devices)
