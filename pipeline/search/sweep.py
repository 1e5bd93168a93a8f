"""Which values are best? A search over any parameters of a training: grid, random, or TPE with hopeless trials pruned.

    python -m pipeline.search.sweep train.epochs=1,5,10 train.network.hidden=[32],[64],[256] --sampler grid
    python -m pipeline.search.sweep 'train.learning_rate=0.0001..0.1 log' train.batch_size=32,128,512 --trials 30

Give the same command in another shell, or on another machine with the same data and `--storage postgresql://...`, and it
helps; each may end whenever it likes. After Ctrl-C or a crash the same command goes on. More --trials go further.
"""

from __future__ import annotations

import argparse
import math
from urllib.parse import quote

import optuna
from optuna.trial import FrozenTrial, TrialState

from pipeline.config.overrides import Choices, Range, space
from pipeline.files import artifacts
from pipeline.process import stage
from pipeline.process.errors import UserError
from pipeline.search import analysis, cached_training, optuna_storage, workers
from pipeline.search.analysis import Question
from pipeline.search.mlflow_runs import Story
from pipeline.search.optuna_storage import Search
from pipeline.search.optuna_worker import Slot
from pipeline.search.sweep_report import answer, cells, draw, outcome, ranked, result_of, short


def checked(arguments: argparse.Namespace, asked: Question) -> list[Choices | Range]:
    """The parameters to search, each value of which is allowed. Raises UserError."""
    found = space(arguments.space)
    ranges = [one.key for one in found if isinstance(one, Range)]
    if arguments.sampler == "grid" and ranges:
        raise UserError(
            f"a grid needs values, and {ranges[0]} has a range; allowed is {ranges[0]}=value,value"
        )
    for one in found:
        for value in one.values if isinstance(one, Choices) else (one.low, one.high):
            analysis.changed(asked.chosen, {one.key: value})
    return found


def begun(arguments: argparse.Namespace) -> tuple[Question, Search, optuna.Study]:
    """The search, in its storage. Raises UserError."""
    pruner = arguments.prune or ("none" if arguments.sampler == "grid" else "median")
    facts = {"space": arguments.space, "sampler": arguments.sampler, "pruner": pruner}
    asked = Question("sweep", arguments, **facts)
    found = checked(arguments, asked)
    trials = (
        math.prod(len(one.values) for one in found if isinstance(one, Choices))
        if arguments.sampler == "grid"
        else arguments.trials
    )
    if trials < 1 or arguments.heartbeat < 1:
        raise UserError(
            f"--trials {trials} --heartbeat {arguments.heartbeat}; allowed is 1 or more of each"
        )
    if arguments.workers > trials:
        raise UserError(
            f"--workers {arguments.workers} are more than there are trials; allowed is 1 to {trials}"
        )
    asked.title = arguments.name or asked.title
    cached_training.rows_of(asked.chosen)  # the data are there
    default = f"sqlite:///{quote(str(stage.home() / artifacts.STATE / 'studies.db'))}"
    storage = optuna_storage.address(arguments.storage or default)
    alone = arguments.workers == 1 and arguments.storage is None
    search = Search(
        asked.title,
        storage,
        found,
        arguments.sampler,
        pruner,
        asked.chosen,
        trials,
        arguments.heartbeat,
        alone,
    )
    start = asked.chosen.model_dump(mode="json", include=set(analysis.ASKED))
    return (
        asked,
        search,
        optuna_storage.begin(
            search, {**facts, "start": start, "data": list(cached_training.digests())}
        ),
    )


def run(asked: Question, search: Search, found: optuna.Study) -> list[FrozenTrial]:
    """Makes what is open, beside all others who do; each trial is a child in MLflow. The trials, best first."""
    states = [one.state for one in found.get_trials(deepcopy=False)]
    running = states.count(TrialState.RUNNING)
    left = states.count(TrialState.WAITING) + running
    print(
        f"{search.title}: {search.trials - left} of {search.trials} trials have been made before",
        flush=True,
    )
    if running:
        given_up = optuna_storage.BEATS * search.seconds
        print(
            f"{running} are in the hands of other workers, of which one that has ended is given up after {given_up} s",
            flush=True,
        )
    story = Story(asked.title)
    cost = asked.chosen.train.epochs * len(cached_training.rows_of(asked.chosen)[0])
    slots = [Slot("trial", search, cost) for _ in range(left)]
    for _, number in workers.results(
        slots, min(asked.workers, max(left, 1)), lambda _, number: line(found, number)
    ):
        if number is not None:
            tell(story, found.get_trials(deepcopy=False)[number])
    done = ranked(found)
    with optuna_storage.one_at_a_time(
        search.storage
    ):  # of the commands that end together one logs what is missing
        for one in done:
            tell(story, one)
    return done


def line(found: optuna.Study, number: int | None) -> str:
    if number is None:
        return "another worker has made the rest"
    one = found.get_trials(deepcopy=False)[number]
    values = ", ".join(f"{key.split('.')[-1]}={short(value)}" for key, value in one.params.items())
    return f"trial {number}: {values}: {outcome(one)}"


def tell(story: Story, one: FrozenTrial) -> None:
    if "result" in one.user_attrs:
        story.child(
            f"trial {one.number}",
            one.params,
            result_of(one),
            "KILLED" if one.state == TrialState.PRUNED else "FINISHED",
        )


def parser() -> argparse.ArgumentParser:
    found = analysis.parser("sweep", "A search over parameters of params.yaml.")
    found.add_argument(
        "space",
        nargs="+",
        metavar="KEY=VALUES",
        help="0.001,0.01 or [64],[128,64] or '0.0001..0.1 log'",
    )
    found.add_argument("--sampler", choices=("grid", "random", "tpe"), default="tpe")
    found.add_argument(
        "--trials",
        type=int,
        default=20,
        metavar="N",
        help="how many in all; a grid has its own number",
    )
    found.add_argument(
        "--prune",
        choices=("median", "hyperband", "none"),
        help="ends hopeless trials; a grid by default none",
    )
    found.add_argument(
        "--storage",
        metavar="URL",
        help="sqlite:///FILE, or postgresql://... that other machines reach too",
    )
    found.add_argument("--name", help="of the study; by default it follows from what is asked")
    found.add_argument(
        "--heartbeat",
        type=int,
        default=20,
        metavar="SECONDS",
        help="a worker silent for three of them is given up",
    )
    return found


def main() -> None:
    asked, search, found = begun(parser().parse_args())
    done = run(asked, search, found)
    size = (4.5 * (len(search.space) + (cells(search.space, []) is not None)), 4.5)
    asked.answer(answer(asked, search, done), lambda figure: draw(figure, search.space, done), size)


if __name__ == "__main__":
    stage.run(main)
