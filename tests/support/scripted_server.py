"""A server on loopback that sends scripted bytes, as a hostile broker or camera does."""

import socket
import socketserver
import threading
from contextlib import suppress


class ScriptedServer(socketserver.ThreadingTCPServer):
    """A server that sends the next of its answers after each request, then closes."""

    daemon_threads = True
    block_on_close = False
    answers: tuple[bytes, ...] = ()

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), AnswerHandler)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    @property
    def port(self) -> int:
        return self.server_address[1]

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()


class AnswerHandler(socketserver.BaseRequestHandler):
    server: ScriptedServer

    def handle(self) -> None:
        self.request.settimeout(2)
        with suppress(OSError):
            for answer in self.server.answers:
                self.request.recv(4096)
                self.request.sendall(answer)
            self.request.shutdown(socket.SHUT_WR)
            while self.request.recv(4096):
                pass
