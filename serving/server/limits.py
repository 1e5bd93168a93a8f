"""Every limit of the server. The command line sets the ones that a user may want to change."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Limits:
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
