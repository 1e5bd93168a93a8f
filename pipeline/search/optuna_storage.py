"""The trials of a sweep in Optuna's storage, shared by workers on any machine.

Every trial of the sweep has a place, queued before any training starts. A worker takes a waiting
place and sends a heartbeat every few seconds. If the heartbeats stop, the place is queued again
with the same values.
"""

from __future__ import annotations

import itertools
import platform
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from pipeline.config.overrides import Choices, Overrides, Range
from pipeline.config.params import Params
from pipeline.files import atomic
from pipeline.process.errors import UserError
from pipeline.tracking.credentials import masked

Direction = Literal["maximize", "minimize"]
BEATS = 3  # heartbeats that a worker may miss before it counts as lost
LOST = (StorageInternalError, SQLAlchemyError)
# Attributes of stored trials and studies
PLACE, REFUSED, MISFIT, SETTINGS = "slot", "refused", "misfit", "question"
INTERVAL = "interval"  # of a trial: the 95 % one of its error
LOCK = 7_205_759  # the id of the advisory lock in PostgreSQL; any fixed number

optuna.logging.set_verbosity(optuna.logging.CRITICAL)
warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)


@dataclass(frozen=True)
class Sweep:
    """What is searched, and how. It is sent to every worker."""

    title: str
    storage: str
    space: list[Choices | Range]
    sampler: str  # grid, random or tpe
    pruner: str  # median, hyperband or none
    start: Params
    trials: int
    seconds: int  # between two heartbeats
    alone: bool  # one worker on a storage of its own, which makes the sweep reproducible

    @property
    def directions(self) -> list[Direction]:
        """Of each value of a trial."""
        return ["maximize" if self.start.problem.unit is None else "minimize"]

    def fixed_values(self, place: int) -> dict[str, Any]:
        """The values of a place that TPE does not choose, by the keys of `space`."""
        return {}

    def overrides(self, values: Overrides) -> Overrides:
        """The values of params.yaml that a trial's values, by the keys of `space`, stand for."""
        return values


def address(url: str) -> str:
    """The storage's address as SQLAlchemy expects it. Raises UserError."""
    try:
        parsed = sqlalchemy.make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError):  # ValueError: the port is not a number
        parsed = None
    backends = ("sqlite", "postgresql", "postgres")
    if parsed is None or not parsed.database or parsed.get_backend_name() not in backends:
        raise UserError(
            f"--storage is {masked(url, url)}; expected sqlite:///FILE or"
            " postgresql://USER:PASSWORD@HOST/DATABASE"
        )
    if parsed.get_backend_name() != "sqlite":
        if not find_spec("psycopg"):
            raise UserError("PostgreSQL needs psycopg; run `uv sync --extra postgres`")
        parsed = parsed.set(drivername="postgresql+psycopg")
    return parsed.render_as_string(hide_password=False)


def check_is_here(storage: str) -> None:
    """Raises UserError if the storage is a file that this machine does not have."""
    url = sqlalchemy.make_url(storage)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        raise UserError(
            f"the storage {shown(storage)} is a file that the worker {platform.node()} does not"
            " have; use --storage postgresql://USER:PASSWORD@HOST/DATABASE"
        )


def shown(storage: str) -> str:
    """The storage's address without its password."""
    url = sqlalchemy.make_url(storage)
    return masked(url.set(drivername=url.get_backend_name()).render_as_string(), storage)


def reason(error: BaseException, storage: str) -> str:
    """The message of an error, or of the driver's behind it, without the storage's password."""
    message = str(getattr(error, "orig", None) or error)
    return masked(" ".join(message.split()), storage)[:200]


@contextmanager
def reachable(storage: str) -> Iterator[None]:
    """Raises UserError, with what the database said, if the storage is lost within the block."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        lost = next((each for each in causes(error) if isinstance(each, LOST)), None)
        if lost is None:
            raise
        raise UserError(
            f"the storage {shown(storage)} is unreachable: {reason(lost, storage)}; once it can be"
            " reached, the same command continues"
        ) from None


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """What an error goes back to, then the error: Optuna's handling of a loss fails in turn."""
    if error is not None:
        yield from causes(error.__cause__ or error.__context__)
        yield error


class PatientStorage(RDBStorage):
    """Tolerates a heartbeat that does not reach the database: the next one may."""

    def record_heartbeat(self, trial_id: int) -> None:
        # Optuna sends them from a thread, which would end with a traceback.
        with suppress(StorageInternalError, SQLAlchemyError):
            super().record_heartbeat(trial_id)


@contextmanager
def locked(storage: str) -> Iterator[None]:
    """Admits one process at a time that uses this storage. Raises UserError if unreachable."""
    url = sqlalchemy.make_url(storage)
    is_file = url.get_backend_name() == "sqlite"
    lock = atomic.locked(Path(f"{url.database}.lock")) if is_file else _database_lock(storage)
    with reachable(storage), lock:
        yield


@contextmanager
def _database_lock(storage: str) -> Iterator[None]:
    with connected(storage) as connection:
        connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_lock(LOCK)))
        yield


@contextmanager
def connected(storage: str) -> Iterator[sqlalchemy.Connection]:
    """A connection of its own to PostgreSQL, closed at the end of the block."""
    engine = sqlalchemy.create_engine(
        storage, poolclass=sqlalchemy.NullPool, connect_args={"connect_timeout": 10}
    )
    with engine.connect() as connection:
        yield connection


@cache
def opened(storage: str, seconds: int) -> RDBStorage:
    """The storage at this address. Raises UserError if it cannot be reached."""
    if storage.startswith("sqlite"):
        arguments: dict[str, Any] = {"connect_args": {"timeout": 60}}
    else:
        arguments = {"pool_pre_ping": True}
    try:
        with reachable(storage):
            return PatientStorage(
                storage,
                engine_kwargs=arguments,
                heartbeat_interval=seconds,
                grace_period=BEATS * seconds,
            )
    except (RuntimeError, OSError) as error:
        raise UserError(
            f"the storage {shown(storage)} cannot be used: {reason(error, storage)}"
        ) from None


def open_study(sweep: Sweep, facts: dict[str, Any]) -> optuna.Study:
    """The sweep's study, created if missing, with all its places.

    `facts` is what the sweep depends on. Raises UserError if a study of that name has others.
    """
    with locked(sweep.storage):
        storage = opened(sweep.storage, sweep.seconds)
        study = optuna.create_study(
            storage=storage,
            study_name=sweep.title,
            directions=sweep.directions,
            load_if_exists=True,
        )
        stored = study.user_attrs.setdefault(SETTINGS, facts)
        if stored != facts:
            different = ", ".join(name for name in facts if stored.get(name) != facts[name])
            raise UserError(
                f"the study {sweep.title} was started with different parameters ({different});"
                " use another --name"
            )
        study.set_user_attr(SETTINGS, facts)
        queue_places(sweep, study)
    return study


def queue_places(sweep: Sweep, study: optuna.Study) -> None:
    """Queues every place that has no trial, and those of lost workers again.

    A trial that was never trained, because its network does not fit, leaves its place to another.
    """
    optuna.storages.fail_stale_trials(study)
    held, lost = set(), {}
    for trial in study.get_trials(deepcopy=False):
        place = trial.user_attrs.get(PLACE)
        if is_misfit(trial):
            continue
        if trial.state != TrialState.FAIL or refusal(trial):
            held.add(place)
        else:
            lost[place] = trial.params
    for place, point in enumerate(points(sweep)):
        if place not in held:
            study.enqueue_trial({**point, **lost.get(place, {})}, user_attrs={PLACE: place})


def refusal(trial: FrozenTrial) -> str | None:
    """Why the values of a trial cannot be trained, if they cannot."""
    return trial.user_attrs.get(REFUSED)


def is_misfit(trial: FrozenTrial) -> bool:
    """Whether the trial's network does not fit, so that it was not trained."""
    return MISFIT in trial.user_attrs


def points(sweep: Sweep) -> list[dict[str, Any]]:
    """The values of each place that are known in advance: of a grid or random search all of them.

    TPE chooses them when a trial starts.
    """
    if sweep.sampler == "grid":
        choices = [parameter for parameter in sweep.space if isinstance(parameter, Choices)]
        axes = [[(choice.key, label) for label in choice.labels()] for choice in choices]
        return [dict(point) for point in itertools.product(*axes)]
    if sweep.sampler == "tpe":
        return [sweep.fixed_values(place) for place in range(sweep.trials)]
    random = np.random.default_rng(sweep.start.train.seed)
    return [
        {parameter.key: drawn(parameter, random) for parameter in sweep.space}
        for _ in range(sweep.trials)
    ]


def drawn(parameter: Choices | Range, random: np.random.Generator) -> Any:
    """A random value of a parameter, uniform on its scale."""
    if isinstance(parameter, Choices):
        return list(parameter.labels())[int(random.integers(len(parameter.values)))]
    low, high, log = parameter.low, parameter.high, parameter.log
    if isinstance(low, int) and isinstance(high, int) and not log:
        return int(random.integers(low, high + 1))
    if not log:
        return float(random.uniform(low, high))
    value = float(np.exp(random.uniform(np.log(low), np.log(high))))
    if isinstance(low, int) and isinstance(high, int):
        return round(value)
    return float(np.clip(value, low, high))


def suggested(parameter: Choices | Range, trial: optuna.Trial) -> Any:
    """The value that Optuna's sampler chooses for a parameter."""
    key = parameter.key
    if isinstance(parameter, Choices):
        labels = parameter.labels()
        return labels[trial.suggest_categorical(key, list(labels))]
    low, high, log = parameter.low, parameter.high, parameter.log
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(key, low, high, log=log)
    return trial.suggest_float(key, low, high, log=log)
