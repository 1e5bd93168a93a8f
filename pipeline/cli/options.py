"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "-S",
        metavar="KEY=VALUE",
        help="Override a value of params.yaml, e.g. train.epochs=3. Repeatable.",
        show_default=False,
    ),
]
Workers = Annotated[
    int, typer.Option(metavar="N", help="How many trainings run in parallel on this machine.")
]
Quick = Annotated[
    bool, typer.Option("--quick", help="1,000 examples and 1 epoch, to see that it works.")
]
