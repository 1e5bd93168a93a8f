"""Stage 0: check every value of params.yaml, and that the files it names exist.

    python -m pipeline.check

Reads: params.yaml. Writes nothing. It runs first because DVC reports only that a file is missing;
this stage says which value is wrong and what was expected.
"""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.config import mnist_problem, params
from pipeline.config.params import Dataset, Params
from pipeline.config.parts import declared
from pipeline.files import artifacts, s3
from pipeline.planning.data import SURVEYED
from pipeline.process import stage
from pipeline.process.errors import UserError

# The values that name a file or a folder, and the cure if it does not exist
NAMED_PATHS = {
    "dataset.path": "name your npz file or folder",
    "dataset.other": "name a folder, zip or npz file of pictures that are none of the classes, or "
    f"{params.NONE} for none",
    "preprocess.corrections": f"name a CSV of corrected labels, or {params.NONE} for none",
    "evaluate.folds": f"`edgeproof run` writes {artifacts.FOLDS}; or name {params.NONE} for none",
    "model.path": f"name a .keras or .h5 file, or {params.NONE} to train a model",
    "train.start_from": f"name a trained model, a .keras file, or {params.NONE} for fresh weights",
}


def main() -> None:
    check(params.load())


def check(settings: Params) -> None:
    """Raises UserError for the first value that cannot be run with."""
    check_paths(settings)
    if s3.is_address(Path(settings.dataset.path)):
        check_bucket(settings.dataset)
    check_problem(settings)
    check_names("dataset.path", Path(settings.dataset.path))
    check_names("dataset.other", Path(settings.dataset.other))
    check_targets(settings)
    if settings.embed.board and not settings.model.is_given:
        check_board(settings, settings.embed.board)


def check_paths(settings: Params) -> None:
    """Raises UserError for the first file or folder that does not exist; of S3 it asks nothing."""
    for key, cure in NAMED_PATHS.items():
        section, name = key.split(".")
        path = Path(getattr(getattr(settings, section), name))
        is_on_s3 = key == "dataset.path" and s3.is_address(path)
        if not is_on_s3 and not path.exists():
            raise UserError(f"{key} {path} does not exist; {cure}")


def check_bucket(dataset: Dataset) -> None:
    """Raises UserError if the dataset cannot be on S3, or its bucket cannot be read."""
    if "PHOTOS" not in declared("datasets", dataset.name):
        raise UserError(
            f"dataset.path {dataset.path} is on S3, which holds photos only; expected "
            f"image_folder or image_list, and dataset.name is {dataset.name}"
        )
    s3.Bucket(Path(dataset.path))


def check_problem(settings: Params) -> None:
    """The model card would say that a model of other data reads digits. Raises UserError.

    Data that come with the project are for experiments such as `dvc exp run -S dataset.name=...`,
    which a warning is enough for.
    """
    dataset = settings.dataset
    keys = mnist_problem.keys(settings.problem)
    if dataset.name == "mnist" or not keys:
        return
    still = (
        f"{', '.join(keys)} still describe{'s' if len(keys) == 1 else ''} the digits of MNIST, "
        f"but dataset.name is {dataset.name}, and the model card prints "
        f"{'it' if len(keys) == 1 else 'them'}"
    )
    if dataset.name in SURVEYED:
        raise UserError(
            f"{still}; describe your own task, or let `edgeproof start {dataset.path}` write a "
            "draft"
        )
    print(f"warning: {still}; describe your own task")


def check_board(settings: Params, board: str) -> None:
    """Raises UserError if the model cannot fit the board, before it is trained.

    For data of the project nothing is known before they are downloaded; `embed` checks them.
    """
    if settings.dataset.name not in SURVEYED:
        return
    from pipeline.planning import start

    fault = start.misfit(settings, board)
    if fault:
        raise UserError(f"the model does not fit embed.board: {fault}")
    print(f"{board} takes the model")


def check_targets(settings: Params) -> None:
    """Raises UserError if targets that are named miss the file that they are generated from.

    With `embed.targets: all`, they are left out if the format was.
    """
    embed = settings.embed
    named = list(embed.names) if embed.targets != "all" else []
    if embed.board and "microcontroller" not in named:
        named.append("microcontroller")
    if named and embed.format not in settings.export.formats:
        raise UserError(
            f"export.formats lacks {embed.format}, without which there is no {', '.join(named)}; "
            "add it, or change embed.format, embed.targets or embed.board"
        )


def check_names(key: str, root: Path) -> None:
    """DVC cannot track a name that is not UTF-8, and does not say which. Raises UserError."""
    for folder, folders, files in os.walk(root):
        for name in sorted([*folders, *files]):
            path = os.fsencode(Path(folder) / name)
            shown = path.decode("utf-8", "backslashreplace")
            if os.fsencode(shown) != path:
                raise UserError(
                    f"{key} holds {shown}, whose name is not UTF-8; rename it, as DVC "
                    "cannot track it"
                )


if __name__ == "__main__":
    stage.run(main)
