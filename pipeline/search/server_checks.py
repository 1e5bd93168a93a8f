"""What `edgeproof doctor` says of the servers of a search: PostgreSQL, and a cluster of Dask."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

from pipeline.doctor import Check, Finding, clock
from pipeline.process.errors import UserError
from pipeline.process.words import counted


def checks(storage: str | None, cluster: str | None) -> Iterator[Check]:
    """Those that the command's options name."""
    if storage:
        yield Check("PostgreSQL", partial(postgresql, storage))
    if cluster:
        yield Check("cluster", partial(dask, cluster))


def postgresql(storage: str) -> Finding:
    """Whether the storage of `sweep` and `shrink` can be used. Raises UserError."""
    import sqlalchemy
    from sqlalchemy.exc import SQLAlchemyError

    from pipeline.search import optuna_storage

    address = optuna_storage.address(storage)
    url = sqlalchemy.make_url(address)
    shown = optuna_storage.shown(storage)
    if url.get_backend_name() == "sqlite":
        return Finding("storage", f"{shown}, a file of this machine")
    before = time.time()
    try:
        with optuna_storage.connected(address) as connection:
            query = (
                "select current_setting('server_version'), clock_timestamp(), "
                "has_schema_privilege(current_schema(), 'create')"
            )
            version, now, may_create = connection.execute(sqlalchemy.text(query)).one()
    except SQLAlchemyError as error:
        reason = optuna_storage.reason(error, storage)
        raise UserError(f"{shown} is unreachable: {reason}") from None
    if not may_create:
        raise UserError(f"{shown}: {url.username} may not create tables there; GRANT it that right")
    ahead = now.timestamp() - (before + time.time()) / 2
    return Finding("PostgreSQL", f"{shown} has version {version.split()[0]}{clock(ahead)}")


def dask(address: str) -> Finding:
    """How many workers the scheduler has, and which of them would be refused. Raises UserError."""
    from pipeline.search import cluster, cluster_connection, cluster_worker

    client = cluster_connection.connected(address)
    try:
        workers = client.sync(client.scheduler.identity, n_workers=-1)["workers"]
        version = client.sync(client.scheduler.versions)["packages"]["distributed"]
        answers = client.run(cluster_worker.introduce, on_error="return")
        times = client.run(time.time, on_error="return")
        here = time.time()
    finally:
        client.close()
    if not workers:
        start = cluster.WORKER.format(address)
        fact = f"{address} has version {version} and no worker; start one with {start}"
        return Finding("cluster", fact, "note")
    ours = cluster_worker.installation()
    for worker in sorted(answers):
        if sentence := cluster.refusal(answers[worker], ours):
            return Finding("cluster", f"{address} refuses the worker {worker}: {sentence}", "fault")
    trainings = sum(facts["nthreads"] for facts in workers.values())
    ahead = max((times[worker] - here for worker in times), key=abs)
    fact = f"{address} has version {version} and {counted(len(workers), 'worker')}"
    at_once = counted(trainings, "training")
    return Finding("cluster", f"{fact} for {at_once} at a time{clock(ahead)}")
