"""`serving listen BUNDLE SOUND`: the words in a WAV file, or in samples from standard input."""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Iterator, List, Tuple

from serving import commands, listening, sound
from serving.classifier import Classifier
from serving.errors import InputError, printable
from serving.listening import Listener, Word
from serving.log_mel import LogMel
from serving.model_card import ModelCard

LONGEST_SMOOTHING = 1000  # windows
WAV = b"RIFF"  # its first bytes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands.add_bundle(parser)
    parser.add_argument(
        "sound",
        help="a WAV file, or - for samples from standard input: one channel of 16 bits, "
        "little-endian, at the rate of the model",
    )
    commands.add_choice(parser)
    parser.add_argument(
        "--hop",
        type=float,
        metavar="SECONDS",
        help="from one window to the next (default: a quarter of a window)",
    )
    parser.add_argument(
        "--smoothing",
        type=commands.count,
        default=listening.SMOOTHING,
        metavar="N",
        help="take the mean of the last N windows (default %(default)s)",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        default=listening.THRESHOLD,
        metavar="P",
        help="the least mean probability of a word (default %(default)s)",
    )
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="CLASS",
        help="a class that is not a word, such as noise; may be repeated",
    )


def run(arguments: argparse.Namespace) -> int:
    """0 when the stream has ended, or Ctrl-C has ended it."""
    bundle = commands.open_bundle(arguments)
    front_end, frames = _front_end(bundle.card)
    listener = Listener(
        front_end,
        frames,
        _hop(arguments.hop, front_end, frames),
        _smoothing(arguments.smoothing),
        _threshold(arguments.threshold),
    )
    ignored = _numbers(arguments.ignore, bundle.card)
    classifier = Classifier.load(bundle, arguments.format, arguments.runtime)
    blocks = _blocks(arguments.sound, front_end.rate, listener.step)
    answers = listening.without(ignored, classifier.file.answers)
    words = listener.words(_until_interrupted(blocks), classifier.predict, answers)
    with suppress(KeyboardInterrupt):  # while a window is classified
        for word in words:
            print(_line(word, bundle.card, front_end.rate), flush=True)
    return 0


def _front_end(card: ModelCard) -> Tuple[LogMel, int]:
    """Of a model that classifies sounds, with the frames of a window. Raises InputError."""
    front_end = card.preprocessing.sound
    if front_end is None or card.target != "classes":
        taken = "number or labels" if front_end else card.kind.noun
        raise InputError(
            f"`serving listen` takes a model that gives the class of a sound, and {card.name} "
            f"{'gives' if front_end else 'takes'} {taken}; use `serving predict`"
        )
    return front_end, card.input_shape[0]


def _hop(seconds: Any, front_end: LogMel, frames: int) -> int:
    """In frames, rounded. Raises InputError."""
    length = front_end.samples(frames) / front_end.rate
    wanted = listening.HOP * length if seconds is None else seconds
    if not 0 < wanted <= length:
        raise InputError(f"--hop is {wanted:g}; expected up to {length:g} seconds, a window")
    return max(round(wanted * front_end.rate / front_end.hop), 1)


def _smoothing(count: int) -> int:
    if count > LONGEST_SMOOTHING:
        raise InputError(f"--smoothing is {count}; expected 1 to {LONGEST_SMOOTHING}")
    return count


def _threshold(probability: float) -> float:
    if not 0 <= probability <= 1:
        raise InputError(f"--threshold is {probability:g}; expected 0 to 1")
    return probability


def _numbers(names: List[str], card: ModelCard) -> List[int]:
    """The numbers of classes. Raises InputError."""
    for name in names:
        if name not in card.class_names:
            expected = ", ".join(card.class_names)
            raise InputError(f"--ignore {name}: {card.name} has no such class, only {expected}")
    return [card.class_names.index(name) for name in names]


def _blocks(name: str, rate: int, count: int) -> Iterator[Any]:
    """The samples of the stream, at most `count` at a time. Raises InputError."""
    if name != "-":
        return sound.blocks(Path(name), name, rate, count)
    return _from_standard_input(sys.stdin.buffer, rate, count)


def _from_standard_input(stream: BinaryIO, rate: int, count: int) -> Iterator[Any]:
    data = stream.read(count * sound.WIDTH)
    expected = f"expected samples, as of `arecord -t raw -f S16_LE -c 1 -r {rate}`"
    if data.startswith(WAV):
        raise InputError(f"standard input is a WAV file; {expected}, or the name of the file")
    if len(data) < sound.WIDTH:
        raise InputError(f"standard input holds no samples; {expected}")
    while len(data) >= sound.WIDTH:
        yield sound.from_bytes(data)
        data = stream.read(count * sound.WIDTH)


def _until_interrupted(blocks: Iterator[Any]) -> Iterator[Any]:
    """The blocks up to Ctrl-C, which ends a microphone's stream like the end of a file."""
    try:
        yield from blocks
    except KeyboardInterrupt:
        return


def _line(word: Word, card: ModelCard, rate: int) -> str:
    name = printable(card.class_names[word.number])
    return f"{word.start / rate:9.2f} s   {name} {100 * word.probability:6.2f} %"
