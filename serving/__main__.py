"""The command line: `python -m serving COMMAND ...`, or `serving COMMAND ...` once installed."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from typing import Any, List, Optional

# name: the module with `add_arguments` and `run`, and its help
COMMANDS = {
    "check": (
        "serving.commands.check",
        "check that this device may run the bundle: files, signature, golden vectors, latency",
    ),
    "prove": (
        "serving.commands.prove",
        "run the maker's verification on this device: is any file less accurate here?",
    ),
    "predict": ("serving.commands.predict", "classify pictures"),
    "listen": ("serving.commands.listen", "print the words in a stream of sound"),
    "bench": (
        "serving.commands.bench",
        "measure the speed of every file on every runtime of this device",
    ),
    "serve": (
        "serving.commands.serve",
        "run a model server: Open Inference Protocol V2, pictures, metrics",
    ),
}


def main(arguments: Optional[List[str]] = None) -> int:
    """Runs one command and returns its exit status: 1 after an error told in one sentence."""
    words = sys.argv[1:] if arguments is None else arguments
    sys.stdin = sys.stdin or os.fdopen(os.open(os.devnull, os.O_RDONLY))  # closed as by `<&-`
    sys.stdout = sys.stdout or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal may lack the letters of a class
        sys.stdout.reconfigure(errors="backslashreplace")
    parser = argparse.ArgumentParser(
        prog="serving", description="run a proven classifier on this device"
    )
    subparsers = parser.add_subparsers(
        title="commands", dest="command", metavar="COMMAND", required=True
    )
    command: Any = None
    for name, (module, sentence) in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=sentence, description=sentence)
        if words[:1] == [name]:  # no command waits for another's imports
            command = importlib.import_module(module)
            command.add_arguments(subparser)
    parsed = parser.parse_args(words)
    from serving.errors import ServingError

    try:
        status: int = command.run(parsed)
        print(end="", flush=True)
    except (ServingError, OSError) as error:
        if isinstance(error, OSError):  # a full disk, or `head` has gone
            if error.filename:
                raise
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return 141
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
