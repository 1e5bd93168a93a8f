"""`serving serve BUNDLE ...`: a model server."""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import math
import os
import socket
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from serving import commands
from serving.classifier import Classifier
from serving.errors import ServingError

if TYPE_CHECKING:
    from serving.server.models import Loaded

DEFAULT_PORT = 8000
BACKLOG = 1024  # connections that wait to be accepted
M_MMAP_THRESHOLD = -3  # of mallopt(3)
LARGE = 1 << 18  # bytes
LONGEST_TOKEN = 4096  # characters, so that a request's headers have room for it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from serving.server.limits import Limits

    standard = Limits()
    parser.add_argument(
        "bundles",
        nargs="+",
        metavar="BUNDLE",
        type=Path,
        help="a bundle; it is reloaded when it changes",
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="the address to listen on (default %(default)s)"
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=DEFAULT_PORT,
        help="0 for any that is free (default %(default)s)",
    )
    parser.add_argument(
        "--trust",
        metavar="PEM",
        help="the maker's public key or certificate authority: every bundle must be signed by it",
    )
    commands.add_at_least(parser)
    commands.add_draft(parser)
    help_ = "with --trust, let a reload put an older version in the place of a newer one, which is refused otherwise"
    parser.add_argument("--allow-rollback", action="store_true", help=help_)
    commands.add_choice(parser)
    commands.add_log(parser)
    help_ = "a label for a prediction that has one takes its place (default: the first is kept)"
    parser.add_argument("--replace-labels", action="store_true", help=help_)
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="a file with the bearer token that requests must then carry",
    )
    help_ = "npm's folder of onnxruntime-web, which the page then offers as a second engine"
    parser.add_argument("--onnxruntime-web", type=Path, metavar="FOLDER", help=help_)
    help_ = "a page of this origin, such as https://app.example, may ask too; * for any; may be repeated (default none)"
    parser.add_argument("--allow-origin", action="append", default=[], metavar="ORIGIN", help=help_)
    help_ = "a name by which browsers may address what writes, beside --host, localhost and IP addresses; may be repeated"
    parser.add_argument("--allow-host", action="append", default=[], metavar="NAME", help=help_)
    parser.add_argument(
        "--plain",
        action="store_true",
        help="the standard library's event loop, even where uvloop is installed",
    )
    parser.add_argument(
        "--drain",
        type=seconds,
        metavar="SECONDS",
        default=1.0,
        help="how long to go on answering after SIGTERM (default %(default)s)",
    )
    help_ = "within which all of a request must arrive (default %(default)s)"
    parser.add_argument(
        "--timeout",
        type=seconds_above_0,
        metavar="SECONDS",
        dest="seconds_to_receive",
        default=standard.seconds_to_receive,
        help=help_,
    )
    parser.add_argument(
        "--max-body-bytes",
        type=commands.count,
        metavar="N",
        default=standard.max_body_bytes,
        help="of one request (default %(default)s)",
    )
    parser.add_argument(
        "--max-pixels",
        type=commands.count,
        metavar="N",
        default=standard.max_pixels,
        help="of one picture (default %(default)s)",
    )
    parser.add_argument(
        "--max-images",
        type=commands.count,
        metavar="N",
        default=standard.max_images,
        help="in one request (default %(default)s)",
    )
    parser.add_argument(
        "--max-queue",
        type=commands.count,
        metavar="N",
        default=standard.max_queue,
        help="images that wait for a model (default %(default)s)",
    )
    parser.add_argument(
        "--max-connections",
        type=commands.count,
        metavar="N",
        default=standard.max_connections,
        help="open at a time (default %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    from serving.server.event_loop import run as run_server
    from serving.server.limits import Limits
    from serving.server.models import Models
    from serving.server.origins import Origins
    from serving.server.prometheus import Metrics
    from serving.server.service import Service

    names = (
        "max_body_bytes",
        "max_pixels",
        "max_images",
        "max_queue",
        "max_connections",
        "seconds_to_receive",
    )
    limits = Limits(**{name: getattr(arguments, name) for name in names})
    if limits.max_images > limits.max_queue:
        raise ServingError(
            f"--max-images is {limits.max_images}, more than may wait; allowed is at most --max-queue, {limits.max_queue}"
        )
    token = _token(arguments.token_file)
    origins = Origins.parse(arguments.allow_origin, arguments.allow_host, arguments.host)
    log = commands.open_log(arguments)
    if arguments.replace_labels and not log:
        raise ServingError(
            "--replace-labels says what becomes of a log's labels, and there is none; add --log FILE"
        )
    listening = _bound(arguments.host, arguments.port)
    metrics = Metrics()
    _give_memory_back_at_once()
    may_roll_back = arguments.trust is None or arguments.allow_rollback
    models = Models(arguments.bundles, partial(_load, arguments), limits, metrics, may_roll_back)
    models.watch()
    writer = None
    if log:
        # Here, because it loads SQLite, which a server without a log does not need.
        from serving.server.prediction_log_writer import LogWriter

        writer = LogWriter(log, limits, metrics, arguments.replace_labels)
    service = Service(models, origins, token, writer)
    for signature in models.signatures():
        draft = f", {signature.draft}" if signature.draft else ""
        print(
            f"{signature.name} {signature.version} ({signature.platform}) on {_address(listening)}{draft}",
            flush=True,
        )
    run_server(service, listening, arguments.drain, _event_loop(arguments.plain))
    if writer:
        writer.close()
    return 0


def _load(arguments: argparse.Namespace, path: Path) -> Loaded:
    from serving.server.public_files import public_files

    bundle = commands.opened(path, arguments)
    classifier = Classifier.load(bundle, arguments.format, arguments.runtime)
    return classifier, public_files(bundle, arguments.onnxruntime_web)


def _give_memory_back_at_once() -> None:
    """Has glibc return what is large, such as an unpacked bundle, a picture or a body, where it is freed; it would keep some of it,
    for each thread. Elsewhere there is no such call."""
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE)


def _event_loop(plain: bool) -> asyncio.AbstractEventLoop:
    """uvloop's where it is installed, the standard library's elsewhere."""
    if not plain:
        try:
            import uvloop
        except ImportError:
            print(
                "uvloop is not installed, so the standard library serves, more slowly; install serving[http]",
                file=sys.stderr,
            )
        else:
            return uvloop.new_event_loop()
    return asyncio.new_event_loop()


def _token(path: Optional[Path]) -> Optional[str]:
    if path is None:
        return None
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not ASCII"
        raise ServingError(f"{path} is not readable ({reason}); name a file with a token") from None
    if not token:
        raise ServingError(f"{path} is empty; it must hold the token that requests carry")
    if not token.isprintable() or len(token) > LONGEST_TOKEN:
        raise ServingError(
            f"{path} holds what no header can carry; expected one line of at most {LONGEST_TOKEN:,} characters"
        )
    return token


def _bound(host: str, port: int) -> socket.socket:
    """A socket that listens, before any model is loaded. Raises ServingError."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family)
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no name"
        raise ServingError(
            f"cannot listen on {host} port {port} ({reason}); choose another with --host and --port"
        ) from None
    return listening


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def seconds(text: str) -> float:
    number = float(text)
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(
            f"{text} is not a time; expected a number of seconds, 0 or more"
        )
    return number


def seconds_above_0(text: str) -> float:
    number = seconds(text)
    if not number:
        raise argparse.ArgumentTypeError(f"{text} is too short; expected more than 0 seconds")
    return number


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{number} is no port; allowed is 0 to 65535")
    return number
