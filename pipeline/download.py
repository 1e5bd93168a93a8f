"""Stage 1: download the raw arrays of a dataset and verify each of them.

    python -m pipeline.download

Reads: the dataset's sources (DATA_MIRROR, public addresses, package registries), or your own file
or folder.
Writes: data/raw/{train,test}/{images,labels}.npy, data/raw/description.json. Photos stay where they
are: a table of them, pictures.csv, stands in place of images.npy.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from pipeline.config import params
from pipeline.config.params import Dataset
from pipeline.config.parts import declared, is_number, one_class_each
from pipeline.datasets import Raw
from pipeline.datasets.reading import other_pictures
from pipeline.files import artifacts, pictures
from pipeline.files import raw as raw_files
from pipeline.files.artifacts import Array
from pipeline.process import dvc_command, stage
from pipeline.process.errors import UserError
from pipeline.process.words import counted


def describe(dataset: Dataset, raw: Raw) -> artifacts.Description:
    arrays = {
        "train_images": raw.train_images,
        "train_labels": raw.train_labels,
        "test_images": raw.test_images,
        "test_labels": raw.test_labels,
    }
    sha256 = {key: digest(array) for key, array in arrays.items()}
    return artifacts.Description(
        name=dataset.name,
        class_names=raw.class_names,
        input_shape=raw.train_images.shape[1:],
        sha256=sha256,
        unreadable=raw.unreadable,
        kind=raw.kind,
        highest=raw.highest,
        vocabulary=raw.vocabulary,
        examples=raw.examples,
        not_passed_on=raw.not_passed_on,
        target=raw.target,
        framing=dataset.framing,
        group=raw.group,
        sound=raw.sound,
        series=raw.series,
    )


def digest(array: Array) -> str:
    photos = pictures.on_disk(array)
    return artifacts.array_sha256(array) if photos is None else photos.sha256()


def save_others(dataset: Dataset, raw: Raw) -> None:
    """The pictures of `dataset.other`, if it names any. Raises UserError."""
    if dataset.other == params.NONE:
        return
    if not declared("inputs", raw.kind)["IMAGES"] or not one_class_each(raw.target):
        raise UserError(
            f"dataset.other is {dataset.other}, which is for images of one class each; "
            f"expected {params.NONE} with other data"
        )
    shape = raw.train_images.shape[1:]
    others = other_pictures.load(Path(dataset.other), shape, dataset.framing)
    for part, images in others.items():
        raw_files.save_inputs(f"{raw_files.OTHERS}/{part}", images)
    count = counted(sum(map(len, others.values())), "picture")
    print(f"{dataset.other}: {count} of none of the classes")


def main() -> None:
    dvc_command.check_cache()
    dataset = params.load().dataset
    raw: Raw = importlib.import_module(f"pipeline.datasets.{dataset.name}").load(dataset)
    description = describe(dataset, raw)
    folder = artifacts.empty(artifacts.RAW)
    raw_files.save("train", raw.train_images, raw.train_labels, raw.train_columns)
    raw_files.save("test", raw.test_images, raw.test_labels, raw.test_columns)
    save_others(dataset, raw)
    if raw.validation is not None:
        artifacts.save_array(folder / "train" / "validation.npy", raw.validation)
    if raw.left_out:
        artifacts.save_csv(raw_files.LEFT_OUT, ("file", "reason"), sorted(raw.left_out.items()))
        print(f"{raw_files.LEFT_OUT} lists all that was left out, with the reasons")
    artifacts.save_description(folder / "description.json", description)
    what = f"{len(raw.class_names)} {raw.target}" if not is_number(raw.target) else "a number"
    print(
        f"{dataset.name}: {len(raw.train_labels)} training and {len(raw.test_labels)} test "
        f"examples, {what}"
    )


if __name__ == "__main__":
    stage.run(main)
