"""Runs `python -m train` in forks of one process: a fork need not import torch, which takes 5 s.

`train_server.py SOCKET` is the server; with arguments after SOCKET it is the command.
"""

import importlib
import json
import os
import socket
import sys

PRELOADED = (
    "torch._inductor",
    "train.detector.finetune",
    "train.evaluation.bundle_metrics",
    "train.evaluation.evaluate",
    "train.evaluation.evaluation_report",
    "train.export.bundle_export",
    "train.reader.reader_run",
    "train.synth.crop_database",
)


def run_in_server(path: str, arguments: list[str]) -> int:
    """Returns the exit status; the command writes to the output and error of the client."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        socket.send_fds(client, [json.dumps(arguments).encode()], [1, 2])
        return int(client.recv(9) or 1)


def serve(path: str) -> None:
    import socketserver

    from train.__main__ import main
    from train.detector.augment import render_plates

    for name in PRELOADED:
        importlib.import_module(name)
    render_plates(600, seed=0)  # fills the cache of glyphs, which the forks share

    class Command(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            arguments, streams, *_ = socket.recv_fds(self.request, 1 << 16, 2)
            for number, stream in enumerate(streams, 1):
                os.dup2(stream, number)
            try:
                main(json.loads(arguments))
            except SystemExit as done:
                self.request.send(str(done.code).encode())

    class Server(socketserver.ForkingMixIn, socketserver.UnixStreamServer):
        pass

    Server(path, Command).serve_forever()


if __name__ == "__main__":
    if sys.argv[2:]:
        sys.exit(run_in_server(sys.argv[1], sys.argv[2:]))
    serve(sys.argv[1])
