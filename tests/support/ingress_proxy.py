"""Home Assistant's ingress: a page with a frame, and the proxy behind it."""

import http.client
import socket
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ADDRESS = "127.0.0.9"
"""Address from which the proxy connects, as the Supervisor does from 172.30.32.2."""
PREFIX = "/api/hassio_ingress/aB3-xyz_0"
USER = "ana"
SKIPPED = ("transfer-encoding", "content-length", "connection")


class IngressProxy:
    """Forwards requests below `PREFIX` to a port of this machine, without the prefix."""

    def __init__(self, port: int) -> None:
        self._streams: set[socket.socket] = set()
        handler = type("Handler", (_Handler,), {"target": port, "streams": self._streams})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.origin = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        for stream in list(self._streams):
            with suppress(OSError):  # it has just ended
                stream.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    target = 0
    streams: set[socket.socket]

    def do_GET(self) -> None:
        if self.path.startswith(f"{PREFIX}/"):
            self._forward()
            return
        found = self.path == "/"
        frame = f'<link rel="icon" href="data:,"><iframe src="{PREFIX}/" width="1200" height="800">'
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(frame.encode() if found else b"")

    do_POST = do_GET  # noqa: N815 - the name that http.server calls

    def _forward(self) -> None:
        headers = dict(self.headers.items())
        headers |= {"X-Ingress-Path": PREFIX, "X-Remote-User-Name": USER, "X-Forwarded-For": "::1"}
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.target, timeout=20, source_address=(ADDRESS, 0)
        )
        try:
            connection.request(self.command, self.path.removeprefix(PREFIX), body, headers)
            self.streams.add(connection.sock)
            answer = connection.getresponse()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in SKIPPED:
                    self.send_header(name, value)
            self.end_headers()
            while part := answer.read1():
                self.wfile.write(part)
        except (OSError, http.client.HTTPException):
            self.close_connection = True  # the browser has left a stream
        finally:
            self.streams.discard(connection.sock)
            connection.close()

    def log_message(self, *_: Any) -> None:
        """Logs nothing."""
