"""The data of a study, by the line's own download and preprocess, each run in a folder of its own and only once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from pipeline.config import params
from pipeline.config.params import Params
from pipeline.config.parts import PACKAGE
from pipeline.files import artifacts, digests
from pipeline.files.atomic import alone
from pipeline.process.errors import UserError

FOLDER = artifacts.STATE / "studies"


def raw(chosen: Params) -> Path:
    """The folder in which `download` has run. Raises UserError."""
    facts = [
        "download",
        chosen.dataset.model_dump_json(),
        artifacts.sha256(_module(f"datasets/{chosen.dataset.name}")),
    ]
    return _made("download", FOLDER / f"{chosen.dataset.name}-{digests.of_facts(facts)}", chosen)


def prepared(chosen: Params) -> Path:
    """The folder in which `preprocess` has run on what `download` brought. Raises UserError."""
    source = raw(chosen)
    code = map(
        artifacts.sha256,
        (_module("preprocess"), _module("files/splits"), _module("diagnosis/split_checks")),
    )
    facts = [source.name, chosen.preprocess.model_dump_json(), *code]
    return _made(
        "preprocess",
        FOLDER / f"{chosen.dataset.name}-{digests.of_facts(facts)}-prepared",
        chosen,
        source,
    )


def size(chosen: Params) -> str:
    """How many examples of which dataset there are."""
    counts = [
        len(artifacts.load_split(split, raw(chosen) / artifacts.RAW)[1])
        for split in ("train", "test")
    ]
    return f"{chosen.dataset.name}, {counts[0]:,} + {counts[1]:,} examples"


def _made(stage: str, folder: Path, chosen: Params, source: Path | None = None) -> Path:
    """`folder`, where the stage has run to its end; it appears there whole or not at all."""
    with alone(folder.with_name(f".{folder.name}")):
        if folder.exists():
            return folder
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".making-") as temporary:
            place = Path(temporary) / "project"
            place.mkdir()
            if source:
                (place / "data").mkdir()
                (place / artifacts.RAW).symlink_to((source / artifacts.RAW).resolve())
            (place / params.FILE).write_text(chosen.model_dump_json(), encoding="utf-8")
            print(f"{stage} of {chosen.dataset.name}", flush=True)
            _run(stage, place)
            shutil.move(place, folder)
    return folder


def _run(stage: str, place: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    mirror = environment.get("DATA_MIRROR")
    if mirror and Path(mirror).is_dir():
        environment["DATA_MIRROR"] = str(Path(mirror).resolve())
    done = subprocess.run(
        [sys.executable, "-m", f"pipeline.{stage}"],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        told = done.stderr.strip().splitlines() or [f"it ended with exit status {done.returncode}"]
        raise UserError(f"{stage}: {told[-1].removeprefix('error: ')}")


def _module(name: str) -> Path:
    return PACKAGE / f"{name}.py"
