"""What a request takes beside its network, by a client that takes little itself."""

from __future__ import annotations

import http.server
import socket
import threading

import pytest

from benchmarks.bare_client import connected
from benchmarks.overhead import PICTURE, time_overhead
from tests.support.waiting import PATIENCE_S


class Answering(http.server.BaseHTTPRequestHandler):
    """Answers as a service whose network has taken 1.5 ms."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        picture = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200 if picture == PICTURE else 415)
        self.send_header("Content-Length", "4")
        self.send_header("Server-Timing", "upload;dur=0.4, network;dur=1.5, total;dur=3.0")
        self.end_headers()
        self.wfile.write(b"made")

    def log_message(self, *arguments: object) -> None:
        """Write nothing."""


def test_the_overhead_is_all_but_the_network() -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        times = time_overhead(5, f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert times["network"] == (1.5, 1.5, 1.5)
    assert times["overhead"][0] == pytest.approx(times["whole"][0] - 1.5)
    assert times["upload"] == (0.4, 0.4, 0.4)


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
