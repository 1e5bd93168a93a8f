"""Commands that say what is wrong with a model, and improve it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli import options


def diagnose(
    file: Annotated[Path, typer.Argument(help="A CSV of learning curves.", show_default=False)],
    target: Annotated[
        float | None,
        typer.Option(
            help="The accuracy, or the error, to reach.",
            show_default="problem.target in params.yaml",
        ),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Draw the curves and the verdict.")
    ] = None,
) -> None:
    """Diagnose learning curves of Keras, Lightning, Ultralytics, Hugging Face or this pipeline."""
    from pipeline.diagnose import diagnose_file

    diagnose_file(file, target, picture)


def explain_quantization(
    images: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="How many validation images answer with each layer in float in turn; 0: none.",
        ),
    ] = 500,
) -> None:
    """Say which layers lose most in the int8 file, and what may cure it.

    It compares the exported files on validation images, and trains nothing.
    """
    from pipeline.search import explain_quantization as explanation

    explanation.explain(images)


def advise() -> None:
    """Say what to change after the last run, as commands to paste, the most promising first."""
    from pipeline.search import advise as advice

    advice.print_advice()


def improve(
    budget: Annotated[int, typer.Option(metavar="N", help="The largest number of trainings.")] = 12,
    overrides: options.Overrides = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="At most 2,000 examples and 2 epochs, whatever the advice, to see that it works.",
        ),
    ] = False,
    cluster: options.Cluster = None,
) -> None:
    """Diagnose, change one thing, train and compare, until validation reaches the target.

    It never reads the test set. A cluster tries several changes side by side, each against the
    best so far, and the one that improves most is kept.
    """
    from pipeline.search import improve as loop

    loop.improve(overrides or (), budget, quick, cluster)
