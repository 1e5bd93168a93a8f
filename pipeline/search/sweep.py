"""Which values are best? A search over any parameters of a training: grid, random, or TPE with hopeless trials pruned.

    edgeproof sweep train.epochs=1,5,10 train.network.hidden=[32],[64],[256] --sampler grid
    edgeproof sweep 'train.learning_rate=0.0001..0.1 log' train.batch_size=32,128,512 --trials 30

Give the same command in another shell, or on another machine with the same data and `--storage postgresql://...`, and it
helps; each may end whenever it likes. After Ctrl-C or a crash the same command goes on. More --trials go further.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import optuna
from optuna.trial import FrozenTrial, TrialState

from pipeline.config.overrides import Choices, Range, space
from pipeline.files import artifacts
from pipeline.process import stage
from pipeline.process.errors import UserError
from pipeline.search import analysis, cached_training, optuna_storage, workers
from pipeline.search.analysis import Options, Question
from pipeline.search.mlflow_runs import Story
from pipeline.search.optuna_storage import Search
from pipeline.search.optuna_worker import Slot
from pipeline.search.sweep_report import answer, cells, draw, outcome, ranked, result_of, short


@dataclass(frozen=True)
class Settings:
    """What a sweep takes from the command line, beside what every analysis takes."""

    space: Sequence[str]
    sampler: str = "tpe"  # grid, random or tpe
    trials: int = 20
    prune: str | None = None  # median, hyperband or none
    storage: str | None = None
    name: str | None = None
    heartbeat: int = 20  # seconds


def checked(settings: Settings, asked: Question) -> list[Choices | Range]:
    """The parameters to search, each value of which is allowed. Raises UserError."""
    found = space(settings.space)
    ranges = [one.key for one in found if isinstance(one, Range)]
    if settings.sampler == "grid" and ranges:
        raise UserError(
            f"a grid needs values, and {ranges[0]} has a range; allowed is {ranges[0]}=value,value"
        )
    for one in found:
        for value in one.values if isinstance(one, Choices) else (one.low, one.high):
            analysis.changed(asked.chosen, {one.key: value})
    return found


def begun(settings: Settings, options: Options) -> tuple[Question, Search, optuna.Study]:
    """The search, in its storage. Raises UserError."""
    pruner = settings.prune or ("none" if settings.sampler == "grid" else "median")
    facts = {"space": list(settings.space), "sampler": settings.sampler, "pruner": pruner}
    asked = Question("sweep", options, **facts)
    found = checked(settings, asked)
    trials = (
        math.prod(len(one.values) for one in found if isinstance(one, Choices))
        if settings.sampler == "grid"
        else settings.trials
    )
    if trials < 1 or settings.heartbeat < 1:
        raise UserError(
            f"--trials {trials} --heartbeat {settings.heartbeat}; allowed is 1 or more of each"
        )
    if options.workers > trials:
        raise UserError(
            f"--workers {options.workers} are more than there are trials; allowed is 1 to {trials}"
        )
    asked.title = settings.name or asked.title
    cached_training.rows_of(asked.chosen)  # the data are there
    default = f"sqlite:///{quote(str(stage.home() / artifacts.STATE / 'studies.db'))}"
    storage = optuna_storage.address(settings.storage or default)
    alone = options.workers == 1 and settings.storage is None
    search = Search(
        asked.title,
        storage,
        found,
        settings.sampler,
        pruner,
        asked.chosen,
        trials,
        settings.heartbeat,
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


def sweep(settings: Settings, options: Options) -> None:
    """Raises UserError."""
    asked, search, found = begun(settings, options)
    done = run(asked, search, found)
    size = (4.5 * (len(search.space) + (cells(search.space, []) is not None)), 4.5)
    asked.answer(answer(asked, search, done), lambda figure: draw(figure, search.space, done), size)
