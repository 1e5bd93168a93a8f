"""Commands that look at data before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    Path,
    typer.Argument(
        metavar="DATA",
        help="A folder or zip file of pictures or sounds in one folder per class, of "
        "pictures with a CSV of their labels, or of recordings; or an npz of arrays.",
        show_default=False,
    ),
]
Board = Annotated[
    str | None,
    typer.Option(
        help="A microcontroller board that must take the model, such as esp32-s3.",
        show_default=False,
    ),
]
Other = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Pictures that are none of the classes; the folder may be one of DATA.",
        show_default=False,
    ),
]
Number = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help="The column of the CSV that holds the number to predict.",
        show_default=False,
    ),
]
Unit = Annotated[str | None, typer.Option(help="The unit of that number.", show_default=False)]
Rate = Annotated[
    float | None,
    typer.Option(
        metavar="HZ",
        min=1e-6,
        help="Rows a second of recordings that have no column time.",
        show_default=False,
    ),
]
Output = Annotated[Path, typer.Option(metavar="YAML", help="The file to write.")]
Force = Annotated[bool, typer.Option("--force", help="Replace a file that you have changed.")]


def start(
    data: Data,
    board: Board = None,
    other: Other = None,
    number: Number = None,
    unit: Unit = None,
    rate: Rate = None,
    output: Output = Path("params.yaml"),
    force: Force = False,
) -> None:
    """Look at your data, write params.yaml for them, and say what to expect."""
    from pipeline.config.params import NONE
    from pipeline.planning import start as planning
    from pipeline.planning.data import Given

    given = Given(str(other) if other else NONE, number, unit, rate)
    planning.start(data, board, output, force, given)


def estimate() -> None:
    """Say what the run in params.yaml will need: time, memory, sizes and boards."""
    from pipeline.config import params
    from pipeline.planning import start as planning

    planning.estimate(params.load())
