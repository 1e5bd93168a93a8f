"""Commands that answer one question each by training several models."""

from __future__ import annotations

import os
from typing import Annotated, Literal

import typer

from pipeline.cli.options import ByMetric, Cluster, Overrides, Quick, Workers
from pipeline.process.errors import UserError

Storage = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Shared trials: sqlite:///FILE, or postgresql://... for several machines.",
    ),
]


Space = Annotated[
    list[str],
    typer.Argument(
        metavar="KEY=VALUES",
        help="What to search: values such as train.batch_size=32,128, or a range such as "
        "'train.learning_rate=0.0001..0.1 log', which is sampled on a logarithmic scale.",
        show_default=False,
    ),
]
Sampler = Annotated[Literal["grid", "random", "tpe"], typer.Option(help="How trials are chosen.")]
Trials = Annotated[
    int,
    typer.Option(
        metavar="N",
        help="The number of trials; ignored with a grid, which tries every combination.",
    ),
]
Prune = Annotated[
    Literal["median", "hyperband", "none"] | None,
    typer.Option(
        help="The rule that stops hopeless trials early.",
        show_default="median; none for a grid",
    ),
]
Name = Annotated[
    str | None,
    typer.Option(help="The name of the study.", show_default="derived from the settings"),
]
Heartbeat = Annotated[
    int,
    typer.Option(metavar="SECONDS", help="A worker that misses three heartbeats counts as lost."),
]


def sweep(
    space: Space,
    sampler: Sampler = "tpe",
    trials: Trials = 20,
    prune: Prune = None,
    storage: Storage = None,
    name: Name = None,
    heartbeat: Heartbeat = 20,
    overrides: Overrides = None,
    workers: Workers = 1,
    quick: Quick = False,
    cluster: Cluster = None,
) -> None:
    """Search for the best values: a grid, random search, or TPE."""
    from pipeline.search import sweep as sweeps
    from pipeline.search.analysis import AnalysisOptions

    sweeps.search(
        sweeps.SweepSettings(space, sampler, trials, prune, storage, name, heartbeat),
        AnalysisOptions(overrides or (), workers, quick, cluster),
    )


Size = Annotated[
    int,
    typer.Option(
        "--bytes",
        metavar="N",
        help="The largest size of the file, in bytes.",
        show_default=False,
    ),
]
Arena = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="The largest arena for TensorFlow Lite Micro, in bytes.",
        show_default=False,
    ),
]
Board = Annotated[
    str | None,
    typer.Option(help="The board that the model must fit, as in embed.board.", show_default=False),
]
Networks = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="How many networks to train.", show_default="40; 4 with --quick"
    ),
]


def shrink(
    size: Size,
    arena: Arena = None,
    board: Board = None,
    metric: ByMetric = None,
    trials: Networks = None,
    storage: Storage = None,
    overrides: Overrides = None,
    workers: Workers = 1,
    quick: Quick = False,
    cluster: Cluster = None,
) -> None:
    """Search small networks: the best accuracy, or other metric, within a device's memory."""
    from pipeline.search import shrink as shrinking
    from pipeline.search.analysis import AnalysisOptions
    from pipeline.search.shrink_space import Budget

    shrinking.search(
        shrinking.ShrinkSettings(Budget(size, arena, board), trials, storage),
        AnalysisOptions(overrides or (), workers, quick, cluster, metric),
    )


def folds(
    folds: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            help="The number of folds.",
            show_default="5, or 3 of few groups; with --by group, one for each group",
        ),
    ] = None,
    by: Annotated[
        Literal["group"] | None,
        typer.Option(
            help="Hold out whole groups of preprocess.group: train on three cameras, test on the "
            "fourth, and so on in turn.",
            show_default=False,
        ),
    ] = None,
    overrides: Overrides = None,
    workers: Workers = 1,
    quick: Quick = False,
    cluster: Cluster = None,
) -> None:
    """Cross-validate: how good is this recipe, and how much of that is due to a lucky split?"""
    from pipeline.search import folds as validation
    from pipeline.search import group_folds
    from pipeline.search.analysis import AnalysisOptions

    options = AnalysisOptions(overrides or (), workers, quick, cluster)
    if by is None:
        validation.cross_validate(folds, options)
    else:
        group_folds.cross_validate(folds, options)


def labels(
    folds: Annotated[int, typer.Option(metavar="K", help="The number of folds.")] = 5,
    most: Annotated[
        int, typer.Option(metavar="N", help="How many suspects the page shows at most.")
    ] = 500,
    overrides: Overrides = None,
    workers: Workers = 1,
    quick: Quick = False,
    cluster: Cluster = None,
) -> None:
    """Find labels that are probably wrong, on a page where you decide on each."""
    from pipeline.search import labels as suspects
    from pipeline.search.analysis import AnalysisOptions

    suspects.find(folds, most, AnalysisOptions(overrides or (), workers, quick, cluster))


def data_size(
    sizes: Annotated[
        int, typer.Option(metavar="N", help="How many sizes, each twice the one before.")
    ] = 5,
    parts: Annotated[int, typer.Option(metavar="N", help="Trainings per size.")] = 3,
    overrides: Overrides = None,
    workers: Workers = 1,
    quick: Quick = False,
    cluster: Cluster = None,
) -> None:
    """Forecast whether more data is worth it: validation error against training set size."""
    from pipeline.search import data_size as scaling
    from pipeline.search.analysis import AnalysisOptions

    scaling.measure(sizes, parts, AnalysisOptions(overrides or (), workers, quick, cluster))


def batch_size(
    sizes: Annotated[
        str, typer.Option(metavar="N,N,...", help="The batch sizes to compare.")
    ] = "32,128,512",
    seeds: Annotated[int, typer.Option(metavar="N", help="Trainings per size.")] = 3,
    scale: Annotated[
        Literal["none", "linear", "root"],
        typer.Option(help="How the learning rate grows with the batch size."),
    ] = "none",
    overrides: Overrides = None,
    workers: Workers = 1,
    quick: Quick = False,
    cluster: Cluster = None,
) -> None:
    """Compare batch sizes: accuracy and time per epoch."""
    from pipeline.search import batch_size as batches
    from pipeline.search.analysis import AnalysisOptions

    batches.compare(
        _integers(sizes), seeds, scale, AnalysisOptions(overrides or (), workers, quick, cluster)
    )


def learning_rate(
    lowest: Annotated[float, typer.Option(metavar="RATE", help="The first rate.")] = 1e-5,
    highest: Annotated[float, typer.Option(metavar="RATE", help="The last rate.")] = 1.0,
    steps: Annotated[
        int, typer.Option(metavar="N", help="The number of batches over which the rate rises.")
    ] = 200,
    overrides: Overrides = None,
    workers: Workers = 1,
    quick: Quick = False,
    cluster: Cluster = None,
) -> None:
    """Find the learning rates worth trying: the range test."""
    from pipeline.search import learning_rate as range_test
    from pipeline.search.analysis import AnalysisOptions

    range_test.measure(
        lowest, highest, steps, AnalysisOptions(overrides or (), workers, quick, cluster)
    )


def spread() -> None:
    """Show how activations and gradients spread over the layers before training."""
    from pipeline.diagnosis import spread as layers

    layers.report()


def example_names() -> list[str]:
    """The worked examples, for completion in the shell."""
    from lectures.example import names

    return names()


def lectures(
    examples: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME",
            help="Examples to run, e.g. S12.",
            show_default="all",
            autocompletion=example_names,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="How many trainings run in parallel.",
            show_default="one per core",
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="1 epoch of at most 1,000 examples, to see that it works. Changes no page.",
        ),
    ] = False,
    cluster: Cluster = None,
) -> None:
    """Run the worked examples of the lectures, and set our figures beside the published ones."""
    from lectures import run
    from pipeline.search.engine import Engine

    if workers is None:
        workers = 1 if cluster else os.cpu_count() or 1
    run.run(examples or (), Engine(workers, cluster), quick)


def _integers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise UserError(
            f"--sizes is {text}; expected integers with commas between them, such as 32,128,512"
        ) from None
