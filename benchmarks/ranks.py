"""Compares training in several processes with one on the same cores, in images a second.

    python -m benchmarks.ranks [--processes 2] [--images 10000]

Run `make run` first: it trains the default recipe on data/prepared. One process, whose threads use
all cores, and several, each on its part of every batch, train on JAX in turn. The first epoch of
each compiles and does not count. What is lost is the exchange of gradients, whose size is printed,
and what every process does for itself.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import machine
from pipeline.process import imports, ranks, stage
from pipeline.process.words import verb

EPOCHS = 4
ROUNDS = 2


def train(images: int) -> None:
    """Trains as one process or as a rank; the first prints its images a second, and parameters."""
    ranks.join()
    with imports.keras_import():
        from pipeline.config import params
        from pipeline.files import artifacts, split_files
        from pipeline.training import fit
        from pipeline.training.batches import Data
        from pipeline.training.learning_curves import IMAGES_PER_SECOND

    train, validation = split_files.load_split("train"), split_files.load_split("validation")
    some = (train[0][:images], train[1][:images])
    data = Data.described(some, validation, artifacts.load_description())
    recipe = params.load().train.model_copy(update={"epochs": EPOCHS})
    with ranks.ending_at_once(), tempfile.TemporaryDirectory() as folder:
        trained = fit.fit(recipe, data, Path(folder) / "state", lambda row: None)
    rate = statistics.median(row[IMAGES_PER_SECOND] for row in trained.rows[1:])
    if ranks.rank() == 0:
        print(rate, trained.model.count_params())


def measured(count: int, images: int) -> tuple[float, int]:
    """The images a second of `count` processes, and the number of parameters."""
    command = [sys.executable, "-m", "benchmarks.ranks", "--count", str(count)]
    done = subprocess.run(
        [*command, "--images", str(images)],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    rate, parameters = done.stdout.splitlines()[-1].split()
    return float(rate), int(parameters)


def compare(processes: int, images: int) -> None:
    print(f"Images a second on {len(os.sched_getaffinity(0))} cores of {machine.sentence()}")
    rates: dict[int, list[float]] = {1: [], processes: []}
    for _ in range(ROUNDS):
        for count, measures in rates.items():
            rate, parameters = measured(count, images)
            measures.append(rate)
            print(f"{count} {verb(count, 'process', 'processes')}: {rate:,.0f}", flush=True)
    alone, together = (statistics.median(measures) for measures in rates.values())
    print(f"{processes} processes are {together / alone:.2f} times as fast as one.")
    print(f"A step exchanges {4 * parameters / 1e6:.2f} MB of gradients.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2, help="to compare with one")
    parser.add_argument("--images", type=int, default=10000, help="to train on")
    parser.add_argument(
        "--count", type=int, help="train in this number of processes, and compare nothing"
    )
    arguments = parser.parse_args()
    if arguments.count is None:
        compare(arguments.processes, arguments.images)
    elif arguments.count > 1 and not ranks.joined():
        ranks.run(arguments.count)
    else:
        train(arguments.images)


if __name__ == "__main__":
    stage.run(main)
