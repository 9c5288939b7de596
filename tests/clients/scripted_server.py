"""A server that answers a few requests by a script, and hands all others to the real service."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import httpx


@dataclass(frozen=True)
class Scripted:
    """One answer; without a status the connection ends in its place."""

    status: int | None
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


BREAK = Scripted(None)


def problem(status: int, code: str, **headers: str) -> Scripted:
    """An error of the service."""
    body = b'{"code": "%s", "detail": "Not now.", "status": %d}' % (code.encode(), status)
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Scripted(status, body, named)


@dataclass(frozen=True)
class Seen:
    """One request."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass
class ScriptedServer:
    """Answers requests whose path begins with `only` by `script`, in turn."""

    upstream: str
    script: list[Scripted] = field(default_factory=list)
    only: str = "/"
    seen: list[Seen] = field(default_factory=list)
    url: str = ""

    def next_for(self, seen: Seen) -> Scripted | None:
        """The scripted answer to a request; None for that of the service."""
        self.seen.append(seen)
        return self.script.pop(0) if self.script and seen.path.startswith(self.only) else None

    def asked(self, path: str) -> list[Seen]:
        """The requests to a path."""
        return [one for one in self.seen if one.path == path]


def handler_of(server: ScriptedServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            seen = Seen(self.command, parts.path, query, headers, body)
            scripted = server.next_for(seen)
            if scripted is None:
                kept = {name: headers[name] for name in ("content-type",) if name in headers}
                answer = httpx.request(
                    *(self.command, f"{server.upstream}{self.path}"),
                    content=body,
                    headers=kept,
                    timeout=60,
                )
                passed = {n: v for n, v in answer.headers.items() if n != "transfer-encoding"}
                scripted = Scripted(answer.status_code, answer.content, passed)
            if scripted.status is None:
                self.close_connection = True
                return
            self.send_response(scripted.status)
            length = {"content-length": str(len(scripted.body))}
            for name, value in {**scripted.headers, **length}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(scripted.body)

        do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - names of the standard library

        def log_message(self, *_: object) -> None:
            """Write no log line."""

    return Handler


@contextlib.contextmanager
def scripted_server(upstream: str, *script: Scripted, only: str = "/") -> Iterator[ScriptedServer]:
    """Run a server on a free port."""
    scripted = ScriptedServer(upstream, list(script), only)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler_of(scripted)) as server:
        scripted.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield scripted
        server.shutdown()
        thread.join()
