"""The command line: `python -m serving COMMAND ...`, or `serving COMMAND ...` where the package is installed."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from typing import Any, List, Optional

# Name: the module that has `add_arguments(parser)` and `run(arguments) -> exit status`, and what it does. Only the chosen
# module is imported, so that no command waits for another's imports.
COMMANDS = {
    "predict": ("serving.commands.predict", "what pictures show"),
    "check": (
        "serving.commands.check",
        "may this device run the bundle? Checksums, signature, preflight, golden vectors, latency",
    ),
    "prove": (
        "serving.commands.prove",
        "does each file lose nothing here? The gate of its maker, run on this device",
    ),
    "bench": (
        "serving.commands.bench",
        "how fast every file is on every runtime that this device has",
    ),
    "serve": (
        "serving.commands.serve",
        "a model server: Open Inference Protocol V2, pictures, metrics",
    ),
}


def main(arguments: Optional[List[str]] = None) -> int:
    """Runs one command; its exit status. A user's mistake is one sentence on stderr and status 1."""
    given = sys.argv[1:] if arguments is None else arguments
    if isinstance(
        sys.stdout, io.TextIOWrapper
    ):  # a terminal may lack the letters of a class's name
        sys.stdout.reconfigure(errors="backslashreplace")
    parser = argparse.ArgumentParser(
        prog="serving", description="Runs a proven image classifier on this device."
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen: Any = None
    for name, (module, sentence) in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=sentence, description=sentence)
        if given[:1] == [name]:
            chosen = importlib.import_module(module)
            chosen.add_arguments(subparser)
    parsed = parser.parse_args(given)
    from serving.errors import ServingError

    try:
        status: int = chosen.run(parsed)
    except ServingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
