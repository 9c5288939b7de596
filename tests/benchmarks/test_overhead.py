"""What a request takes beside its network, by a client that takes little itself."""

from __future__ import annotations

import socket
import threading

import pytest

from benchmarks.bare_client import connected
from benchmarks.overhead import time_overhead
from tests.support.waiting import PATIENCE_S


@pytest.mark.usefixtures("cached_costs")
def test_a_service_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYSR_RUNTIME", "onnx")
    times = time_overhead(3)
    assert 0 < times["overhead"][0] < times["whole"][0]
    assert times["whole"][0] > times["network"][0] > 0


def test_an_answer_in_pieces_is_read_whole_and_one_that_breaks_off_is_an_error() -> None:
    pieces = (b"HTTP/1.1 201 Created\r\nX-A: b", b"\r\nContent-Length: 4\r\n\r\nab", b"cd")
    heads: list[bytes] = []

    def answer(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            heads.append(connection.recv(1 << 16))
            for piece in pieces:
                connection.sendall(piece)
            heads.append(connection.recv(1 << 16))
            connection.sendall(pieces[0])

    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = threading.Thread(target=answer, args=(listening,))
        server.start()
        url = "http://{}:{}/root".format(*listening.getsockname())
        with connected(url) as client:
            answered = client.post("/a?b=1", b"body", {"X-C": "d"})
            with pytest.raises(ConnectionError):
                client.post("/a", b"", {})
        server.join(PATIENCE_S)
    assert (answered.status, answered.headers["x-a"], answered.body) == (201, "b", b"abcd")
    assert heads[0].startswith(b"POST /root/a?b=1 HTTP/1.1\r\n")
    assert heads[0].endswith(b"Content-Length: 4\r\nX-C: d\r\n\r\nbody")
