"""From a list of sound files to a dataset: each recording becomes log-mel features.

Recordings of any rate, length and number of channels are mixed down, resampled to `dataset.rate`,
and cut or zero-padded to `dataset.seconds`. Only that much of a file is read. The features are
those of `serving.log_mel`, which a device computes too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import IO, Annotated, NamedTuple

import numpy as np
import soundfile
from pydantic import Field, PositiveInt
from scipy.signal import resample_poly
from threadpoolctl import threadpool_limits

from pipeline.config import section
from pipeline.config.params import Dataset
from pipeline.config.parts import one_class_each
from pipeline.datasets import Raw
from pipeline.datasets.reading import label_meaning, photo_list
from pipeline.datasets.reading.file_tree import FileError, Open
from pipeline.datasets.reading.photo_list import Candidate, Listed
from pipeline.files import pictures
from pipeline.files.artifacts import Array
from pipeline.files.raw import FILE, RECORDING
from pipeline.files.splits import stratified
from pipeline.process.errors import UserError
from pipeline.process.progress import followed
from pipeline.process.words import counted, verb
from serving.log_mel import LogMel

SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".au")
NOT_READ = (".m4a", ".aac", ".wma", ".amr", ".3gp", ".mp4", ".webm", ".caf", ".w64", ".ape", ".wv")
CONVERT = "convert them, such as with `ffmpeg -i any.m4a -ac 1 any.wav`"
LOWEST_RATE, HIGHEST_RATE = 4000, 192_000  # Hz
MOST_CHANNELS = 32
LOUDEST = 100.0  # of floats that should be -1 to 1: encoders overshoot, and int16 is far beyond
MARGIN = 64  # more samples than are used, so that resampling has no edge there

Read = tuple[Array, bool]  # features (T, bands, 1), and whether the recording is longer


class Options(section.Options):
    """What becomes of every recording."""

    rate: Annotated[int, Field(ge=4000, le=48000)] = 8000  # Hz
    seconds: Annotated[float, Field(gt=0, le=60)] = 1.0
    window: Annotated[int, Field(ge=2, le=512)] = 256  # samples of a frame
    hop: PositiveInt = 128  # samples between frames
    bands: Annotated[int, Field(ge=1, le=128)] = 32

    @property
    def samples(self) -> int:
        """Of a recording."""
        return int(self.seconds * self.rate)


def front_end(options: Options) -> LogMel:
    """Raises UserError for parameters without features."""
    try:
        result = LogMel(options.rate, options.window, options.hop, options.bands)
    except ValueError as error:
        raise UserError(f"dataset: {error}") from None
    if result.frames(options.samples) < 1:
        raise UserError(
            f"dataset.seconds is {options.seconds:g}, {options.samples} samples; expected at least "
            f"dataset.window, {options.window}"
        )
    return result


def shape(params: Dataset) -> tuple[int, int, int]:
    """Of the features of one recording. Raises UserError for parameters without features."""
    options = params.options(Options)
    mel = front_end(options)
    return mel.frames(options.samples), mel.bands, 1


def dataset(params: Dataset, listed: Listed, open_file: Open) -> Raw:
    """Reads the recordings. Those that cannot be read are left out, and named in the terminal.

    Rows are interleaved: any first ones hold the classes in proportion. Raises UserError.
    """
    candidates, class_names, left_out, target = listed
    options = params.options(Options)
    mel = front_end(options)
    readable, unreadable = _read(candidates, open_file, mel, options)
    photo_list.say_what_is_left_out(len(candidates), unreadable, left_out, "recording")
    if longer := sum(is_longer for _, (_, is_longer) in readable):
        print(
            f"{counted(longer, 'recording')} longer than dataset.seconds, {options.seconds:g}: "
            "what follows is not used"
        )
    _say_what_is_silent([row.file for row, (image, _) in readable if not image.any()])
    labels = label_meaning.array(target, [row.label for row, _ in readable], class_names)
    order = stratified(label_meaning.strata(target, labels))
    rows, labels = [readable[number] for number in order], labels[order]
    is_test = np.array([row.part == "test" for row, _ in rows], bool)
    train, test = (_part(rows, labels, mask, shape(params)) for mask in (~is_test, is_test))
    if not train.rows:
        raise UserError(f"{params.path} holds no readable recording for training")
    counts = label_meaning.counts(target, train.labels, class_names)
    noun = "class" if one_class_each(target) else "label"
    photo_list.check_classes(f"{params.path}: {noun}", counts, "recording", SUFFIXES)
    validation = np.flatnonzero([row.part == "validation" for row in train.rows])
    return Raw(
        train.images,
        train.labels,
        test.images,
        test.labels,
        list(class_names),
        unreadable=sorted(unreadable),
        kind="sounds",
        target=target,
        sound=asdict(mel),
        train_columns=_columns(train.rows),
        test_columns=_columns(test.rows),
        validation=validation if len(validation) else None,
        group=RECORDING if any(row.seconds for row, _ in rows) else None,
        left_out={**left_out, **unreadable},
    )


def _say_what_is_silent(files: Sequence[str]) -> None:
    if files:
        are, their = verb(len(files), "is", "are"), verb(len(files), "its", "their")
        print(
            f"note: {counted(len(files), 'recording')} {are} silent once {their} channels are "
            f"mixed to one: {photo_list.shown(files)}; channels may cancel each other out"
        )


def _read(
    candidates: Sequence[Candidate], open_file: Open, mel: LogMel, options: Options
) -> tuple[list[tuple[Candidate, Read]], dict[str, str]]:
    """The recordings that can be read, and why the others cannot."""

    def read(row: Candidate) -> Read | str:
        try:
            with open_file(row.file) as opened:
                return features(opened, mel, options.samples, row.seconds)
        except Exception as error:  # on damaged files libsndfile and zipfile raise anything
            return reason(error)

    results = pictures.in_threads(read, candidates)
    # Several are read at once: with threads of BLAS as well it took up to five times as long.
    with threadpool_limits(1, "blas"):
        done = list(followed(results, len(candidates), "reading sounds"))
    pairs = list(zip(candidates, done, strict=True))
    unreadable = {row.file: result for row, result in pairs if isinstance(result, str)}
    return [(row, result) for row, result in pairs if not isinstance(result, str)], unreadable


class Part(NamedTuple):
    """The recordings of a part: features (N, T, bands, 1) uint8, labels, and what they are."""

    images: Array
    labels: Array
    rows: list[Candidate]


def _part(
    rows: Sequence[tuple[Candidate, Read]], labels: Array, mask: Array, shape: tuple[int, int, int]
) -> Part:
    """Those of N rows for which the mask (N,) is true."""
    own = [rows[number] for number in np.flatnonzero(mask).tolist()]
    images = np.array([image for _, (image, _) in own], np.uint8).reshape(-1, *shape)
    return Part(images, labels[mask], [row for row, _ in own])


def _columns(rows: Sequence[photo_list.Candidate]) -> dict[str, list[str]]:
    """What is known of each recording, and its file, for `preprocess.group`."""
    names = rows[0].columns if rows else {}
    columns = {name: [row.columns[name] for row in rows] for name in names}
    files = [row.file for row in rows]
    is_cut = any(row.seconds for row in rows)  # so parts of a file stay in one split
    return {**columns, FILE: files, **({RECORDING: files} if is_cut else {})}


def reason(error: Exception) -> str:
    if isinstance(error, FileError):
        return str(error)
    text = " ".join(str(getattr(error, "error_string", error)).split()) or type(error).__name__
    return f"cannot be read: {text.rstrip('.')}"


def features(
    file: IO[bytes], mel: LogMel, count: int, seconds: tuple[float, float] | None = None
) -> Read:
    """The features of the first `count` samples between two seconds, or of the whole file.

    Raises FileError and the errors of libsndfile.
    """
    start, end = seconds or (0.0, math.inf)
    with soundfile.SoundFile(file) as opened:
        check(opened)
        rate = opened.samplerate
        used = -(-count * rate // mel.rate)
        if start:
            opened.seek(min(round(start * rate), opened.frames))
        most = int(min(used + MARGIN, (end - start) * rate))
        values = opened.read(most, dtype="float64", always_2d=True).mean(1)
    check_samples(values, start)
    frames = mel.frames(count)
    recording = as_int16(resampled(values, rate, mel.rate))
    return mel.image(recording, frames), len(values) > used


def check_samples(values: Array, start: float) -> None:
    """Raises FileError for what is not a sound; `start` is the second that values (S,) begin at."""
    if not len(values):
        raise FileError(f"ends before {start:g} s" if start else "holds no samples")
    if not np.isfinite(values).all():
        raise FileError("holds NaN or infinity")
    if (loudest := float(np.abs(values).max())) > LOUDEST:
        raise FileError(
            f"has floats up to {loudest:,.4g}; expected -1 to 1, such as int16 divided by 32,768"
        )


def check(opened: soundfile.SoundFile) -> None:
    """Raises FileError for a rate or channels that are not taken."""
    rate, channels = opened.samplerate, opened.channels
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise FileError(f"has a rate of {rate:,} Hz; expected {LOWEST_RATE:,} to {HIGHEST_RATE:,}")
    if channels > MOST_CHANNELS:
        raise FileError(f"has {channels} channels; expected at most {MOST_CHANNELS}")


def resampled(values: Array, rate: int, wanted: int) -> Array:
    """Samples (S,) at another rate, by a polyphase filter; the same ones at the same rate."""
    common = math.gcd(rate, wanted)
    result: Array = values
    if rate != wanted:
        result = resample_poly(values, wanted // common, rate // common)
    return result


def as_int16(values: Array) -> Array:
    """Samples from -1 to 1 as 16-bit PCM has them; those of a 16-bit file are its own."""
    result: Array = np.clip(np.rint(values * 2**15), -(2**15), 2**15 - 1).astype(np.int16)
    return result
