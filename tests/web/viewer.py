"""Viewers of a camera's stream in a process of their own: python -m tests.web.viewer PORT COUNT."""

import selectors
import socket
import sys


def connected(port: int, *, receive: int = 0) -> socket.socket:
    """One that has asked for the stream; `receive` is the size of its buffer."""
    client = socket.socket()
    if receive:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    client.connect(("127.0.0.1", port))
    client.sendall(b"GET /stream/drive.mjpeg HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return client


def view(port: int, count: int) -> None:
    """Takes all that comes, until the process is ended."""
    with selectors.DefaultSelector() as selector:
        for _ in range(count):
            selector.register(connected(port), selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.recv(1 << 20)


if __name__ == "__main__":
    view(int(sys.argv[1]), int(sys.argv[2]))
