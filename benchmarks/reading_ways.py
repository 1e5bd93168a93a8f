"""One way to read photos for training, in a process of its own: see benchmarks/reading.py.

    python -m benchmarks.reading_ways WAY FOLDER SIDE      prints what it took
    python -m benchmarks.reading_ways pack FOLDER SIDE     writes FOLDER/photos.array_record

Keras's `fit` trains a model whose step does nothing, so what is measured is what reaches a step.
Keras and TensorFlow are not imported here, as Grain's processes import this module.

FOLDER holds the photos in all stores, and files.npy and labels.npy. Each way gives batches of BATCH
photos with their labels, in a random order, another one in each epoch. All but TensorFlow's own
decoder use Pillow as devices do, so the pixels are equal; our own ways also compare each file's
SHA-256.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.files.artifacts import Array
from pipeline.files.pictures import Pictures, picture_file, picture_table
from pipeline.files.pictures.picture_file import Shape

BATCH = 50
WARM_UP, TIMED = 10, 20  # batches
WORKERS = 2
RECORDS = "photos.array_record"


class Photos:
    """The photos of a folder, with their labels: what a way reads."""

    def __init__(self, folder: Path, side: int) -> None:
        self.folder = folder
        self.shape: Shape = (side, side, 3)
        self.files = [str(folder / "photos" / name) for name in np.load(folder / "files.npy")]
        self.labels: Array = np.load(folder / "labels.npy")

    def decoded(self, data: bytes) -> Array:
        return picture_file.image(data, self.shape)


class Files:
    """A random-access source of Grain: the bytes of a file, and its label."""

    def __init__(self, photos: Photos) -> None:
        self.files, self.labels = photos.files, photos.labels

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[bytes, Any]:
        return Path(self.files[index]).read_bytes(), self.labels[index]


class Records(Files):
    """The same from a file of ArrayRecord, whose records are the bytes of the pictures."""

    def __init__(self, photos: Photos) -> None:
        super().__init__(photos)
        self.path = str(photos.folder / RECORDS)
        self.source: Any = None

    def __getitem__(self, index: int) -> tuple[bytes, Any]:
        import grain

        if self.source is None:  # in the process that reads
            self.source = grain.sources.ArrayRecordDataSource(self.path)
        return self.source[index], self.labels[index]


class Column(Files):
    """The column of a Parquet file, which is held in memory: Parquet gives no single row."""

    def __init__(self, photos: Photos) -> None:
        import pyarrow.parquet

        super().__init__(photos)
        self.column = pyarrow.parquet.read_table(photos.folder / "photos.parquet")["picture"]

    def __getitem__(self, index: int) -> tuple[bytes, Any]:
        return self.column[index].as_py(), self.labels[index]


def ours(images: Callable[[Photos], Array]) -> Callable[[Photos], Any]:
    """The batches of the stage `train`."""

    def batches(photos: Photos) -> Any:
        from pipeline.training.batches import Data, ShuffledBatches

        split = images(photos), photos.labels
        data = Data(split, split, int(photos.labels.max()) + 1)
        return ShuffledBatches(data, BATCH, sparse=True, seed=0, epoch=0)

    return batches


def pictures(store: str) -> Callable[[Photos], Array]:
    def stored(photos: Photos) -> Array:
        table = picture_table.load(photos.folder / "table.csv")
        return Pictures(photos.folder / store, table, photos.shape).as_array()

    return stored


def pixels(photos: Photos) -> Array:
    images: Array = np.load(photos.folder / f"pixels{photos.shape[0]}.npy", mmap_mode="r")
    return images


def tf_data(native: bool) -> Callable[[Photos], Any]:
    """tf.data over the files, tuned by itself; decodes with TensorFlow, or with Pillow."""

    def batches(photos: Photos) -> Any:
        import tensorflow as tf

        def by_tensorflow(data: Any) -> Any:
            image = tf.io.decode_jpeg(data, channels=3)
            resized = tf.image.resize(image, photos.shape[:2], antialias=True)
            return tf.cast(tf.round(resized), tf.uint8)

        def by_pillow(data: Any) -> Any:
            image = tf.numpy_function(photos.decoded, [data], tf.uint8)
            return tf.ensure_shape(image, photos.shape)

        decode = by_tensorflow if native else by_pillow
        dataset = tf.data.Dataset.from_tensor_slices((photos.files, photos.labels))
        dataset = dataset.shuffle(len(photos.files))
        dataset = dataset.map(
            lambda file, label: (decode(tf.io.read_file(file)), label), tf.data.AUTOTUNE
        )
        return dataset.batch(BATCH).prefetch(tf.data.AUTOTUNE)

    return batches


def grain_reads(source: type[Files], processes: int = 0) -> Callable[[Photos], Any]:
    """Grain with the options that it has by itself, in its threads or in processes."""

    def batches(photos: Photos) -> Any:
        import grain

        dataset = grain.MapDataset.source(source(photos)).shuffle(0).repeat(2)
        decoded = dataset.map(lambda pair: (photos.decoded(pair[0]), pair[1]))
        rows = decoded.to_iter_dataset().batch(BATCH)
        if processes:
            return rows.mp_prefetch(grain.MultiprocessingOptions(num_workers=processes))
        return rows

    return batches


def nothing(photos: Photos) -> Any:
    """One batch again and again: what all ways have in common."""
    import tensorflow as tf

    batch = np.zeros((BATCH, *photos.shape), np.uint8), photos.labels[:BATCH]
    return tf.data.Dataset.from_tensors(batch).repeat()


def py_dataset(source: type[Files], **options: Any) -> Callable[[Photos], Any]:
    def batches(photos: Photos) -> Any:
        from benchmarks.reading_keras import Shuffled

        return Shuffled(source(photos), photos.decoded, BATCH, workers=WORKERS, **options)

    return batches


# What reads the photos, by its name in the report
WAYS: dict[str, Callable[[Photos], Any]] = {
    "ours, compressed files": ours(pictures("photos")),
    "ours, compressed in a zip file": ours(pictures("shards")),
    "ours, pixels": ours(pixels),
    "PyDataset, 2 threads": py_dataset(Files),
    "PyDataset, 2 processes": py_dataset(Files, use_multiprocessing=True),
    "PyDataset, Parquet in memory": py_dataset(Column),
    "tf.data, Pillow": tf_data(native=False),
    "tf.data, its own decoder": tf_data(native=True),
    "Grain, threads": grain_reads(Files),
    "Grain, 2 processes": grain_reads(Files, processes=WORKERS),
    "Grain, ArrayRecord, threads": grain_reads(Records),
    "Grain, ArrayRecord, 2 processes": grain_reads(Records, processes=WORKERS),
    "nothing is read": nothing,
}


def pack(photos: Photos) -> None:
    from array_record.python.array_record_module import ArrayRecordWriter

    writer = ArrayRecordWriter(str(photos.folder / RECORDS), "group_size:1")
    for file in photos.files:
        writer.write(Path(file).read_bytes())
    writer.close()


def main() -> None:
    way, folder, side = sys.argv[1:]
    photos = Photos(Path(folder), int(side))
    if way == "pack":
        pack(photos)
    else:
        from benchmarks import reading_keras

        reading_keras.read(WAYS[way](photos), WARM_UP, TIMED)


if __name__ == "__main__":
    main()
