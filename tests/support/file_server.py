"""An HTTP server on loopback that serves files and simulates failures."""

import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote


class FileServer:
    """Serves `files` by name.

    Attributes:
        break_after: Bytes of a response after which the connection is closed; None: never.
        length: Whether responses state their length.
        location: Target of a redirect; empty: no redirect.
    """

    def __init__(self, **files: bytes) -> None:
        self.files = files
        self.break_after: int | None = None
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
        owner, name = self.owner, unquote(self.path.split("?")[0]).strip("/")
        if owner.location:
            self.send_response(302)
            self.send_header("Location", owner.location)
            self.end_headers()
            return
        if name not in owner.files:
            self.send_error(404)
            return
        data = owner.files[name]
        self.send_response(200)
        if owner.length:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        with suppress(ConnectionError):  # the client may have left
            self.wfile.write(data[: owner.break_after])

    def log_message(self, *_: Any) -> None:
        pass
