"""`make seeds`: runs the pipeline with ten seeds, so that a figure does not depend on luck.

    python -m benchmarks.seeds --seeds 10

Each seed runs in a copy of the project, in .state/seeds, with an MLflow store of its own. The
workspace is not touched, and nothing is committed. A seed passes if every file is proven on every
processor, whatever `verify.require` says. Finished seeds are cached under a digest of all files of
the pipeline. After Ctrl-C the same command resumes; at most one epoch is lost.
Writes benchmarks/seeds.json, benchmarks/seeds.md and the headline of README.md and docs/results.md.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from benchmarks import machine, project
from benchmarks.project import ROOT
from pipeline.config import params
from pipeline.files import artifacts, atomic, digests
from pipeline.files.reports.evaluate import EvaluationReport
from pipeline.files.reports.train import TrainReport
from pipeline.files.reports.verify import VerificationReport
from pipeline.process import dvc_command, stage
from pipeline.process.errors import UserError
from pipeline.process.words import percent
from pipeline.reporting import marked_tables, tables
from serving.gate import PROVEN

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
    *("accuracy_lost", "accuracy_lost_bound", "agreement"),
}
Row = dict[str, Any]


def key(last_stage: str | None) -> str:
    """A digest of everything that a result depends on: the pipeline's files and its last stage."""
    names = [name for name in project.tracked() if not name.startswith(NOT_THE_PIPELINE)]
    checksums = [artifacts.sha256(ROOT / name) for name in names]
    return digests.of_facts([*names, *checksums, last_stage or "the whole pipeline"])


def run(seed: int, folder: Path, last_stage: str | None) -> Row:
    """Runs the pipeline with one seed; returns its reports as one row. Raises UserError.

    `folder` may hold the state of an interrupted run, which is resumed.
    """
    project.fresh(folder)
    change_params(folder / "params.yaml", seed)
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
        **collect(folder, time.perf_counter() - started),
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


def change_params(path: Path, seed: int) -> None:
    """Sets the seed, and requires that every pair is proven."""
    yaml = YAML(typ="safe")
    values = yaml.load(path)
    values["train"]["seed"] = seed
    values["verify"]["require"] = PROVEN
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


def losses(rows: Sequence[Row]) -> dict[str, list[float]]:
    """For each exported file the accuracy lost with each seed, on the runtime that loses most.

    Runtimes and processors that saw fewer images than others are left out, because a single image
    counts for more there.
    """
    result: dict[str, list[float]] = {}
    most = most_images(rows)
    for row in rows:
        worst: dict[str, float] = {}
        for pair in row["pairs"]:
            if pair.get("images") == most:
                worst[pair["format"]] = max(pair["accuracy_lost"], worst.get(pair["format"], -1.0))
        for name, lost in worst.items():
            result.setdefault(name, []).append(lost)
    return result


def most_images(rows: Sequence[Row]) -> int:
    """The number of images that files are judged on, on runtimes that are fast enough for all."""
    return max((pair.get("images", 0) for row in rows for pair in row["pairs"]), default=0)


def proven(row: Row) -> bool:
    """Whether the pipeline finished, and every pair is proven."""
    return row["passed"] and all(pair["state"] == PROVEN for pair in row["pairs"])


def page(results: dict[str, Any]) -> str:
    """The text of benchmarks/seeds.md."""
    rows = results["rows"]
    count = "ten" if len(rows) == 10 else len(rows)
    lines = [
        f"# The default recipe with {count} seeds",
        "",
        f"{headline(results)} `make seeds` makes this page; `seeds.json` beside it has every pair.",
        "",
        "| seed | test accuracy | validation accuracy | fitting, s | pipeline, s | verdict |",
        "|---:|---:|---:|---:|---:|---|",
    ]
    lines += [tables.markdown(page_row(row)) for row in rows]
    lines += [
        "",
        "Accuracy lost by each file against its Keras model, in percentage points on all "
        f"{most_images(rows):,} test and validation images, on the runtime that loses most:",
        "",
        "| file | mean | standard deviation | least | most |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, lost in losses(rows).items():
        figures = (statistics.mean(lost), deviation(lost), min(lost), max(lost))
        lines.append(tables.markdown([name, *(f"{100 * figure:.3f}" for figure in figures)]))
    return "\n".join(lines) + "\n"


def page_row(row: Row) -> list[str]:
    """One seed's cells of the table."""
    failure = f"failed: {row['reason'] or 'not every file is proven'}"
    return [
        str(row["seed"]),
        percent(row["test_accuracy"]),
        percent(row["validation_accuracy"]),
        f"{row['training_seconds']:.0f}",
        f"{row['seconds']:.0f}",
        "passed" if proven(row) else failure,
    ]


def deviation(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def headline(results: dict[str, Any]) -> str:
    """The headline of README.md and docs/results.md: how good the model is."""
    rows = results["rows"]
    accuracies = [row["test_accuracy"] for row in rows]
    last_stage = results["last_stage"]
    command = f"`dvc repro {last_stage}`" if last_stage else "the whole pipeline"
    processors = dict.fromkeys(pair["processor"] for row in rows for pair in row["pairs"])
    proof = f", every file proven on {', '.join(processors)}," if processors else ""
    spread = f"{100 * min(accuracies):.2f} to {100 * max(accuracies):.2f} %"
    return (
        f"**{percent(statistics.mean(accuracies))}** on the test set, "
        f"mean of {len(rows)} seeds (standard deviation {100 * deviation(accuracies):.2f} points, "
        f"range {spread}); {command} passed{proof} with {sum(map(proven, rows))} of {len(rows)}. "
        f"Measured on {results['machine']}."
    )


def main() -> None:
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
    arguments = parser.parse_args()
    if arguments.seeds < 1:
        raise UserError(f"--seeds is {arguments.seeds}; expected an integer of at least 1")
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
    for count, seed in enumerate(todo, 1):
        copy = folder / f"seed-{seed}"
        result = run(seed, copy, arguments.until)
        artifacts.save_json(finished[seed], result)
        shutil.rmtree(copy)
        seconds.append(result["seconds"])
        print(f"{progress(seed, result)}; {left(seconds, len(todo) - count)}", flush=True)
    write(arguments.until, [artifacts.load_json(file) for file in finished.values()])


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
    with atomic.replacing(PAGE) as temporary:
        temporary.write_text(page(results), encoding="utf-8")
    for path in HEADLINES:
        marked_tables.replace(path, headline(results), BEGIN, END)
    print(headline(results))


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
