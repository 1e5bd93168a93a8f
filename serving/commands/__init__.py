"""One module for each command: `add_arguments(parser)` and `run(arguments) -> exit status`. Here is what they have in common."""

from __future__ import annotations

import argparse
import re
import sys
from typing import TYPE_CHECKING, Iterator, Optional, Tuple

from serving import classifier, runtimes
from serving.bundle import Bundle, Source
from serving.errors import InputError, RuntimeRefusalError, printable
from serving.model_card import VERSION, ModelFile

if TYPE_CHECKING:
    from serving.prediction_log import PredictionLog


def add_bundle(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "bundle",
        help="the .tar.gz of a bundle, the folder it was unpacked to, or a folder that holds one of them",
    )
    parser.add_argument(
        "--trust",
        metavar="PEM",
        help="the maker's public key or certificate authority: the bundle must be signed by it",
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
        "--at-least", type=version, metavar="VERSION", help="refuse a bundle of an older version"
    )


def add_draft(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--draft", action="store_true", help="open also a bundle that is marked as not proven"
    )


def add_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", help="only this format, such as tflite_int8")
    parser.add_argument(
        "--runtime", choices=sorted(runtimes.DISTRIBUTIONS), help="only this runtime"
    )


def add_log(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--log", metavar="FILE", help="write predictions there (SQLite), without pixels"
    )
    parser.add_argument(
        "--log-images", action="store_true", help="with the pixels that the model saw"
    )
    parser.add_argument(
        "--log-limit",
        type=count,
        metavar="N",
        help="of the last N predictions (default 100000); older ones fall out",
    )


def open_log(arguments: argparse.Namespace) -> Optional[PredictionLog]:
    """The log that the arguments name, if they name one. Raises LogError, InputError."""
    if arguments.log is None:
        if arguments.log_images or arguments.log_limit:
            raise InputError(
                "--log-images and --log-limit say what a log holds, and there is none; add --log FILE"
            )
        return None
    from serving import prediction_log

    return prediction_log.PredictionLog(
        arguments.log, arguments.log_limit or prediction_log.LIMIT, arguments.log_images
    )


def count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is too small; allowed is 1 or more")
    return number


def version(text: str) -> str:
    if not re.fullmatch(VERSION, text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a version; expected one such as 1.10.0")
    return text


def open_bundle(arguments: argparse.Namespace) -> Bundle:
    """The verified bundle that the arguments name."""
    return opened(arguments.bundle, arguments, arguments.signature)


def opened(
    path: Source, arguments: argparse.Namespace, signature: Optional[Source] = None
) -> Bundle:
    """The verified bundle at `path`. Every command opens its bundles here, so that each says of a draft what it is."""
    bundle = Bundle(path, arguments.trust, signature, arguments.draft, arguments.at_least)
    if bundle.card.draft:
        print(
            printable(f"warning: {bundle.path} is {bundle.card.draft}"), file=sys.stderr, flush=True
        )
    return bundle


def installed_pairs(
    opened: Bundle, arguments: argparse.Namespace
) -> Iterator[Tuple[ModelFile, str]]:
    """Every file with every runtime that ran it at its maker's and is installed here, best first. Raises RuntimeRefusalError for none."""
    pairs = classifier.candidates(opened.card, arguments.format, arguments.runtime)
    here = [(file, proof.runtime) for file, proof in pairs if runtimes.version(proof.runtime)]
    if not here:
        asked = (
            ", ".join(
                sorted(
                    {runtimes.DISTRIBUTIONS.get(proof.runtime, proof.runtime) for _, proof in pairs}
                )
            )
            or "nothing: no file fits what was asked"
        )
        raise RuntimeRefusalError(
            f"no runtime of {opened.path} is installed here; install one of {asked}"
        )
    yield from here
