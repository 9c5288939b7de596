"""The other servers of a run: one has pictures to fetch, and takes webhooks and results."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOOK = "/hook"


class Neighbour:
    """Its state, which the server's threads share with the callers."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._lock = threading.Lock()
        self._pictures: dict[str, bytes] = {}
        self._stored: dict[str, bytes] = {}
        self._announced: set[str] = set()

    def show(self, name: str, picture: bytes) -> str:
        """Have a picture fetched under the address that is returned, until `forget`."""
        with self._lock:
            self._pictures[f"/{name}"] = picture
        return f"{self.url}/{name}"

    def forget(self, name: str) -> None:
        """Serve a picture no longer."""
        with self._lock:
            self._pictures.pop(f"/{name}", None)

    def announced(self, ident: str) -> bool:
        """Return whether the end of a job or batch was announced, and forget that."""
        with self._lock:
            if ident not in self._announced:
                return False
            self._announced.remove(ident)
            return True

    def stored(self, name: str) -> bytes | None:
        """Return a picture that was put under a name, and forget it; None before that."""
        with self._lock:
            return self._stored.pop(f"/{name}", None)

    def picture_at(self, path: str) -> bytes | None:
        """Return what a path shows."""
        with self._lock:
            return self._pictures.get(path)

    def take(self, path: str, body: bytes) -> None:
        """Take a webhook, or a picture."""
        with self._lock:
            if path == HOOK:
                self._announced.add(str(json.loads(body)["data"]["id"]))
            else:
                self._stored[path] = body


@contextlib.contextmanager
def neighbour(port: int) -> Iterator[Neighbour]:
    """Serve on a port of this machine until the block is left."""
    state = Neighbour(port)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            picture = state.picture_at(self.path)
            self.send_response(200 if picture is not None else 404)
            self.send_header("Content-Length", str(len(picture or b"")))
            self.end_headers()
            self.wfile.write(picture or b"")

        def do_POST(self) -> None:
            self._take()

        def do_PUT(self) -> None:
            self._take()

        def _take(self) -> None:
            state.take(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Write no line for each request."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
