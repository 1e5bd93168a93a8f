"""`make seeds`: the line of params.yaml with ten seeds, so that a figure does not depend on luck.

    python -m benchmarks.seeds --seeds 10

Each seed runs in a copy of the project, in .state/seeds, with an MLflow store of its own; the workspace stays as it is, and
nothing is committed. It passes if every file is proven on every processor, whatever `verify.require` says. A finished seed
is kept under the digest of all that the line is made of, and is not run again. Ctrl-C loses at most an epoch: the same
command goes on.
Writes benchmarks/seeds.json, benchmarks/seeds.md and the headline of docs/results.md.
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
from pipeline.process import stage
from pipeline.process.errors import UserError
from pipeline.reporting import summary, tables
from serving.gate import PROVEN

FOLDER = artifacts.STATE / "seeds"
RESULTS = Path("benchmarks/seeds.json")
PAGE = Path("benchmarks/seeds.md")
HEADLINE = Path("docs/results.md")
BEGIN, END = "<!-- seeds: make seeds -->", "<!-- end of seeds -->"
NOT_THE_LINE = (
    *("README.md", "LICENSE", "Makefile", "mkdocs.yml"),
    *(".ci/", "benchmarks/", "docs/", "lectures/", "tests/"),
)
OF_A_PAIR = (
    *("format", "runtime", "processor", "state", "images", "accuracy"),
    *("accuracy_lost", "accuracy_lost_bound", "agreement"),
)
Row = dict[str, Any]


def key(last_stage: str | None) -> str:
    """What a result follows from: every file that the line is made of, and how far it ran."""
    names = [name for name in project.tracked() if not name.startswith(NOT_THE_LINE)]
    return digests.of_facts(
        [*names, *(artifacts.sha256(ROOT / name) for name in names), last_stage or "the whole line"]
    )


def run(seed: int, folder: Path, last_stage: str | None) -> Row:
    """The line with one seed in `folder`, which a run that was interrupted has left; its reports in one row. Raises UserError."""
    project.fresh(folder)
    change_params(folder / "params.yaml", seed)
    cache = str((FOLDER / "cache").resolve())  # one for all seeds, so that data are prepared once
    log = folder.with_suffix(".log")
    started = time.perf_counter()
    with log.open("ab") as output:
        subprocess.run(
            ["dvc", "config", "--local", "cache.dir", cache],
            cwd=folder,
            check=True,
            stdout=output,
            stderr=output,
        )
        command = ["dvc", "repro", *([last_stage] if last_stage else [])]
        done = subprocess.run(
            command,
            cwd=folder,
            env=project.environment(),
            stdout=output,
            stderr=output,
            check=False,
        )
    missing = [
        name for name in ("train", "evaluate") if not (folder / artifacts.report(name)).exists()
    ]
    if missing or done.returncode < 0:  # no verdict on the recipe
        raise UserError(
            f"seed {seed} did not come to its end: {last_line(log)}; {log} tells more, and the same command goes on"
        )
    passed = done.returncode == 0
    return {
        "passed": passed,
        "reason": "" if passed else last_line(log),
        **row(folder, time.perf_counter() - started),
    }


def change_params(path: Path, seed: int) -> None:
    """Sets the seed, and that whatever is not proven, or could not run, stops the line."""
    yaml = YAML(typ="safe")
    values = yaml.load(path)
    values["train"]["seed"] = seed
    values["verify"]["require"] = PROVEN
    yaml.dump(values, path)


def last_line(log: Path) -> str:
    """What a line that ended badly said, without DVC's own last words."""
    lines = [
        line.strip()
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines()
        if line.strip()
    ]
    told = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (told or lines or ["nothing was said"])[-1]


def row(folder: Path, seconds: float) -> Row:
    """What the reports in a copy say; without the verdicts on files, where the line ended before."""
    training, evaluation = (
        artifacts.load_json(folder / artifacts.report(name)) for name in ("train", "evaluate")
    )
    verified = folder / artifacts.report("verify")
    pairs = artifacts.load_json(verified)["pairs"] if verified.exists() else []
    return {
        "seed": int(params.load(folder / "params.yaml").train.seed),
        "test_accuracy": evaluation["test_accuracy"],
        "validation_accuracy": training["validation_accuracy"],
        "training_seconds": round(training["training_seconds"], 1),
        "seconds": round(seconds, 1),
        "pairs": [{name: pair[name] for name in OF_A_PAIR if name in pair} for pair in pairs],
    }


def losses(rows: Sequence[Row]) -> dict[str, list[float]]:
    """For each exported file what it lost of the accuracy with each seed, on the runtime where it lost most.

    Of runtimes and processors that saw fewer images than others nothing is taken: one image counts for more there.
    """
    result: dict[str, list[float]] = {}
    most = most_images(rows)
    for one in rows:
        worst: dict[str, float] = {}
        for pair in one["pairs"]:
            if pair.get("images") == most:
                worst[pair["format"]] = max(pair["accuracy_lost"], worst.get(pair["format"], -1.0))
        for name, lost in worst.items():
            result.setdefault(name, []).append(lost)
    return result


def most_images(rows: Sequence[Row]) -> int:
    """On how many images files were judged where nothing was too slow for all of them."""
    return max((pair.get("images", 0) for one in rows for pair in one["pairs"]), default=0)


def proven(row: Row) -> bool:
    """Whether the line came to its end, and every pair that it tried is proven."""
    return row["passed"] and all(pair["state"] == PROVEN for pair in row["pairs"])


def page(results: dict[str, Any]) -> str:
    """benchmarks/seeds.md."""
    rows = results["rows"]
    lines = [
        "# The default recipe with ten seeds"
        if len(rows) == 10
        else f"# The default recipe with {len(rows)} seeds",
        "",
        f"{headline(results)} `make seeds` makes this page; `seeds.json` beside it has every pair.",
        "",
        "| seed | test accuracy | validation accuracy | fitting, s | line, s | the line |",
        "|---:|---:|---:|---:|---:|---|",
    ]
    for one in rows:
        verdict = (
            "passed" if proven(one) else f"failed: {one['reason'] or 'not every file is proven'}"
        )
        accuracies = (
            f"{tables.percent(one['test_accuracy'])} | {tables.percent(one['validation_accuracy'])}"
        )
        lines.append(
            f"| {one['seed']} | {accuracies} | {one['training_seconds']:.0f} | {one['seconds']:.0f} | {verdict} |"
        )
    judged = f"the accuracy on all {most_images(rows):,} test and validation images"
    lines += [
        "",
        f"What each file loses against its Keras model, in points of {judged}, on the runtime where it loses most:",
        "",
    ]
    lines += ["| file | mean | standard deviation | least | most |", "|---|---:|---:|---:|---:|"]
    for name, lost in losses(rows).items():
        figures = (statistics.mean(lost), deviation(lost), min(lost), max(lost))
        lines.append(
            f"| {name} | " + " | ".join(f"{100 * figure:.3f}" for figure in figures) + " |"
        )
    return "\n".join(lines) + "\n"


def deviation(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def headline(results: dict[str, Any]) -> str:
    """What docs/results.md says of how good the model is."""
    rows = results["rows"]
    accuracies = [one["test_accuracy"] for one in rows]
    line = f"`dvc repro {results['last_stage']}`" if results["last_stage"] else "the whole line"
    processors = dict.fromkeys(pair["processor"] for one in rows for pair in one["pairs"])
    proof = f", every file proven on {', '.join(processors)}," if processors else ""
    spread = f"{100 * min(accuracies):.2f} to {100 * max(accuracies):.2f} %"
    return (
        f"**{tables.percent(statistics.mean(accuracies))}** on the test set, mean of {len(rows)} seeds "
        f"(standard deviation {100 * deviation(accuracies):.2f} points, range {spread}); {line} passed{proof} "
        f"with {sum(map(proven, rows))} of {len(rows)}. Measured on {results['machine']}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.seeds", description="The line with many seeds."
    )
    parser.add_argument(
        "--seeds", type=int, default=10, metavar="N", help="seeds 0 to N - 1 (default %(default)s)"
    )
    parser.add_argument(
        "--until",
        metavar="STAGE",
        help="the last stage to run, such as verify (default: the whole line)",
    )
    arguments = parser.parse_args()
    if arguments.seeds < 1:
        raise UserError(f"--seeds is {arguments.seeds}; expected 1 or more")
    folder = FOLDER / key(arguments.until)
    finished = {seed: folder / f"{seed}.json" for seed in range(arguments.seeds)}
    todo = [seed for seed, file in finished.items() if not file.exists()]
    seconds = [
        artifacts.load_json(file)["seconds"] for seed, file in finished.items() if seed not in todo
    ]
    print(
        f"{arguments.seeds} seeds, {len(seconds)} of them finished before; {left(seconds, len(todo))}",
        flush=True,
    )
    for count, seed in enumerate(todo, 1):
        copy = folder / f"seed-{seed}"
        one = run(seed, copy, arguments.until)
        artifacts.save_json(finished[seed], one)
        shutil.rmtree(copy)
        seconds.append(one["seconds"])
        verdict = "passed" if one["passed"] else one["reason"]
        print(
            f"seed {seed}: test accuracy {one['test_accuracy']:.4f}; {verdict}; {stage.duration(one['seconds'])}; "
            f"{left(seconds, len(todo) - count)}",
            flush=True,
        )
    results = {
        "machine": machine.sentence(),
        "last_stage": arguments.until,
        "rows": [artifacts.load_json(file) for file in finished.values()],
    }
    artifacts.save_json(RESULTS, results)
    with atomic.replacing(PAGE) as temporary:
        temporary.write_text(page(results), encoding="utf-8")
    summary.replace(HEADLINE, headline(results), BEGIN, END)
    print(headline(results))


def left(seconds: Sequence[float], count: int) -> str:
    """The time left for `count` lines, judged by those that are finished, or else by the last training here."""
    if not count:
        return "nothing is left"
    report = artifacts.report("train")
    if not seconds and not report.exists():
        return f"{count} left, and the first will tell how long one takes"
    each = (
        statistics.mean(seconds)
        if seconds
        else 1.5 * artifacts.load_json(report)["training_seconds"]
    )
    return f"about {stage.duration(count * each)} left"


if __name__ == "__main__":
    stage.run(main)
