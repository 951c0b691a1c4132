"""A TCP proxy that cuts a connection in the middle of what a client sends."""

import socket
import struct
import threading
from contextlib import suppress

RESET = struct.pack("ii", 1, 0)
"""Linger of zero seconds: closing sends RST."""


class CuttingProxy:
    """Forwards to a port on loopback; `cut_at` are bytes whose answer no client gets, once."""

    def __init__(self, target: int) -> None:
        self.cut_at = b""
        self._target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._end(*self._open)
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._server.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                self._open += (client, server)
                for pair in ((client, server), (server, client)):
                    thread = threading.Thread(target=self._forward, args=pair)
                    self._threads.append(thread)
                    thread.start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                if self.cut_at and self.cut_at in data:
                    self.cut_at = b""
                    self._end(source)
                    target.sendall(data)  # the server does what the client does not hear of
                    target.settimeout(1)
                    target.recv(1)
                    break
                target.sendall(data)
        self._end(source, target)

    def _end(self, *sockets: socket.socket) -> None:
        for each in sockets:
            with suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                each.shutdown(socket.SHUT_RDWR)
                each.close()
