"""Options of the commands that train: with what, where, and by what models are compared."""

from __future__ import annotations

from typing import Annotated, Literal

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
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        envvar="EDGEPROOF_CLUSTER",
        help="Train on the workers of this Dask scheduler, e.g. tcp://127.0.0.1:8786.",
        show_default=False,
    ),
]
Quick = Annotated[
    bool, typer.Option("--quick", help="At most 1,000 examples and 1 epoch, to see that it works.")
]
ByMetric = Annotated[
    Literal["accuracy", "balanced_accuracy", "macro_f1"] | None,
    typer.Option(
        help="The metric by which networks are compared.",
        show_default="problem.metric in params.yaml",
    ),
]
