"""An HTTP server on loopback that records requests and sends configured responses."""

import ssl
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.certificates import Certificate


@dataclass(frozen=True)
class Post:
    path: str
    headers: dict[str, str]
    body: bytes


class WebServer:
    """Attributes: `status` of the next answers, `posts` that came, `release` of those that hang."""

    def __init__(self, certificate: Certificate | None = None, port: int = 0) -> None:
        self.status: int | None = 204
        self.posts: list[Post] = []
        self.release = threading.Event()
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.file, certificate.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    owner: WebServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.owner.posts.append(Post(self.path, dict(self.headers), body))
        if self.owner.status is None:
            self.owner.release.wait()
            return
        self.send_response(self.owner.status)
        if 300 <= self.owner.status < 400:
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass
