"""A real HTTP server on loopback that serves one file, in parts too, and fails as it is told."""

import re
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FileServer:
    """Serves `files` by path.

    Attributes:
        break_after: Bytes of each answer, after which the connection is cut; None: never.
        asked: Range header of each request for an archive, None where there was none.
        version: ETag; empty: none is sent.
        length: Whether answers say how long they are.
        location: Where it sends all who ask; empty: nowhere.
    """

    def __init__(self, **files: bytes) -> None:
        self.files = files
        self.break_after: int | None = None
        self.asked: list[str | None] = []
        self.version = '"1"'
        self.length = True
        self.location = ""
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    owner: FileServer

    def do_GET(self) -> None:
        owner, name = self.owner, self.path.split("?")[0].strip("/")
        if owner.location:
            self.send_response(302)
            self.send_header("Location", owner.location)
            self.end_headers()
            return
        if name not in owner.files:
            self.send_error(404)
            return
        data = owner.files[name]
        if not name.endswith(".sig"):
            owner.asked.append(self.headers["Range"])
        start = self._start()
        if start >= len(data) > 0:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        if owner.version:
            self.send_header("ETag", owner.version)
        if owner.length:
            self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        with suppress(ConnectionError):  # who asked may have left, as with a full disk
            self.wfile.write(data[start:][: owner.break_after])

    def _start(self) -> int:
        """Of the part that is wanted of the version that we have."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        same = self.headers["If-Range"] == self.owner.version
        return int(asked[1]) if asked and same else 0

    def log_message(self, *_: Any) -> None:
        pass
