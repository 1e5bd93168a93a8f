"""The training of a run of the pipeline, done by a worker of a cluster before the run begins.

The worker prepares the data and trains, as the stages do. The command gets its last checkpoint, and
puts it where the stage `train` of the run looks for one. So the run itself goes as ever on the
machine of the command, and finds no epoch left to train.
"""

from __future__ import annotations

import dataclasses
import io
import shutil
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline import preprocess
from pipeline.config import params
from pipeline.config.overrides import Overrides
from pipeline.config.params import Params, Train
from pipeline.files import artifacts, atomic, code, pictures, raw, split_files
from pipeline.process import dvc_command, imports, stage
from pipeline.process.errors import UserError
from pipeline.process.words import counted
from pipeline.search import cached_training, engine
from pipeline.search.announcement import announce, examples_an_epoch
from pipeline.search.engine import Engine
from pipeline.training import fingerprint, learning_curves
from pipeline.training.learning_curves import Row

FOLDER = artifacts.STATE / "remote"
CHECKPOINTS = artifacts.STATE / "train"  # of the stage
USED = {"dataset", "preprocess"}  # sections of params.yaml that `preprocess` uses


@dataclass(frozen=True)
class RemoteResult:
    """A finished training: its key in the stage `train`, its epochs, and their seconds."""

    key: str
    epochs: int
    seconds: float


@dataclass(frozen=True)
class RemoteTraining:
    """The training of a run with these params. `key` is a digest of them, the data and the code."""

    name: str
    key: str
    params: Params
    examples: int
    files: Sequence[Path]

    @property
    def settings(self) -> Train:
        return self.params.train

    @property
    def archive(self) -> Path:
        """The checkpoint as one file."""
        return FOLDER / f"{self.key}.tar"

    def inputs(self) -> list[Path]:
        return list(self.files)

    def outputs(self) -> list[Path]:
        return []  # the command keeps the result, and deletes it after the run

    def cached(self) -> RemoteResult | None:
        """The checkpoint that the command keeps in `archive`, if it has one."""
        facts = self.archive.with_suffix(".json")
        return RemoteResult(**artifacts.load_json(facts)) if facts.exists() else None

    def run(self, on_examples: Callable[[int], None]) -> tuple[RemoteResult, bytes]:
        """The checkpoint and its archive.

        It trains, or resumes what another worker has begun in the same folder.
        """
        folder, an_epoch = FOLDER.absolute() / self.key, examples_an_epoch(self)
        with atomic.alone(folder):
            self._fill(folder)
            with chdir(folder), io.BytesIO() as archive:
                preprocess.main()
                checkpoint = fit(params.load().train, lambda row: on_examples(an_epoch))
                with tarfile.open(fileobj=archive, mode="w") as file:
                    file.add(checkpoint.key)
                result = checkpoint, archive.getvalue()
            shutil.rmtree(folder)
        return result

    def keep(self, result: RemoteResult, archive: bytes) -> None:
        atomic.write_bytes(self.archive, archive)
        # Last: its existence means that the archive is complete
        artifacts.save_json(self.archive.with_suffix(".json"), dataclasses.asdict(result))

    def _fill(self, folder: Path) -> None:
        """Makes a project of the folder, with these params and with links to state and data."""
        shutil.rmtree(folder / "data", ignore_errors=True)  # of an interrupted worker
        data, corrections = self.params.dataset, self.params.preprocess.corrections
        named = map(Path, (data.path, data.other, corrections, str(self.settings.start_from)))
        inputs = [path for path in named if path.exists() and not path.is_absolute()]
        for path in (artifacts.STATE, artifacts.RAW, *inputs):
            link = folder / path
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.exists():
                link.symlink_to(path.absolute())
        (folder / params.FILE).write_text(self.params.model_dump_json(), encoding="utf-8")

    @contextmanager
    def resumed(self, project: Path) -> Iterator[float]:
        """In the block, the stage `train` of a project finds the checkpoint, which it then deletes.

        Gives the seconds of the training. If the block succeeds, nothing of it is kept.
        """
        checkpoint = self.cached()
        assert checkpoint is not None
        with tarfile.open(self.archive) as file:
            file.extractall(project / CHECKPOINTS, filter="data")
        yield checkpoint.seconds
        # Of a training that DVC has restored
        shutil.rmtree(project / CHECKPOINTS / checkpoint.key, ignore_errors=True)
        self.archive.with_suffix(".json").unlink()
        self.archive.unlink()


def fit(settings: Train, on_row: Callable[[Row], None]) -> RemoteResult:
    """Trains on the prepared data of this folder, as the stage does, up to the last checkpoint.

    The checkpoint is a folder with the name of its key.
    """
    with imports.keras_import():  # TensorFlow, which only the worker needs
        from pipeline.training.batches import Data

    splits = split_files.load_split("train"), split_files.load_split("validation")
    data = Data.described(*splits, artifacts.load_description())
    data = dataclasses.replace(data, others=split_files.load_others("train"))
    key = fingerprint.of_training(settings, split_files.digests("train", "validation"))
    trained = cached_training.fitted(settings, data, Path(key), on_row)
    return RemoteResult(key, len(trained.rows), learning_curves.seconds(trained.rows))


def remote(name: str, overrides: Overrides) -> RemoteTraining:
    """The training of a run with these overrides of params.yaml. Raises UserError."""
    whole = params.load()
    settings = params.override(whole, overrides)
    if settings.dataset != whole.dataset:
        raise UserError(
            "dataset is changed for this command, and a cluster trains on data/raw as params.yaml"
            " names it; change dataset in params.yaml, and run `edgeproof run download`"
        )
    files = inputs(settings)
    prepared_by = sorted(code.closure([Path(preprocess.__file__)]))
    facts = [
        settings.model_dump_json(include=USED),
        str(settings.problem.unit),
        *(f"{path} {artifacts.sha256(path)}" for path in files),
        *map(artifacts.sha256, prepared_by),
    ]
    rows, _ = cached_training.split_rows(settings)
    key = fingerprint.of_training(settings.train, facts)
    return RemoteTraining(name, key, settings, settings.train.epochs * len(rows), files)


def inputs(settings: Params) -> list[Path]:
    """The files that preprocessing and training read, from the project's folder."""
    files = sorted(path for path in artifacts.RAW.rglob("*") if path.is_file())
    for images in (raw.load("train")[0], raw.load("test")[0], *raw.others().values()):
        if (photos := pictures.on_disk(images)) is not None:
            files += photos.files_here()
    if settings.preprocess.corrections != params.NONE:
        files.append(Path(settings.preprocess.corrections))
    if settings.train.starts_from_a_file:
        files.append(Path(settings.train.start_from))
    return list(dict.fromkeys(files))


def train(trainings: Sequence[RemoteTraining], where: Engine) -> None:
    """Trains, on workers side by side, what is not trained yet. Raises UserError."""
    announce(trainings, where)
    todo = [training for training in trainings if training.cached() is None]
    for number, result in engine.results(todo, where, describe):
        todo[number].keep(*result)


def describe(training: RemoteTraining, result: tuple[RemoteResult, bytes]) -> str:
    checkpoint, _ = result
    epochs = counted(checkpoint.epochs, "epoch")
    return f"{training.name}: {epochs} trained in {stage.duration(checkpoint.seconds)}"


def check_data() -> None:
    """Raises UserError if data/raw is not what params.yaml names."""
    if dvc_command.is_outdated("download"):
        raise UserError(
            "data/raw, on which a cluster trains, is missing or belongs to other params, data or"
            " code; run `edgeproof run download`"
        )
