"""The most memory that a process has held itself, for programs that tests start."""

from __future__ import annotations

import os
import threading
import time

from benchmarks.photos import anonymous_bytes

SECONDS = 0.002  # between two looks


class PeakMemory:
    """`bytes` is the most since it was made, without the pages of files."""

    def __init__(self) -> None:
        self.bytes = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            self.bytes = max(self.bytes, anonymous_bytes(os.getpid()))
            time.sleep(SECONDS)
