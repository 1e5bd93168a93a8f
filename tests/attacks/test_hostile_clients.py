"""Clients that are slow, that read nothing, or that are too many: others are served."""

from __future__ import annotations

import select
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from tests.attacks.conftest import http
from tests.server import FORMAT, Server, statuses
from tests.triton_requests import INFER, json_body
from tests.waiting import SECONDS, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.attacks]


def test_a_client_that_reads_no_responses_gets_no_more_of_them(server: Server) -> None:
    """Once its responses fill the buffers, its requests are no longer read, to save memory."""
    before = server.megabytes
    request = b"GET /openapi.json HTTP/1.1\r\nHost: test\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=1) as connection:
        with pytest.raises(TimeoutError):
            while True:
                connection.sendall(request * 1000)
        assert server.megabytes < before + 20
        assert server.ask("POST", INFER, json_body()).status == 200


def connections(server: Server, count: int) -> list[socket.socket]:
    return [
        socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS) for _ in range(count)
    ]


def answered(clients: list[socket.socket]) -> list[socket.socket]:
    """Those to which the server has responded, or whose connection has ended."""
    return select.select(clients, [], [], 0)[0]


def is_refused(client: socket.socket) -> bool:
    try:
        return statuses(client.recv(65536, socket.MSG_PEEK)) == [503]
    except ConnectionError:
        return False


def test_slow_senders_are_cut_off_while_others_are_served(archive: Path, python: Path) -> None:
    """Half are slow in the head, half in the body; all get a 408, and no other client waits."""
    head = f"POST {INFER} HTTP/1.1\r\nHost: test\r\n".encode()
    with Server(archive, "--format", FORMAT, "--timeout", "4", python=python) as running:
        slow = connections(running, 100)
        for number, connection in enumerate(slow):
            connection.sendall(head if number % 2 else head + b"Content-Length: 100000\r\n\r\n")
        assert running.ask("POST", INFER, json_body()).status == 200
        assert not answered(slow), "the other client had to wait until the slow ones were cut off"
        left = slow
        while left:
            for connection in left:
                connection.sendall(b"x")
            assert running.ask("POST", INFER, json_body()).status == 200
            select.select(left, [], [], 0.2)
            cut_off = answered(left)
            for connection in cut_off:
                assert statuses(connection.recv(65536)) == [408]
            left = [connection for connection in left if connection not in cut_off]
        for connection in slow:
            assert connection.recv(65536) == b""
            connection.close()


def test_too_many_connections_are_refused_for_now(server: Server) -> None:
    silent = connections(server, 256)  # accepted in this order, before the next
    answer = server.send(http(INFER, {}, json_body()))
    assert statuses(answer) == [503]
    assert b"retry-after: 1" in answer
    for connection in silent:
        connection.close()
    wait_for(lambda: server.ask("POST", INFER, json_body()).status == 200)


def test_all_bodies_together_have_a_limit(server: Server, most_megabytes: float) -> None:
    """Thirty clients send 7 MB each and never finish: the last are refused."""
    head = f"POST {INFER} HTTP/1.1\r\nHost: test\r\nContent-Length: 8000000\r\n\r\n".encode()
    clients = connections(server, 30)
    for connection in clients:
        with suppress(ConnectionError):  # refused already
            connection.sendall(head + bytes(7_000_000))
    wait_for(lambda: sum(map(is_refused, answered(clients))) > 10)
    assert server.megabytes < most_megabytes + 64
    for connection in clients:
        connection.close()
    wait_for(lambda: server.ask("POST", INFER, json_body()).status == 200)
