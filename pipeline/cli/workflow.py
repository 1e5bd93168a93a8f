"""Commands that run the pipeline and show its results."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
    with resumable():
        succeeded = _reproduce(*(stages or ()), force=force)
        bundles = []
        if succeeded and not stages:
            succeeded = runs.sync()
            bundles = [str(path) for path in sorted(artifacts.DIST.glob("*.tar.gz"))]
            if succeeded and bundles:
                print(f"Bundle: {', '.join(bundles)}", _next_steps(bundles[0]), sep="\n")
        _print_results()
    raise typer.Exit(0 if succeeded else 1)


def draft() -> None:
    """Pack a bundle that is marked NOT PROVEN into draft/, even if a gate fails."""
    from pipeline.package import package

    with resumable():
        succeeded = _reproduce("diagnose", "embed")
        try:
            if succeeded:
                package(draft=True)
        finally:
            _print_results()
    raise typer.Exit(0 if succeeded else 1)


def status() -> None:
    """Show which stages are out of date, and the latest results."""
    from pipeline.config import params
    from pipeline.files.artifacts import DESCRIPTION
    from pipeline.process import dvc_command
    from pipeline.reporting import summary

    params.load()
    if not DESCRIPTION.exists():
        print("nothing has been run here yet; start with `edgeproof run`")
        return
    missing = summary.outdated()  # before DVC says in its own words that another run is at work
    result = dvc_command.run("status")
    _print_results(missing)
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

    _refuse_taken(port)
    link = view.link(f"http://127.0.0.1:{port}")
    print(f"starting, which takes a moment; then open {link}", flush=True)
    store = os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    options = ["--backend-store-uri", store, "--port", str(port)]
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "ui", *options])


def _refuse_taken(port: int) -> None:
    """Raises UserError for a port that MLflow could not listen on; it would end with status 0."""
    from pipeline.process.errors import UserError

    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        raise UserError(
            f"cannot listen on 127.0.0.1 port {port} ({error.strerror}); choose another with --port"
        ) from None


def _reproduce(*stages: str, force: bool = False) -> bool:
    """Whether every stage succeeded. Raises UserError if none could be run."""
    from pipeline import check
    from pipeline.config import params
    from pipeline.files.reports.folds import FoldsReport
    from pipeline.process import dvc_command

    settings = params.load()  # its faults in our words, before DVC stumbles over them
    judged_by_folds = Path(settings.evaluate.folds) == FoldsReport.PATH
    if judged_by_folds and _evaluates(stages) and not _make_folds(settings):
        return False
    if not stages:
        check.check_paths(settings)  # DVC would name a path, but not the value
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
def resumable() -> Iterator[None]:
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


def _next_steps(bundle: str) -> str:
    """Commands to paste, also where the environment is not activated."""
    programs = Path(sys.executable).parent
    if programs.is_relative_to(Path.cwd()):
        programs = programs.relative_to(Path.cwd())
    return (
        f"Next: `{programs / 'serving'} check {bundle}` on this machine or a device; "
        f"`{programs / 'edgeproof'} advise` says what could be better."
    )


def _print_results(missing: list[str] | None = None) -> None:
    """The results of this run, and where the rest is; nothing if it came to none."""
    from pipeline.files import artifacts
    from pipeline.reporting import summary, terminal

    sys.stdout.flush()
    missing = summary.outdated() if missing is None else missing
    if len(missing) < len(summary.REPORTS):
        print(f"Reports: {artifacts.REPORTS}/. The run in MLflow: `edgeproof ui`.")
        terminal.show(missing)
