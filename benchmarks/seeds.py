"""`make seeds`: runs the pipeline with ten seeds, so that a figure does not depend on luck.

    python -m benchmarks.seeds --seeds 10
    python -m benchmarks.seeds --cluster tcp://127.0.0.1:8786     trains on other machines first

Each seed runs in a copy of the project, in .state/seeds, with an MLflow store of its own. The
workspace is not touched, and nothing is committed. A seed passes if the pipeline ends and every
file is proven on every processor; `verify.require` asks for less. Finished seeds are cached under
a digest of all files of the pipeline. After Ctrl-C the same command resumes; at most one epoch is
lost.
Writes benchmarks/seeds.json, benchmarks/seeds.md and the headline of README.md and docs/results.md.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from ruamel.yaml import YAML

from benchmarks import machine, project, seeds_page
from benchmarks.project import ROOT
from benchmarks.seeds_page import Row
from pipeline.config import params
from pipeline.files import artifacts, atomic, digests
from pipeline.files.reports.evaluate import EvaluationReport
from pipeline.files.reports.train import TrainReport
from pipeline.files.reports.verify import VerificationReport
from pipeline.process import dvc_command, stage
from pipeline.process.errors import UserError
from pipeline.reporting import marked_tables
from pipeline.search import remote_training
from pipeline.search.engine import Engine
from pipeline.search.remote_training import RemoteTraining

FOLDER = artifacts.STATE / "seeds"
RESULTS = Path("benchmarks/seeds.json")
PAGE = Path("benchmarks/seeds.md")
HEADLINES = (Path("README.md"), Path("docs/results.md"))
BEGIN, END = "<!-- seeds: make seeds -->", "<!-- end of seeds -->"
NOT_THE_PIPELINE = (
    *("README.md", "LICENSE", "Makefile", "mkdocs.yml"),
    *(".ci/", "benchmarks/", "docs/", "lectures/", "tests/"),
)
PAIR_FIELDS = {
    *("format", "runtime", "processor", "state", "images", "accuracy"),
    *("accuracy_lost", "accuracy_lost_bound", "agreement", "rejection"),
}


def key(last_stage: str | None) -> str:
    """A digest of everything that a result depends on: the pipeline's files and its last stage."""
    names = [name for name in project.tracked() if not name.startswith(NOT_THE_PIPELINE)]
    checksums = [artifacts.sha256(ROOT / name) for name in names]
    return digests.of_facts([*names, *checksums, last_stage or "the whole pipeline"])


def run(seed: int, folder: Path, last_stage: str | None, trained: float) -> Row:
    """Runs the pipeline with one seed; returns its reports as one row. Raises UserError.

    `folder` may hold the state of an interrupted run, which is resumed, or of a training that a
    cluster has done in `trained` seconds.
    """
    project.fresh(folder)
    set_seed(folder / "params.yaml", seed)
    log = folder.with_suffix(".log")
    started = time.perf_counter()
    status = repro(folder, last_stage, log)
    reports = [folder / report.PATH for report in (TrainReport, EvaluationReport)]
    if status < 0 or not all(report.exists() for report in reports):
        # Killed, or stopped before there is a model: this is no verdict on the recipe.
        raise UserError(
            f"seed {seed} did not finish: {last_line(log)}; "
            f"see {log}, and run the same command again"
        )
    return {
        "passed": status == 0,
        "reason": "" if status == 0 else last_line(log),
        **collect(folder, trained + time.perf_counter() - started),
    }


def repro(folder: Path, last_stage: str | None, log: Path) -> int:
    """Runs `dvc repro` in `folder`, appending its output to `log`; returns its exit status."""
    cache = str((FOLDER / "cache").resolve())  # one for all seeds, so that data are prepared once
    configure = ["dvc", "config", "--local", "cache.dir", cache]
    command = ["dvc", "repro", *([last_stage] if last_stage else [])]
    with log.open("ab") as output:
        subprocess.run(configure, cwd=folder, check=True, stdout=output, stderr=output)
        with subprocess.Popen(
            command, cwd=folder, env=project.environment(), stdout=output, stderr=output
        ) as process:
            return dvc_command.wait(process)


def set_seed(path: Path, seed: int) -> None:
    yaml = YAML(typ="safe")
    values = yaml.load(path)
    values["train"]["seed"] = seed
    yaml.dump(values, path)


def last_line(log: Path) -> str:
    """The error of a failed run, without DVC's own last lines."""
    lines = [
        line.strip()
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines()
        if line.strip()
    ]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (errors or lines or ["no output"])[-1]


def collect(folder: Path, seconds: float) -> Row:
    """The figures of the reports in a copy; no pairs if the pipeline stopped before `verify`."""
    training = TrainReport.load(folder / TrainReport.PATH)
    evaluation = EvaluationReport.load(folder / EvaluationReport.PATH)
    verified = folder / VerificationReport.PATH
    pairs = VerificationReport.load(verified).pairs if verified.exists() else []
    return {
        "seed": int(params.load(folder / "params.yaml").train.seed),
        "test_accuracy": evaluation.test_accuracy,
        "validation_accuracy": training.validation_accuracy,
        "training_seconds": round(training.training_seconds, 1),
        "seconds": round(seconds, 1),
        "pairs": [pair.model_dump(include=PAIR_FIELDS, exclude_unset=True) for pair in pairs],
    }


def main() -> None:
    arguments = parsed()
    folder = FOLDER / key(arguments.until)
    finished = {seed: folder / f"{seed}.json" for seed in range(arguments.seeds)}
    todo = [seed for seed, file in finished.items() if not file.exists()]
    seconds = [
        artifacts.load_json(file)["seconds"] for seed, file in finished.items() if seed not in todo
    ]
    print(
        f"{arguments.seeds} seeds, {len(seconds)} already finished; {left(seconds, len(todo))}",
        flush=True,
    )
    trained = trainings(todo, arguments.cluster) if arguments.cluster else {}
    for count, seed in enumerate(todo, 1):
        copy = folder / f"seed-{seed}"
        with trained[seed].resumed(copy) if trained else nullcontext(0.0) as before:
            result = run(seed, copy, arguments.until, before)
            artifacts.save_json(finished[seed], result)
        shutil.rmtree(copy)
        seconds.append(result["seconds"])
        print(f"{progress(seed, result)}; {left(seconds, len(todo) - count)}", flush=True)
    write(arguments.until, [artifacts.load_json(file) for file in finished.values()])


def parsed() -> argparse.Namespace:
    """The arguments of the command line. Raises UserError."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.seeds", description="Runs the pipeline with many seeds."
    )
    parser.add_argument(
        "--seeds", type=int, default=10, metavar="N", help="seeds 0 to N - 1 (default %(default)s)"
    )
    parser.add_argument(
        "--until",
        metavar="STAGE",
        help="the last stage to run, such as verify (default: the whole pipeline)",
    )
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        default=os.environ.get("EDGEPROOF_CLUSTER"),
        help="first train all seeds on the workers of this Dask scheduler "
        "(default: EDGEPROOF_CLUSTER)",
    )
    arguments = parser.parse_args()
    if arguments.seeds < 1:
        raise UserError(f"--seeds is {arguments.seeds}; expected an integer of at least 1")
    return arguments


def trainings(seeds: Sequence[int], cluster: str) -> dict[int, RemoteTraining]:
    """The trainings with these seeds, after the cluster has done them. Raises UserError."""
    remote_training.check_data()
    result = {seed: remote_training.remote(f"seed {seed}", {"train.seed": seed}) for seed in seeds}
    remote_training.train(list(result.values()), Engine(cluster=cluster))
    return result


def progress(seed: int, result: Row) -> str:
    """One seed's result, for the terminal."""
    verdict = "passed" if result["passed"] else result["reason"]
    return (
        f"seed {seed}: test accuracy {result['test_accuracy']:.4f}; {verdict}; "
        f"{stage.duration(result['seconds'])}"
    )


def write(last_stage: str | None, rows: list[Row]) -> None:
    """Writes the results, their page and the headline of README.md and docs/results.md."""
    results = {"machine": machine.sentence(), "last_stage": last_stage, "rows": rows}
    artifacts.save_json(RESULTS, results)
    atomic.write_text(PAGE, seeds_page.text(results))
    for path in HEADLINES:
        marked_tables.replace(path, seeds_page.headline(results), BEGIN, END)
    print(seeds_page.headline(results))


def left(seconds: Sequence[float], count: int) -> str:
    """The time left for `count` seeds.

    It is estimated from the finished ones, or else from the last training in the workspace.
    """
    if not count:
        return "nothing is left"
    if not seconds and not TrainReport.PATH.exists():
        return f"{count} left; the first will show how long one takes"
    each = statistics.mean(seconds) if seconds else 1.5 * TrainReport.load().training_seconds
    return f"about {stage.duration(count * each)} left"


if __name__ == "__main__":
    stage.run(main)
