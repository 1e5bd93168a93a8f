"""The entry point: `edgeproof COMMAND`, or `python -m pipeline.cli COMMAND`."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.cli import analyses, improvement, planning, proving, release, team, workflow
from pipeline.cli.help import Command, Group
from pipeline.cli.version import show as show_version
from pipeline.process import stage

PANELS = {
    "Pipeline": (
        planning.start,
        planning.estimate,
        workflow.run,
        proving.prove,
        workflow.draft,
        workflow.status,
        workflow.report,
        workflow.sync,
        workflow.ui,
    ),
    "Improve a model": (
        improvement.diagnose,
        improvement.explain_quantization,
        improvement.advise,
        improvement.improve,
    ),
    "Analyses": (
        analyses.sweep,
        analyses.shrink,
        analyses.folds,
        analyses.labels,
        analyses.data_size,
        analyses.batch_size,
        analyses.learning_rate,
        analyses.spread,
        analyses.lectures,
    ),
    "Release and use": (release.sign, release.field, release.fleet),
    "Work in a team": (team.doctor, team.team),
}

app = typer.Typer(
    name="edgeproof",
    cls=Group,
    help="Train a classifier, export it, and prove that it works on edge devices.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for panel, commands in PANELS.items():
    for command in commands:
        app.command(cls=Command, rich_help_panel=panel)(command)


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=show_version, help="Show the version."),
    ] = False,
) -> None:
    pass


def main() -> None:
    stage.run(lambda: app(prog_name="edgeproof"))


if __name__ == "__main__":
    main()
