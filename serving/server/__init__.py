"""The model server: Open Inference Protocol V2, pictures, metrics and web pages, for any bundles.

protocol.py               a model's interface, and the protocol's responses
request_bodies.py         what clients send, from bytes to images and labels
models.py                 the models that are served: queues, batches, reload
messages.py               a request and its response, free of any transport
service.py, handlers.py   routing and admission of requests, and what each route answers
origins.py, login.py      which web pages may send requests, and how a person logs in
public_files.py           the files of a bundle that browsers may load
prediction_log_writer.py  the thread that logs predictions
http_parser.py            from bytes to requests
connection.py             one connection: its requests, responses and time limits
event_loop.py             the sockets; accepts connections, and drains them on SIGTERM
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from serving import runtimes

VERSION = runtimes.installed("serving") or "0"  # "0": run from its sources


@dataclass(frozen=True)
class Limits:
    """Every limit of the server. The command line sets those that a user may want to change."""

    max_body_bytes: int = 8 << 20  # of one body, compressed or not
    max_held_bytes: int = 64 << 20  # of all bodies that are being received
    max_head_bytes: int = 32 << 10  # of a request line and its headers
    max_images: int = 64  # in one request, and in one batch
    max_queue: int = 512  # images waiting for a model
    max_pixels: int = 16_000_000  # of a picture, checked before it is decoded
    max_pictures: int = 8  # being decoded at a time
    max_labels: int = 1000  # in one request
    # Waiting to be logged. Beyond it the log has a gap, so that no request ever waits for the disk.
    max_log_bytes: int = 32 << 20
    max_connections: int = 256
    seconds_to_receive: float = 10.0  # a whole request, from its first byte
    seconds_to_wait: float = 5.0  # in a model's queue
    # From the first byte of a request until its response was taken.
    seconds_to_answer: float = 60.0
    seconds_idle: float = 15.0  # a connection between two requests

    def of_one(self, processes: int) -> Limits:
        """What each of several processes may do, where they do not count what all of them do."""
        return replace(
            self,
            max_pictures=max(1, self.max_pictures // processes),
            max_log_bytes=self.max_log_bytes // processes,
        )
