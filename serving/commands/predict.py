"""`serving predict BUNDLE PICTURE ...`: what pictures show; files, folders, or `-` for standard input."""

from __future__ import annotations

import argparse
import codecs
import csv
import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional, TextIO, Tuple, Union

from serving import commands, photo
from serving.bundle import is_folder
from serving.classifier import Classifier
from serving.errors import InputError, ServingError, printable

if TYPE_CHECKING:
    from serving.prediction_log import PredictionLog

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands.add_bundle(parser)
    parser.add_argument(
        "pictures",
        nargs="+",
        help="picture files, folders of them, or - for one picture from standard input",
    )
    commands.add_choice(parser)
    commands.add_log(parser)
    parser.add_argument(
        "--top",
        type=int,
        default=1,
        metavar="K",
        help="the K most probable classes (default %(default)s)",
    )
    parser.add_argument(
        "--output", choices=sorted(WRITERS), default="table", help="default %(default)s"
    )


def run(arguments: argparse.Namespace) -> int:
    """0, or 1 where a picture could not be read; the others are answered all the same."""
    classifier = Classifier.load(
        commands.open_bundle(arguments), arguments.format, arguments.runtime
    )
    count = len(classifier.card.class_names)
    if not 1 <= arguments.top <= count:
        raise InputError(
            f"--top is {arguments.top}; allowed is 1 to {count}, the number of classes"
        )
    failures: List[ServingError] = []
    log = commands.open_log(arguments)
    predictions = _predictions(classifier, arguments.pictures, arguments.top, log, failures)
    columns = [
        f"{column}_{rank}"
        for rank in range(1, arguments.top + 1)
        for column in ("class", "probability")
    ]
    WRITERS[arguments.output](
        predictions, ["picture", *columns, *(["id"] if log else [])], sys.stdout
    )
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
    """One after the other, so that a folder of any size takes the memory of one picture."""
    for name, source in _sources(pictures):
        try:
            with _silent_stderr():
                image = photo.read(source, classifier.card)
        except InputError as error:
            failures.append(error)
            print(f"error: {error}", file=sys.stderr)
            continue
        answer = classifier.predict(image[None])
        order = answer[0].argsort(kind="stable")[::-1][:top]
        names = classifier.card.class_names
        classes = [
            {"class": names[index], "probability": float(answer[0, index])} for index in order
        ]
        yield {
            "picture": name,
            "classes": classes,
            **({"id": log.add(classifier, image[None], answer, name)[0]} if log else {}),
        }


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Nothing is written to stderr: of a damaged TIFF, libtiff prints there what the error says already."""
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


def _sources(pictures: List[str]) -> Iterator[Tuple[str, Union[Path, bytes]]]:
    for name in pictures:
        path = Path(name)
        if name == "-":
            yield "standard input", sys.stdin.buffer.read()
        elif is_folder(path):
            files = [file for file in sorted(path.rglob("*")) if file.suffix.lower() in SUFFIXES]
            if not files:
                raise InputError(
                    f"{path} holds no picture; allowed are {', '.join(sorted(SUFFIXES))}"
                )
            yield from ((_printable(str(file)), file) for file in files)
        else:
            yield _printable(name), path


def _printable(name: str) -> str:
    """A file's name of any bytes, of which those that are no UTF-8 are written as \\xFF."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _write_table(predictions: Iterator[Dict[str, Any]], columns: List[str], output: TextIO) -> None:
    for prediction in predictions:
        classes = "   ".join(
            f"{entry['class']} {100 * entry['probability']:6.2f} %"
            for entry in prediction["classes"]
        )
        output.write(
            "   ".join([classes, printable(prediction["picture"]), *_id(prediction)]) + "\n"
        )


def _write_json(predictions: Iterator[Dict[str, Any]], columns: List[str], output: TextIO) -> None:
    """One object a line."""
    whole = (
        codecs.lookup(output.encoding or "ascii").name == "utf-8"
    )  # any other may lack a letter, so that it is escaped
    for prediction in predictions:
        output.write(json.dumps(prediction, ensure_ascii=not whole) + "\n")


def _write_csv(predictions: Iterator[Dict[str, Any]], columns: List[str], output: TextIO) -> None:
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(columns)
    for prediction in predictions:
        values = [entry[key] for entry in prediction["classes"] for key in ("class", "probability")]
        writer.writerow([prediction["picture"], *values, *_id(prediction)])


def _id(prediction: Dict[str, Any]) -> List[str]:
    """By which the log knows it, where there is one."""
    return [prediction["id"]] if "id" in prediction else []


WRITERS = {"table": _write_table, "json": _write_json, "csv": _write_csv}
