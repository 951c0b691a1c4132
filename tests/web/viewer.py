"""Viewers of a stream in their own process: python -m tests.web.viewer PORT COUNT."""

import selectors
import socket
import sys


def open_stream(
    port: int, path: str = "/stream/drive.mjpeg", *, buffer: int = 0, cookie: str = ""
) -> socket.socket:
    """Requests a stream; `buffer` limits the size of the receive buffer, bytes."""
    client = socket.socket()
    if buffer:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    client.settimeout(10)
    client.connect(("127.0.0.1", port))
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n".encode())
    return client


def view(port: int, count: int) -> None:
    """Reads streams until the process is killed."""
    with selectors.DefaultSelector() as selector:
        for _ in range(count):
            selector.register(open_stream(port), selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.recv(1 << 20)


if __name__ == "__main__":
    view(int(sys.argv[1]), int(sys.argv[2]))
