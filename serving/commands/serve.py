"""`serving serve BUNDLE ...`: a model server."""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import math
import sys
from contextlib import ExitStack, suppress
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Tuple

from serving import commands
from serving.classifier import Classifier
from serving.errors import ServingError, reason

if TYPE_CHECKING:
    import socket

    from serving.server.grpc_server import GrpcServer
    from serving.server.limits import Limits
    from serving.server.models import Loaded
    from serving.server.place import Place
    from serving.server.service import Service

DEFAULT_PORT = 8000
M_MMAP_THRESHOLD = -3  # of mallopt(3)
LARGE = 1 << 18  # bytes


def add_arguments(parser: argparse.ArgumentParser) -> None:
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
        help="0 for any free port (default %(default)s)",
    )
    help_ = "also answer the protocol's gRPC, on this port; 0 for any free port (default none)"
    parser.add_argument("--grpc-port", type=_port, metavar="PORT", help=help_)
    _add_trust(parser)
    commands.add_choice(parser)
    commands.add_log(parser)
    help_ = "a new label replaces an earlier one (default: the first is kept)"
    parser.add_argument("--replace-labels", action="store_true", help=help_)
    _add_access(parser)
    help_ = "npm's folder of onnxruntime-web, to offer it as a second engine on the page"
    parser.add_argument("--onnxruntime-web", type=Path, metavar="FOLDER", help=help_)
    help_ = "use the standard library's event loop, even if uvloop is installed"
    parser.add_argument("--plain", action="store_true", help=help_)
    parser.add_argument(
        "--drain",
        type=seconds,
        metavar="SECONDS",
        default=1.0,
        help="how long to keep answering after SIGTERM (default %(default)s)",
    )
    parser.add_argument(
        "--processes",
        type=commands.count,
        metavar="N",
        default=1,
        help="share the port, the limits and the log among N processes (default %(default)s)",
    )
    _add_limits(parser)


def _add_trust(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--trust",
        metavar="PEM",
        help="the maker's public key or certificate authority; it must have signed every bundle",
    )
    commands.add_at_least(parser)
    commands.add_draft(parser)
    help_ = "with --trust, allow a reload to replace a bundle with an older version"
    parser.add_argument("--allow-rollback", action="store_true", help=help_)


def _add_access(parser: argparse.ArgumentParser) -> None:
    help_ = "a file with a bearer token that requests must carry"
    parser.add_argument("--token-file", type=Path, metavar="FILE", help=help_)
    help_ = (
        "let pages of this origin, such as https://app.example, send requests; "
        "* for any; repeatable (default none)"
    )
    parser.add_argument("--allow-origin", action="append", default=[], metavar="ORIGIN", help=help_)
    help_ = (
        "a host name under which browsers may send requests that write, "
        "besides --host, localhost and IP addresses; repeatable"
    )
    parser.add_argument("--allow-host", action="append", default=[], metavar="NAME", help=help_)


def _add_limits(parser: argparse.ArgumentParser) -> None:
    from serving.server.limits import Limits

    defaults = Limits()
    help_ = "the longest time in which a request must arrive (default %(default)s)"
    parser.add_argument(
        "--timeout",
        type=seconds_above_0,
        metavar="SECONDS",
        dest="seconds_to_receive",
        default=defaults.seconds_to_receive,
        help=help_,
    )
    for name, help_ in (
        ("max_body_bytes", "the largest request body"),
        ("max_pixels", "the largest picture"),
        ("max_images", "the most images in a request"),
        ("max_queue", "the most images waiting for a model"),
        ("max_connections", "the most open connections"),
    ):
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=commands.count,
            metavar="N",
            default=getattr(defaults, name),
            help=f"{help_} (default %(default)s)",
        )


def run(arguments: argparse.Namespace) -> int:
    from serving.server import event_loop
    from serving.server.place import Place

    if arguments.processes == 1:
        with event_loop.bound(arguments.host, arguments.port) as own:
            own.listen(event_loop.BACKLOG)
            _serve(arguments, own, Place())
        return 0
    from serving.server.processes import Group  # imports multiprocessing

    bundles = len(arguments.bundles)
    places = Place.several(arguments.processes, bundles + event_loop.COUNTS, bundles)
    with ExitStack() as reservations:
        reserved = reservations.enter_context(
            event_loop.bound_to_share(arguments.host, arguments.port)
        )
        if arguments.grpc_port is not None:
            of_grpc = reservations.enter_context(
                event_loop.bound_to_share(arguments.host, arguments.grpc_port, "--grpc-port")
            )
            arguments.grpc_port = of_grpc.getsockname()[1]
        serve = partial(_serve_shared, arguments, reserved.family, reserved.getsockname())
        return Group(places, serve).run()


def _serve_shared(
    arguments: argparse.Namespace, family: int, address: Tuple[Any, ...], place: Place
) -> None:
    from serving.server import event_loop

    with event_loop.shared(family, address) as own:
        _serve(arguments, own, place)


def _serve(arguments: argparse.Namespace, own: socket.socket, place: Place) -> None:
    """Serves on a bound socket until a signal, alone or at a place among several processes."""
    from serving.server import event_loop, login
    from serving.server.models import Models
    from serving.server.origins import Origins
    from serving.server.prometheus import Metrics
    from serving.server.service import Service

    limits = _limits(arguments)
    token = login.read(arguments.token_file) if arguments.token_file else None
    origins = Origins.parse(arguments.allow_origin, arguments.allow_host, arguments.host)
    log = commands.open_log(arguments)
    if arguments.replace_labels and not log:
        raise ServingError("--replace-labels needs a log; add --log FILE")
    metrics = Metrics(place)
    _return_large_blocks()
    may_roll_back = arguments.trust is None or arguments.allow_rollback
    models = Models(arguments.bundles, partial(_load, arguments), limits, metrics, may_roll_back)
    models.watch()
    writer = None
    if log:
        from serving.server.prediction_log_writer import (
            LogWriter,  # imports SQLite, only if there is a log
        )

        writer = LogWriter(log, limits, metrics, arguments.replace_labels, place.processes > 1)
    service = Service(models, origins, token, writer)
    grpc = _grpc(arguments, service, own) if arguments.grpc_port is not None else None

    def on_listening() -> None:
        if place.is_first:
            beside = f" and, for gRPC, {grpc.address}" if grpc else ""
            for signature in models.signatures():
                draft = f", {signature.draft}" if signature.draft else ""
                model = f"{signature.name} {signature.version} ({signature.platform})"
                print(f"{model} on {event_loop.url(own)}{beside}{draft}", flush=True)
        place.tell_that_it_listens()

    server = event_loop.Server(service, arguments.drain, on_listening, grpc)
    event_loop.run(server, own, _event_loop(arguments.plain))
    if writer:
        writer.close()


def _grpc(arguments: argparse.Namespace, service: Service, own: socket.socket) -> GrpcServer:
    """Listens later, at the address of HTTP's socket."""
    try:
        from serving.server.grpc_server import GrpcServer  # imports grpcio and protobuf
    except ImportError as error:
        raise ServingError(
            f"--grpc-port needs grpcio and protobuf ({reason(error)}); "
            "install requirements/grpc.txt of the bundle"
        ) from None
    shared = arguments.processes > 1
    return GrpcServer(service, own.getsockname()[0], arguments.grpc_port, shared=shared)


def _limits(arguments: argparse.Namespace) -> Limits:
    from serving.server.limits import Limits

    names = {field.name for field in fields(Limits)} & {*vars(arguments)}
    limits = Limits(**{name: getattr(arguments, name) for name in names})
    if limits.max_images > limits.max_queue:
        raise ServingError(
            f"--max-images is {limits.max_images}, more than may wait; "
            f"expected at most --max-queue, {limits.max_queue}"
        )
    return limits.of_one(arguments.processes)


def _load(arguments: argparse.Namespace, path: Path) -> Loaded:
    from serving.server.public_files import public_files

    bundle = commands.open_at(path, arguments)
    classifier = Classifier.load(bundle, arguments.format, arguments.runtime)
    return classifier, public_files(bundle, arguments.onnxruntime_web)


def _return_large_blocks() -> None:
    """Makes glibc return large blocks (bundles, pictures, bodies) to the system once freed.

    By default it would keep some for each thread. Other C libraries lack this call.
    """
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE)


def _event_loop(plain: bool) -> asyncio.AbstractEventLoop:
    """uvloop's if it is installed, else the standard library's."""
    if not plain:
        try:
            import uvloop
        except ImportError:
            print(
                "uvloop is not installed, so the slower standard library serves; "
                "install requirements/http.txt of the bundle",
                file=sys.stderr,
            )
        else:
            return uvloop.new_event_loop()
    return asyncio.new_event_loop()


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
        raise argparse.ArgumentTypeError(f"{number} is not a port; expected 0 to 65535")
    return number
