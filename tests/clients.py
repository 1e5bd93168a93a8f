"""Clients that load a server from threads, and record every outcome."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from serving import Classifier
from tests.triton_requests import INFER, binary, image, requested_outputs
from tests.waiting import SECONDS, wait_for

HEADERS, BODY = binary(outputs=requested_outputs(binary_data=True))
CLIENTS = 4


class Client:
    """Sends requests over one connection while `running`, and records every outcome."""

    def __init__(self, port: int, expected: Any, retries: bool = False) -> None:
        self.port, self.expected, self.retries = port, expected, retries
        self.versions: list[str] = []
        self.wrong: list[Any] = []
        self.lost: list[Exception] = []
        self.seconds: list[float] = []
        self.closing = self.running = False
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)

    def run(self) -> None:
        self.running = True
        while self.running:
            start = time.perf_counter()
            try:
                self.ask()
            except (OSError, http.client.HTTPException) as error:
                self.connection.close()
                self.lost.append(error)
                if not self.retries:
                    break
                time.sleep(0.05)
            self.seconds.append(time.perf_counter() - start)
        self.connection.close()

    def ask(self) -> None:
        self.connection.request("POST", INFER, BODY, HEADERS)
        response = self.connection.getresponse()
        body = response.read()
        length = int(response.getheader("inference-header-content-length") or 0)
        if response.status != 200 or not np.allclose(
            np.frombuffer(body[length:], "<f4"), self.expected, atol=1e-6
        ):
            self.wrong.append((response.status, body))
        else:
            self.versions.append(json.loads(body[:length])["model_version"])
        self.closing = response.getheader("connection") == "close"


@contextmanager
def load(port: int, classifier: Classifier, retries: bool = False) -> Iterator[list[Client]]:
    clients = [Client(port, classifier.predict(image(2)).ravel(), retries) for _ in range(CLIENTS)]
    threads = [threading.Thread(target=client.run) for client in clients]
    for thread in threads:
        thread.start()
    try:
        wait_for(lambda: all(client.versions for client in clients))
        yield clients
    finally:
        for client in clients:
            client.running = False
        for thread in threads:
            thread.join()
