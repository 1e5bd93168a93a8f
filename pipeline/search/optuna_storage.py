"""The trials of a search in Optuna's storage, from which workers on any machine take them, and come and go.

Every trial that the search owes is a slot, queued before anything is trained. A worker takes a waiting one and shows every
few seconds that it lives. One that has stopped showing it is given up, and its slot is queued again, with the same values.
"""

from __future__ import annotations

import fcntl
import itertools
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import psycopg
import sqlalchemy
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from pipeline.config.overrides import Choices, Range
from pipeline.config.params import Params
from pipeline.process.errors import UserError
from pipeline.tracking.credentials import masked

BEATS = 3  # signs of life that may fail to come before a worker counts as gone
LOCK = 7_205_759  # the number of the lock in PostgreSQL that searches share; any fixed one

optuna.logging.set_verbosity(optuna.logging.CRITICAL)
warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)


@dataclass(frozen=True)
class Search:
    """What is searched, and how; it goes to the workers as it is."""

    title: str
    storage: str
    space: list[Choices | Range]
    sampler: str  # grid, random or tpe
    pruner: str  # median, hyperband or none
    start: Params
    trials: int
    seconds: int  # between two signs of life
    alone: bool  # one worker on a storage of its own: its choices repeat exactly


def address(given: str) -> str:
    """The storage as SQLAlchemy takes it. Raises UserError."""
    try:
        url = sqlalchemy.make_url(given)
    except (sqlalchemy.exc.ArgumentError, ValueError):  # the latter of a port that is not a number
        url = None
    if (
        url is None
        or not url.database
        or url.get_backend_name() not in ("sqlite", "postgresql", "postgres")
    ):
        raise UserError(
            f"--storage {masked(given, given)} is none; allowed are sqlite:///FILE and postgresql://USER:PASSWORD@HOST/DATABASE"
        )
    if url.get_backend_name() != "sqlite":
        url = url.set(drivername="postgresql+psycopg")
    return url.render_as_string(hide_password=False)


def shown(storage: str) -> str:
    """The storage's address without its password."""
    url = sqlalchemy.make_url(storage)
    return masked(url.set(drivername=url.get_backend_name()).render_as_string(), storage)


def reason(error: Exception, storage: str) -> str:
    """What an error says, without the storage's password."""
    return masked(" ".join(str(error).split()), storage)[:200]


@contextmanager
def one_at_a_time(storage: str) -> Iterator[None]:
    """Lets one process in, of all that share the storage. Raises UserError where it cannot be reached."""
    url = sqlalchemy.make_url(storage)
    if url.get_backend_name() == "sqlite":
        path = Path(f"{url.database}.lock")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        return
    try:
        connection = psycopg.connect(
            url.set(drivername="postgresql").render_as_string(hide_password=False),
            connect_timeout=10,
        )
    except psycopg.Error as error:
        raise UserError(
            f"the storage {shown(storage)} cannot be reached: {reason(error, storage)}"
        ) from None
    with connection:
        connection.execute("select pg_advisory_lock(%s)", [LOCK])
        yield


@cache
def opened(storage: str, seconds: int) -> RDBStorage:
    """Raises UserError."""
    arguments = (
        {"connect_args": {"timeout": 60}}
        if storage.startswith("sqlite")
        else {"pool_pre_ping": True}
    )
    try:
        return RDBStorage(
            storage,
            engine_kwargs=arguments,
            heartbeat_interval=seconds,
            grace_period=BEATS * seconds,
        )
    except (sqlalchemy.exc.SQLAlchemyError, RuntimeError, OSError) as error:
        raise UserError(
            f"the storage {shown(storage)} cannot be used: {reason(error, storage)}"
        ) from None


def begin(search: Search, question: dict[str, Any]) -> optuna.Study:
    """The study, made where there is none, with all its slots. Raises UserError where one of that name asks something else."""
    with one_at_a_time(search.storage):
        storage = opened(search.storage, search.seconds)
        study = optuna.create_study(
            storage=storage, study_name=search.title, direction="maximize", load_if_exists=True
        )
        asked = study.user_attrs.setdefault("question", question)
        if asked != question:
            other = ", ".join(name for name in question if asked.get(name) != question[name])
            raise UserError(
                f"the study {search.title} has been begun with other parameters ({other}); allowed is another --name"
            )
        study.set_user_attr("question", question)
        fill(search, study)
    return study


def fill(search: Search, study: optuna.Study) -> None:
    """Queues every slot that nobody has, again where a worker was lost with it."""
    optuna.storages.fail_stale_trials(study)
    held, lost = set(), {}
    for trial in study.get_trials(deepcopy=False):
        slot = trial.user_attrs.get("slot")
        if trial.state != TrialState.FAIL or "refused" in trial.user_attrs:
            held.add(slot)
        else:
            lost[slot] = trial.params
    for slot, point in enumerate(points(search)):
        if slot not in held:
            study.enqueue_trial({**point, **lost.get(slot, {})}, user_attrs={"slot": slot})


def points(search: Search) -> list[dict[str, Any]]:
    """Of each slot the values that are known before: all of a grid, all of a random search, none where TPE decides."""
    if search.sampler == "grid":
        lists = [
            [(one.key, label) for label in one.labels()]
            for one in search.space
            if isinstance(one, Choices)
        ]
        return [dict(point) for point in itertools.product(*lists)]
    if search.sampler == "tpe":
        return [{} for _ in range(search.trials)]
    random = np.random.default_rng(search.start.train.seed)
    return [{one.key: drawn(one, random) for one in search.space} for _ in range(search.trials)]


def drawn(one: Choices | Range, random: np.random.Generator) -> Any:
    if isinstance(one, Choices):
        return list(one.labels())[int(random.integers(len(one.values)))]
    low, high = (np.log(end) if one.log else end for end in (one.low, one.high))
    if isinstance(one.low, int) and isinstance(one.high, int):
        return (
            round(float(np.exp(random.uniform(low, high))))
            if one.log
            else int(random.integers(one.low, one.high + 1))
        )
    value = float(random.uniform(low, high))
    return float(np.clip(np.exp(value), one.low, one.high)) if one.log else value


def suggested(one: Choices | Range, trial: optuna.Trial) -> Any:
    if isinstance(one, Choices):
        return one.labels()[trial.suggest_categorical(one.key, list(one.labels()))]
    if isinstance(one.low, int) and isinstance(one.high, int):
        return trial.suggest_int(one.key, one.low, one.high, log=one.log)
    return trial.suggest_float(one.key, one.low, one.high, log=one.log)
