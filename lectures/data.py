"""The data of an example, by the pipeline's download and preprocess, each run once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from pipeline.config import params
from pipeline.config.params import Params
from pipeline.config.parts import PACKAGE, choices
from pipeline.files import artifacts, digests, split_files
from pipeline.files.atomic import alone
from pipeline.process.errors import UserError

FOLDER = artifacts.STATE / "lectures"


def downloaded(settings: Params) -> Path:
    """The folder in which `download` has run. Raises UserError."""
    facts = [
        "download",
        settings.dataset.model_dump_json(),
        artifacts.sha256(_module(f"datasets/{settings.dataset.name}")),
    ]
    return _ran("download", FOLDER / f"{settings.dataset.name}-{digests.of_facts(facts)}", settings)


def prepared(settings: Params) -> Path:
    """The folder in which `preprocess` has run on the downloaded data. Raises UserError."""
    source = downloaded(settings)
    kinds = (f"inputs/{name}" for name in choices("inputs"))
    modules = ("preprocess", "files/splits", "inputs/_split_checks", *kinds)
    code = [artifacts.sha256(_module(name)) for name in modules]
    facts = [source.name, settings.preprocess.model_dump_json(), *code]
    folder = FOLDER / f"{settings.dataset.name}-{digests.of_facts(facts)}-prepared"
    return _ran("preprocess", folder, settings, source)


def describe(settings: Iterable[Params]) -> str:
    """The datasets used, with the sizes of their training and test parts."""
    return "; ".join(dict.fromkeys(map(_size, settings)))


def _size(settings: Params) -> str:
    train, test = (
        len(split_files.load_split(split, downloaded(settings) / artifacts.RAW)[1])
        for split in ("train", "test")
    )
    return f"{settings.dataset.name}, {train:,} + {test:,} examples"


def _ran(stage: str, folder: Path, settings: Params, source: Path | None = None) -> Path:
    """Runs a stage in `folder`, unless it is there. It appears complete or not at all."""
    with alone(folder.with_name(f".{folder.name}")):
        if folder.exists():
            return folder
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".making-") as temporary:
            project = Path(temporary) / "project"
            project.mkdir()
            if source:
                (project / "data").mkdir()
                (project / artifacts.RAW).symlink_to((source / artifacts.RAW).resolve())
            (project / params.FILE).write_text(settings.model_dump_json(), encoding="utf-8")
            print(f"{stage} of {settings.dataset.name}", flush=True)
            _run(stage, project)
            shutil.move(project, folder)
    return folder


def _run(stage: str, project: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    mirror = environment.get("DATA_MIRROR")
    if mirror and Path(mirror).is_dir():
        environment["DATA_MIRROR"] = str(Path(mirror).resolve())
    done = subprocess.run(
        [sys.executable, "-m", f"pipeline.{stage}"],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise UserError(f"{stage}: {lines[-1].removeprefix('error: ')}")


def _module(name: str) -> Path:
    return PACKAGE / f"{name}.py"
