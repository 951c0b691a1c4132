"""An HTTP server with bounded threads, which ends connections that take too long."""

import socket
import time
from contextlib import suppress
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

MAX_REQUESTS = 8
"""Maximum number of requests at a time, each in a thread; others get status 503."""
REQUEST_TIMEOUT_S = 10.0
"""Longest time from the connection to the end of the response, seconds."""
FULL = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class HttpServer(ThreadingMixIn, WSGIServer):
    """Serves a WSGI application; `serve_forever` also ends late connections."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, host: str, port: int, app: Any) -> None:
        """Listens; raises OSError if the address is taken."""
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._began: dict[socket.socket, float] = {}
        super().__init__((host, port), _SilentHandler)
        self.set_app(app)

    def server_bind(self) -> None:
        """Binds without the look-up of the host's name, which lasts long if DNS does not answer."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Starts a thread for a connection, or refuses it."""
        if len(self._began) >= MAX_REQUESTS:
            with suppress(OSError):
                request.sendall(FULL)
            self.shutdown_request(request)
            return
        self._began[request] = time.monotonic()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Closes a connection, also one whose thread could not start."""
        self._began.pop(request, None)
        super().shutdown_request(request)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Reads and answers the request; a client that has gone is no error."""
        with suppress(OSError):
            super().finish_request(request, client_address)

    def service_actions(self) -> None:
        """Ends connections that have taken too long; called twice a second."""
        for request, began in list(self._began.items()):
            if time.monotonic() - began > REQUEST_TIMEOUT_S:
                with suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)


class _SilentHandler(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Logs nothing."""
