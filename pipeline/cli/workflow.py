"""Commands that run the pipeline and show its results."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from pipeline.cli.options import Overrides

if TYPE_CHECKING:
    from pipeline.config.params import Params


def stage_names() -> list[str]:
    """The stages in dvc.yaml, for completion in the shell."""
    from ruamel.yaml import YAML

    path = Path("dvc.yaml")
    return list(YAML(typ="safe").load(path)["stages"]) if path.exists() else []


def run(
    stages: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="STAGE",
            help="Run up to these stages only.",
            show_default="the whole pipeline",
            autocompletion=stage_names,
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Run every stage, even if it is up to date.")
    ] = False,
) -> None:
    """Run every stage that is out of date, and print the results.

    A run of the whole pipeline is also logged to MLflow.
    """
    from pipeline.files import artifacts
    from pipeline.process.errors import UserError
    from pipeline.tracking import runs

    for stage in stages or ():
        if stage not in (known := stage_names()):
            raise UserError(f"{stage!r} is not a stage; expected {', '.join(known)}")
    with _resumable():
        succeeded = _reproduce(*(stages or ()), force=force)
        if succeeded and not stages:
            succeeded = runs.sync()
            bundles = [str(path) for path in sorted(artifacts.DIST.glob("*.tar.gz"))]
            if succeeded and bundles:
                print(f"Bundle: {', '.join(bundles)}")
        _print_results()
    raise typer.Exit(0 if succeeded else 1)


def prove(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="A .keras, .h5, .tflite or .onnx file that somebody else trained on the classes "
            "of your data.",
            show_default=False,
        ),
    ],
    source: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="Where it is from, for the model card, such as an address.",
            show_default=False,
        ),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The float model that a .tflite or .onnx file was made from.",
            show_default="itself, on reference kernels",
        ),
    ] = None,
    validation: Annotated[
        bool,
        typer.Option(
            "--validation",
            help="Judge a .tflite or .onnx file on the validation set, too, if its training saw "
            "none of that.",
        ),
    ] = False,
    overrides: Overrides = None,
) -> None:
    """Prove a model that was trained elsewhere, on every runtime and processor.

    A Keras model goes through every stage, as model.path. A .tflite or .onnx file runs as it is.
    Nothing is trained. How its pixels are scaled is tried on the validation set.
    """
    from pipeline.planning import prove as proving
    from pipeline.runtimes.inspect_foreign import SUFFIXES

    if model.suffix in SUFFIXES:
        _prove_file(model, reference, source, overrides or (), validation)
    proving.check_options(model, reference, overrides, validation)
    proving.choose(model, source)
    run(None, force=False)


def start(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="A folder or zip file of pictures or sounds in one folder per class, or of "
            "pictures with a CSV of their labels; or an npz of arrays.",
            show_default=False,
        ),
    ],
    board: Annotated[
        str | None,
        typer.Option(
            help="A microcontroller board that must take the model, such as esp32-s3.",
            show_default=False,
        ),
    ] = None,
    other: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Pictures that are none of the classes; the folder may be one of DATA.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[Path, typer.Option(metavar="YAML", help="The file to write.")] = Path(
        "params.yaml"
    ),
    force: Annotated[
        bool, typer.Option("--force", help="Replace a file that you have changed.")
    ] = False,
) -> None:
    """Look at your data, write params.yaml for them, and say what to expect."""
    from pipeline.planning import start as planning

    planning.start(data, board, output, force, other)


def estimate() -> None:
    """Say what the run in params.yaml will need: time, memory, sizes and boards."""
    from pipeline.config import params
    from pipeline.planning import start as planning

    planning.estimate(params.load())


def draft() -> None:
    """Pack a bundle that is marked NOT PROVEN into draft/, even if a gate fails."""
    status = 1
    with _resumable():
        if _reproduce("diagnose", "embed"):
            command = [sys.executable, "-m", "pipeline.package", "--draft"]
            status = subprocess.run(command, check=False).returncode
        _print_results()
    raise typer.Exit(status)


def status() -> None:
    """Show which stages are out of date, and the latest results."""
    from pipeline.config import params
    from pipeline.files.artifacts import DESCRIPTION
    from pipeline.process import dvc_command

    params.load()
    if not DESCRIPTION.exists():
        print("nothing has been run here yet; `edgeproof run` does it")
        return
    result = dvc_command.run("status")
    _print_results()
    raise typer.Exit(result)


def report(
    file: Annotated[
        Path | None,
        typer.Argument(help="Write the table into this file, between its markers, e.g. README.md."),
    ] = None,
) -> None:
    """Print the table of results."""
    from pipeline.reporting import marked_tables, summary, terminal

    if file is None:
        terminal.show(summary.outdated())
    else:
        marked_tables.report(file)


def sync() -> None:
    """Upload to MLflow the results in this folder that it does not have yet."""
    from pipeline.tracking import runs

    raise typer.Exit(0 if runs.sync() else 1)


def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port on 127.0.0.1.")] = 5000,
) -> None:
    """Open the MLflow UI, at MLFLOW_TRACKING_URI or on the store in this folder."""
    from pipeline.tracking import view

    link = view.link(f"http://127.0.0.1:{port}")
    print(f"starting, which takes a moment; then open {link}", flush=True)
    store = os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    options = ["--backend-store-uri", store, "--port", str(port)]
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "ui", *options])


def _prove_file(
    file: Path,
    reference: Path | None,
    source: str | None,
    overrides: Sequence[str],
    validation: bool,
) -> NoReturn:
    """Proves a file as it is, on data that DVC prepares first. Exits."""
    from pipeline.config import params
    from pipeline.planning import prove as proving
    from pipeline.process import dvc_command

    proving.check_files(file, reference)
    params.load()  # its faults in our words, before DVC stumbles over them
    with _resumable():
        succeeded = dvc_command.reproduce(["preprocess"], goes_on=True)
        if succeeded:
            from pipeline.search import prove_file

            question = prove_file.Question(file, reference, source, overrides, validation)
            succeeded = prove_file.prove(question)
    raise typer.Exit(0 if succeeded else 1)


def _reproduce(*stages: str, force: bool = False) -> bool:
    """Whether every stage succeeded. Raises UserError if none could be run."""
    from pipeline.config import params
    from pipeline.files.reports.folds import FoldsReport
    from pipeline.process import dvc_command

    settings = params.load()  # its faults in our words, before DVC stumbles over them
    judged_by_folds = Path(settings.evaluate.folds) == FoldsReport.PATH
    if judged_by_folds and _evaluates(stages) and not _make_folds(settings):
        return False
    return dvc_command.reproduce(stages, force=force)


def _evaluates(stages: Sequence[str]) -> bool:
    names = stage_names()
    return not stages or max(map(names.index, stages)) >= names.index("evaluate")


def _make_folds(settings: Params) -> bool:
    """Whether the folds of evaluate.folds are there. Raises UserError."""
    from pipeline import check
    from pipeline.config import params
    from pipeline.process import dvc_command
    from pipeline.search import folds

    check.check(params.override(settings, {"evaluate.folds": params.NONE}))
    succeeded = dvc_command.reproduce(["preprocess"], goes_on=True)
    if succeeded:
        folds.refresh(settings)
    return succeeded


@contextmanager
def _resumable() -> Iterator[None]:
    """Says how to go on after Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        print(
            "\nStopped. Nothing is lost: the same command skips the stages that are finished, and "
            "resumes a training after its last finished epoch.",
            file=sys.stderr,
        )
        raise


def _print_results() -> None:
    """The results of this run, and where the rest is; nothing if it came to none."""
    from pipeline.files import artifacts
    from pipeline.reporting import summary, terminal

    sys.stdout.flush()
    missing = summary.outdated()
    if len(missing) < len(summary.REPORTS):
        print(f"Reports: {artifacts.REPORTS}/. The run in MLflow: `edgeproof ui`.")
        terminal.show(missing)
