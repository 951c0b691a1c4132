"""Receives webhooks and checks their signature: python webhook_receiver.py SECRET_FILE [PORT].

The signature follows https://www.standardwebhooks.com: HMAC-SHA256 of id, time and body.
"""

import base64
import hashlib
import hmac
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TOLERANCE_S = 300
"""Largest age of a request, seconds: an attacker cannot replay an older one."""


def is_signed(secret: bytes, headers: dict[str, str], body: bytes) -> bool:
    """Returns whether the request comes from the owner of the secret and is recent."""
    id_, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not stamp.isdigit() or abs(time.time() - int(stamp)) > TOLERANCE_S:
        return False
    mac = hmac.digest(secret, f"{id_}.{stamp}.".encode() + body, hashlib.sha256)
    expected = f"v1,{base64.b64encode(mac).decode()}"
    signatures = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(expected, signature) for signature in signatures)


def main(secret_file: str, port: str = "8000") -> None:
    """Serves until the program is stopped."""
    secret = base64.b64decode(Path(secret_file).read_text().strip().removeprefix("whsec_"))
    seen: set[str] = set()

    class Receiver(BaseHTTPRequestHandler):
        """Answers 204 to each signed event and 400 to anything else."""

        def do_POST(self) -> None:
            """Checks the signature, then acts on an event that is new."""
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            if not is_signed(secret, headers, body):
                self.send_error(400, "wrong signature")
                return
            event = json.loads(body)
            if event["id"] not in seen:  # delivery is at least once
                seen.add(event["id"])
                print(event["event_type"], event["camera"], event["plate"], flush=True)
            self.send_response(204)
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", int(port)), Receiver)
    print(f"listening at {server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
