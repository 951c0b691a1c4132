"""Webhooks: an event is one POST, signed as https://www.standardwebhooks.com says."""

import base64
import binascii
import hashlib
import hmac
import http.client
import io
import json
import socket
import ssl
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from plateid import __version__
from plateid.config.outputs import WebhookConfig
from plateid.core.records import json_line, rfc3339
from plateid.errors import ConfigError, RefusedError, SinkError, reason_of
from plateid.store.queues import Queued

SECRET_BYTES = range(24, 65)
PORTS = {"http": http.client.HTTP_PORT, "https": http.client.HTTPS_PORT}
BAD_REQUEST = 400
"""Also what is answered to a signature: the secret, or one of the clocks, may be mended."""
THE_EVENT_IS_WRONG = (BAD_REQUEST, 413, 422)
"""Statuses that blame the request; all others that are no success may be mended at the server."""


class Webhook:
    """One server that gets events."""

    def __init__(self, config: WebhookConfig) -> None:
        """Connects to nobody yet.

        Raises:
            ConfigError: The secret, the certificate or the URL cannot be used.
        """
        self._config = config
        self._secret = read_secret(config.secret_file) if config.secret_file else None
        self._context = _trusting(config.ca_file) if config.url.startswith("https:") else None
        try:
            url = urlsplit(config.url)
            self._address = url.hostname or "", url.port or PORTS[url.scheme]
        except ValueError as error:
            raise ConfigError(f"webhook {config.name}: url", error) from error
        self._path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        self._endpoint = f"{url.scheme}://{url.netloc}"  # path and query may hold a secret

    def deliver(self, queued: Queued) -> bool:
        """Sends an event, if it is one that is wanted here; a redirect is not followed.

        Raises:
            RefusedError: The server says that the event is wrong.
            SinkError: The server cannot be reached, or answers anything but 2xx.
        """
        event = json.loads(queued.payload)
        if not self._wanted(event):
            return False
        event |= {"sent_at": rfc3339(datetime.now(UTC)), "replayed": queued.sent}
        body = json_line(event).encode()
        status, reason = self._post(body, self._headers(queued.id, body))
        if not 200 <= status < 300:  # noqa: PLR2004 - RFC 9110, section 15.3
            is_signature = status == BAD_REQUEST and self._secret is not None
            is_refused = status in THE_EVENT_IS_WRONG and not is_signature
            raise (RefusedError if is_refused else SinkError)(
                self._endpoint, f"answers {status} {reason}"
            )
        return True

    def _wanted(self, event: dict[str, Any]) -> bool:
        config, kind = self._config, event["list"]["kind"] if event["list"] else "none"
        age = datetime.now(UTC) - datetime.fromisoformat(event["last_seen"])
        return (
            (not config.lists or kind in config.lists)
            and (not config.cameras or event["camera"] in config.cameras)
            and (not config.events or event["event_type"] in config.events)
            and (config.max_age_s is None or abs(age.total_seconds()) <= config.max_age_s)
        )

    def _headers(self, id_: str, body: bytes) -> dict[str, str]:
        stamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"plateid/{__version__}",
            "webhook-id": id_,
            "webhook-timestamp": stamp,
        }
        if self._secret is not None:
            headers["webhook-signature"] = signature(self._secret, id_, stamp, body)
        return headers

    def _post(self, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
        until = time.monotonic() + self._config.timeout_s
        try:
            with closing(self._connection()) as connection:
                connection.request("POST", self._path, body, headers)
                answer = http.client.HTTPResponse(_Answer(connection.sock, until))  # type: ignore[arg-type]
                answer.begin()
        except ssl.SSLCertVerificationError as error:
            reason = f"the server's certificate is refused: {error.verify_message.rstrip('.')}"
            raise SinkError(self._endpoint, reason) from error
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            reason = reason_of(error)
            raise SinkError(self._endpoint, reason) from error
        return answer.status, answer.reason

    def _connection(self) -> http.client.HTTPConnection:
        """The addresses of a host share the time: they are tried one after the other."""
        addresses = socket.getaddrinfo(*self._address, type=socket.SOCK_STREAM)
        timeout_s = self._config.timeout_s / len(addresses)
        if self._context is None:
            return http.client.HTTPConnection(*self._address, timeout=timeout_s)
        return http.client.HTTPSConnection(*self._address, timeout=timeout_s, context=self._context)


class _Answer(io.RawIOBase):
    """What a socket gives until a time; its own time-out begins anew with each byte."""

    def __init__(self, sock: socket.socket, until: float) -> None:
        self._sock, self._until = sock, until

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(max(0.001, self._until - time.monotonic()))
        return self._sock.recv_into(buffer)


def signature(secret: bytes, id_: str, stamp: str, body: bytes) -> str:
    """HMAC-SHA256 of identifier, Unix seconds and body, as `v1,` and base64."""
    mac = hmac.new(secret, f"{id_}.{stamp}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(mac.digest()).decode()}"


def read_secret(file: Path) -> bytes:
    """The secret of a file: base64 of 24 to 64 bytes, with `whsec_` before it or without.

    Raises:
        ConfigError: The file cannot be read, or holds something else.
    """
    try:
        text = file.read_text().strip()
        secret = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ConfigError(file, "is not base64, as of `openssl rand -base64 32`") from error
    except OSError as error:
        raise ConfigError(file, error.strerror) from error
    if len(secret) not in SECRET_BYTES:
        raise ConfigError(file, f"holds {len(secret)} bytes; a secret has 24 to 64")
    return secret


def _trusting(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError as error:
        raise ConfigError(ca_file, "no certificate in PEM form") from error
    except OSError as error:
        raise ConfigError(ca_file, error.strerror) from error
