"""One module per command: `add_arguments(parser)` and `run(arguments) -> exit status`.

This one holds what they share.
"""

from __future__ import annotations

import argparse
import re
import sys
from typing import TYPE_CHECKING, Any, Dict, Iterator, Optional, Tuple

from serving import classifier, runtimes
from serving.bundle import Bundle, Source
from serving.errors import InputError, RuntimeRefusalError, printable
from serving.model_card import VERSION
from serving.model_file import ModelFile

if TYPE_CHECKING:
    from serving.prediction_log import PredictionLog


def add_bundle(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "bundle",
        help="the .tar.gz of a bundle, the folder it was unpacked to, or a folder with one of them",
    )
    parser.add_argument(
        "--trust",
        metavar="PEM",
        help="the maker's public key or certificate authority; the bundle must be signed by it",
    )
    parser.add_argument(
        "--signature",
        metavar="FILE",
        help="the signature (default: <name>-<version>.sig beside the bundle)",
    )
    add_at_least(parser)
    add_draft(parser)


def add_at_least(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--at-least", type=version, metavar="VERSION", help="refuse bundles older than this version"
    )


def add_draft(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--draft", action="store_true", help="accept a bundle that is marked as not proven"
    )


def add_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", help="use only this format, such as tflite_int8")
    parser.add_argument(
        "--runtime", choices=sorted(runtimes.DISTRIBUTIONS), help="use only this runtime"
    )


def add_log(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--log", metavar="FILE", help="log predictions to this SQLite file, without pixels"
    )
    parser.add_argument(
        "--log-images", action="store_true", help="also log the pixels that the model saw"
    )
    parser.add_argument(
        "--log-limit",
        type=count,
        metavar="N",
        help="keep the last N predictions in the log (default 100000)",
    )


def open_log(arguments: argparse.Namespace) -> Optional[PredictionLog]:
    """The log that the arguments name, if any. Raises LogError, InputError."""
    if arguments.log is None:
        if arguments.log_images or arguments.log_limit:
            raise InputError("--log-images and --log-limit need a log; add --log FILE")
        return None
    from serving import prediction_log

    limit = arguments.log_limit or prediction_log.LIMIT
    return prediction_log.PredictionLog(arguments.log, limit, arguments.log_images)


def count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is too small; expected 1 or more")
    return number


def version(text: str) -> str:
    if not re.fullmatch(VERSION, text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a version; expected one such as 1.10.0")
    return text


def open_bundle(arguments: argparse.Namespace) -> Bundle:
    """The verified bundle that the arguments name."""
    return open_at(arguments.bundle, arguments, arguments.signature)


def open_at(
    path: Source, arguments: argparse.Namespace, signature: Optional[Source] = None
) -> Bundle:
    """The verified bundle at `path`. Every command opens bundles here, so each warns of drafts."""
    bundle = Bundle(path, arguments.trust, signature, arguments.draft, arguments.at_least)
    if bundle.card.draft:
        warning = printable(f"warning: {bundle.path} is {bundle.card.draft}")
        print(warning, file=sys.stderr, flush=True)
    return bundle


def installed_pairs(
    bundle: Bundle, arguments: argparse.Namespace
) -> Iterator[Tuple[ModelFile, str]]:
    """Every file with each installed runtime that the maker ran it on, best first.

    Raises RuntimeRefusalError if there is none.
    """
    pairs = classifier.candidates(bundle.card, arguments.format, arguments.runtime)
    installed = [(file, proof.runtime) for file, proof in pairs if runtimes.version(proof.runtime)]
    if not installed:
        names = {runtimes.DISTRIBUTIONS.get(proof.runtime, proof.runtime) for _, proof in pairs}
        if not names:
            formats = ", ".join(file.format for file in bundle.card.files)
            raise RuntimeRefusalError(
                f"no file of {bundle.path} is as --format and --runtime ask; it has {formats}"
            )
        raise RuntimeRefusalError(
            f"no runtime of {bundle.path} is installed here; install one of "
            f"{', '.join(sorted(names))}"
        )
    yield from installed


def pair_facts(file: ModelFile, runtime: str) -> Dict[str, Any]:
    version = runtimes.version(runtime)
    return {"format": file.format, "runtime": runtime, "runtime_version": version}
