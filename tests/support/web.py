"""A web server on loopback that keeps to what one of its kinds can do, and counts what it sends."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

RANGES, WHOLE, SHORT, BROKEN, FORBIDDEN, SILENT = "ranges", "whole", "short", "broken", "forbidden", "silent"

PIECE_SIZE = 1 << 16  # bytes given to the socket at a time


@dataclass
class Request:
    """What was asked for, and how many bytes of a body were sent."""

    method: str
    path: str  # with the query
    nbytes: int = 0


@dataclass
class Site:
    """What is served, and how.

    ``kind``: `RANGES` answers range requests; `WHOLE` sends the whole file instead; `SHORT` sends less than was asked for,
    and says so; `BROKEN` closes the connection in the middle; `FORBIDDEN` refuses; `SILENT` does not say how large files are.
    """

    directory: Path
    url: str
    kind: str = RANGES
    concerns: str = ""  # the paths that hold this; others are served as they should be
    requests: list[Request] = field(default_factory=list)

    def nbytes(self) -> int:
        """Return how many bytes of bodies were sent."""
        return sum(request.nbytes for request in self.requests)


class _Handler(BaseHTTPRequestHandler):
    site: ClassVar[Site]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each body waits for the client to acknowledge the headers

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    @property
    def kind(self) -> str:
        return self.site.kind if self.site.concerns in self.path else RANGES

    def _answer(self, *, with_body: bool) -> None:
        path = self.site.directory / urlsplit(self.path).path.lstrip("/")
        if self.kind == FORBIDDEN:
            self._send(HTTPStatus.FORBIDDEN, b"", {}, 0)
        elif not path.is_file():
            self._send(HTTPStatus.NOT_FOUND, b"", {}, 0)
        else:
            self._send_file(path.read_bytes(), with_body=with_body)

    def _send_file(self, data: bytes, *, with_body: bool) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if wanted is None or self.kind == WHOLE:
            self._send(HTTPStatus.OK, data if with_body else b"", {}, len(data))
            return
        start, stop = int(wanted[1]), int(wanted[2]) + 1
        part = data[start : stop - 10 if self.kind == SHORT else stop]
        headers = {"Content-Range": f"bytes {start}-{start + len(part) - 1}/{len(data)}"}
        self._send(HTTPStatus.PARTIAL_CONTENT, part, headers, len(part))

    def _send(self, status: HTTPStatus, body: bytes, headers: dict[str, str], nbytes: int) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.kind == SILENT and status != HTTPStatus.NOT_FOUND:
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(nbytes))
        self.end_headers()
        if self.kind == BROKEN and status == HTTPStatus.PARTIAL_CONTENT:
            body = body[: len(body) // 2]
            self.close_connection = True
        request = Request(self.command, self.path)
        self.site.requests.append(request)
        try:
            for start in range(0, len(body), PIECE_SIZE):
                piece = body[start : start + PIECE_SIZE]
                request.nbytes += len(piece)
                self.wfile.write(piece)
        except ConnectionError:  # the client has enough
            self.close_connection = True


@contextmanager
def serve(directory: Path) -> Iterator[Site]:
    """Serve a directory on a free port, for as long as the block lasts."""

    class Handler(_Handler):
        pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Handler.site = Site(directory, f"http://127.0.0.1:{server.server_address[1]}")
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Handler.site
        finally:
            server.shutdown()
            thread.join()
