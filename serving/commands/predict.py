"""`serving predict BUNDLE PICTURE ...`: classifies pictures: files, folders, or `-` for stdin."""

from __future__ import annotations

import argparse
import codecs
import csv
import io
import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional, Tuple, Union

import numpy as np

from serving import commands, framing, gate, photo, sound
from serving.bundle import is_folder
from serving.classifier import Classifier
from serving.errors import InputError, ServingError, printable
from serving.model_card import ModelCard

if TYPE_CHECKING:
    from serving.prediction_log import PredictionLog

LARGEST_BYTES = 256 << 20  # of standard input, which might never end


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands.add_bundle(parser)
    parser.add_argument(
        "pictures",
        nargs="+",
        help="pictures, .wav files for a model of sounds, .csv or .npy files for one of series; "
        "folders of them, or - for one from standard input",
    )
    commands.add_choice(parser)
    commands.add_log(parser)
    parser.add_argument(
        "--top",
        type=int,
        default=1,
        metavar="K",
        help="print the K most probable classes (default %(default)s)",
    )
    parser.add_argument(
        "--output",
        choices=sorted(WRITERS),
        default="table",
        help="the output format (default %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """0, or 1 if a picture could not be read; the others are classified."""
    bundle = commands.open_bundle(arguments)
    classifier = Classifier.load(bundle, arguments.format, arguments.runtime)
    top, classes = arguments.top, len(classifier.card.class_names)
    target = classifier.card.target
    if target != "classes":
        top = classes
    if not 1 <= top <= classes:
        raise InputError(f"--top is {top}; expected 1 to {classes}, the number of classes")
    failures: List[ServingError] = []
    log = commands.open_log(arguments)
    predictions = _predictions(classifier, arguments.pictures, top, log, failures)
    columns = ["picture"] if target == "labels" else ["picture", "class"]
    for rank in range(1, top + 1):
        columns += [f"class_{rank}", f"probability_{rank}"]
    if target == "number":
        columns = ["picture", "number", "low", "high", "unit"]
    if log:
        columns.append("id")
    WRITERS[arguments.output](predictions, columns)
    if log:
        log.close()
    return 1 if failures else 0


def _predictions(
    classifier: Classifier,
    pictures: List[str],
    top: int,
    log: Optional[PredictionLog],
    failures: List[ServingError],
) -> Iterator[Dict[str, Any]]:
    """One by one, so a folder of any size takes the memory of one picture."""
    card = classifier.card
    for name, source in _sources(pictures, card.kind.suffixes or framing.SUFFIXES):
        try:
            for names, images in _named(source, name, card):
                yield from _answers(classifier, names, images, top, log)
        except InputError as error:
            failures.append(error)
            print(f"error: {error}", file=sys.stderr)


def _answers(
    classifier: Classifier, names: List[str], images: Any, top: int, log: Optional[PredictionLog]
) -> Iterator[Dict[str, Any]]:
    card, probabilities = classifier.card, classifier.predict(images)
    for index, (name, row) in enumerate(zip(names, probabilities)):
        single = slice(index, index + 1)
        prediction: Dict[str, Any] = {"picture": name}
        if card.number:
            prediction.update(classifier.number(row))
        else:
            prediction.update(_recognized(classifier, row, top))
        if log:
            prediction["id"] = log.add(classifier, images[single], probabilities[single], name)[0]
        yield prediction


def _recognized(classifier: Classifier, row: Any, top: int) -> Dict[str, Any]:
    """The class of a row (K,), None if the file rejects it, and the most probable classes.

    Of several labels at once, those that hold.
    """
    card, order = classifier.card, row.argsort(kind="stable")[::-1][:top]
    answer: Dict[str, Any] = {}
    if card.target == "labels":
        order = order[gate.holds(row, card.holds_from)[order]]
    else:
        answer["class"] = classifier.answers(row[None])[0]
    answer["classes"] = [
        {"class": card.class_names[number], "probability": float(row[number])} for number in order
    ]
    return answer


def _named(
    source: Union[Path, bytes], name: str, card: ModelCard
) -> Iterator[Tuple[List[str], Any]]:
    """Inputs (N, ...) with a name for each. Raises InputError."""
    sampling = card.preprocessing.series
    if sampling and not name.lower().endswith(".npy"):
        for own_name, values in sampling.windows(source, name, card.input_shape[0]):
            yield [own_name], values[None]
        return
    images = _inputs(source, name, card)
    several = len(images) > 1
    yield [f"{name}[{index}]" if several else name for index in range(len(images))], images


def _inputs(source: Union[Path, bytes], name: str, card: ModelCard) -> Any:
    """The picture or sound as the model takes it, (1, ...); or inputs (N, ...) of a .npy file."""
    if not card.kind.suffixes:
        with _silent_stderr():
            return photo.read(source, card)[None]
    if card.preprocessing.sound:
        return sound.read(source, name, card)[None]
    shape = ", ".join(map(str, card.input_shape))
    try:
        array = np.load(io.BytesIO(source) if isinstance(source, bytes) else source)
        images = array if array.ndim > card.kind.dimensions else array[None]
        fits = images.dtype == card.input.type and images.shape[1:] == card.input_shape
    except Exception:  # NumPy raises anything on what is no .npy file, or a damaged one
        fits = False
    if not fits:
        raise InputError(
            f"{name} is not an input of {card.name}, which takes {card.kind.noun}; "
            f"expected a .npy file of {card.input.type} ({shape}) or (N, {shape})"
        )
    if fault := card.kind.fault(images):
        raise InputError(f"{name} {fault}")
    return images


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Discards stderr: for a damaged TIFF, libtiff prints there what our error already says."""
    if sys.stderr is None:  # it was closed
        yield
        return
    sys.stderr.flush()
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)


def _sources(
    pictures: List[str], suffixes: Tuple[str, ...]
) -> Iterator[Tuple[str, Union[Path, bytes]]]:
    for name in pictures:
        path = Path(name)
        if name == "-":
            data = sys.stdin.buffer.read(LARGEST_BYTES + 1)
            if len(data) > LARGEST_BYTES:
                raise InputError(f"standard input has over {LARGEST_BYTES:,} bytes; name a file")
            yield "standard input", data
        elif is_folder(path):
            files = [file for file in sorted(path.rglob("*")) if file.suffix.lower() in suffixes]
            noun = "picture" if suffixes == framing.SUFFIXES else "input of the model"
            if not files:
                raise InputError(f"{path} holds no {noun}; expected {', '.join(suffixes)}")
            yield from ((_decodable(str(file)), file) for file in files)
        else:
            yield _decodable(name), path


def _decodable(name: str) -> str:
    r"""A file name of any bytes, with \xFF and the like for those that are not UTF-8."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _write_table(predictions: Iterator[Dict[str, Any]], columns: List[str]) -> None:
    for prediction in predictions:
        if "number" in prediction:
            cells = [_in_words(prediction)]
        else:
            cells = [f"{name} {100 * value:6.2f} %" for name, value in _ranking(prediction)]
        if not cells:
            cells = ["none of the labels"]
        elif prediction.get("class", "") is None:
            cells[0] = f"none (best guess {cells[0]})"
        cells += [printable(prediction["picture"]), *_id(prediction)]
        print("   ".join(cells))


def _write_json(predictions: Iterator[Dict[str, Any]], columns: List[str]) -> None:
    """One object per line. An encoding that may lack a letter has it escaped."""
    utf8 = codecs.lookup(sys.stdout.encoding or "ascii").name == "utf-8"
    for prediction in predictions:
        print(json.dumps(prediction, ensure_ascii=not utf8))


def _write_csv(predictions: Iterator[Dict[str, Any]], columns: List[str]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    for prediction in predictions:
        if "number" in prediction:
            writer.writerow([prediction.get(name) for name in columns])
            continue
        values = [value for pair in _ranking(prediction) for value in pair]
        answer = [prediction["class"]] if "class" in prediction else []  # None: an empty cell
        cells = [prediction["picture"], *answer, *values]
        if "id" in prediction:  # which stands last, however many labels hold
            cells += [None] * (len(columns) - 1 - len(cells)) + _id(prediction)
        writer.writerow(cells)


def _in_words(prediction: Dict[str, Any]) -> str:
    """A number with its interval, if the file has one, and the unit."""
    words = f"{prediction['number']:.4g} {prediction['unit']}"
    if prediction["low"] is None:
        return words
    low, high, coverage = (prediction[name] for name in ("low", "high", "coverage"))
    return f"{words} ({low:.4g} to {high:.4g} with {100 * coverage:.4g} %)"


def _ranking(prediction: Dict[str, Any]) -> List[Tuple[str, float]]:
    return [(entry["class"], entry["probability"]) for entry in prediction["classes"]]


def _id(prediction: Dict[str, Any]) -> List[str]:
    """Its id in the log, if there is one."""
    return [prediction["id"]] if "id" in prediction else []


WRITERS = {"table": _write_table, "json": _write_json, "csv": _write_csv}
