"""`serving predict BUNDLE PICTURE ...`: what pictures show; files, folders, or `-` for standard input."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List, TextIO, Tuple, Union

from serving import commands, photo
from serving.classifier import Classifier
from serving.errors import InputError, ServingError

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands.add_bundle(parser)
    parser.add_argument("pictures", nargs="+", help="picture files, folders of them, or - for one picture from standard input")
    commands.add_choice(parser)
    parser.add_argument("--top", type=int, default=1, metavar="K", help="the K most probable classes (default %(default)s)")
    parser.add_argument("--output", choices=sorted(WRITERS), default="table", help="default %(default)s")


def run(arguments: argparse.Namespace) -> int:
    """0, or 1 where a picture could not be read; the others are answered all the same."""
    classifier = Classifier.load(commands.open_bundle(arguments), arguments.format, arguments.runtime)
    count = len(classifier.card.class_names)
    if not 1 <= arguments.top <= count:
        raise InputError(f"--top is {arguments.top}; allowed is 1 to {count}, the number of classes")
    failures: List[ServingError] = []
    WRITERS[arguments.output](_predictions(classifier, arguments.pictures, arguments.top, failures), arguments.top, sys.stdout)
    return 1 if failures else 0


def _predictions(classifier: Classifier, pictures: List[str], top: int, failures: List[ServingError]) -> Iterator[Dict[str, Any]]:
    """One after the other, so that a folder of any size takes the memory of one picture."""
    for name, source in _sources(pictures):
        try:
            image = photo.read(source, classifier.card)
        except InputError as error:
            failures.append(error)
            print(f"error: {error}", file=sys.stderr)
            continue
        probabilities = classifier.predict(image[None])[0]
        order = probabilities.argsort(kind="stable")[::-1][:top]
        names = classifier.card.class_names
        yield {"picture": name, "classes": [{"class": names[index], "probability": float(probabilities[index])} for index in order]}


def _sources(pictures: List[str]) -> Iterator[Tuple[str, Union[Path, bytes]]]:
    for name in pictures:
        path = Path(name)
        if name == "-":
            yield "standard input", sys.stdin.buffer.read()
        elif path.is_dir():
            files = [file for file in sorted(path.rglob("*")) if file.suffix.lower() in SUFFIXES]
            if not files:
                raise InputError(f"{path} holds no picture; allowed are {', '.join(sorted(SUFFIXES))}")
            yield from ((str(file), file) for file in files)
        else:
            yield name, path


def _write_table(predictions: Iterator[Dict[str, Any]], top: int, output: TextIO) -> None:
    for prediction in predictions:
        classes = "   ".join(f"{entry['class']} {100 * entry['probability']:6.2f} %" for entry in prediction["classes"])
        output.write(f"{classes}   {prediction['picture']}\n")


def _write_json(predictions: Iterator[Dict[str, Any]], top: int, output: TextIO) -> None:
    """One object a line."""
    for prediction in predictions:
        output.write(json.dumps(prediction, ensure_ascii=False) + "\n")


def _write_csv(predictions: Iterator[Dict[str, Any]], top: int, output: TextIO) -> None:
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(["picture", *(f"{column}_{rank}" for rank in range(1, top + 1) for column in ("class", "probability"))])
    for prediction in predictions:
        writer.writerow([prediction["picture"], *(entry[key] for entry in prediction["classes"] for key in ("class", "probability"))])


WRITERS = {"table": _write_table, "json": _write_json, "csv": _write_csv}
