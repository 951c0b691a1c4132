"""Webhooks: one POST per event, signed as https://www.standardwebhooks.com specifies."""

import base64
import hashlib
import hmac
import http.client
import io
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
from plateid.core.records import OutboxEntry, PlateEvent
from plateid.errors import ConfigError, OutputError, RefusedError, errors_as
from plateid.files import read_text

SECRET_BYTES = range(24, 65)
"""Allowed lengths of a secret, bytes, by the specification."""
PORTS = {"http": http.client.HTTP_PORT, "https": http.client.HTTPS_PORT}
BAD_REQUEST = 400
"""HTTP status of a wrong event, but also of a wrong signature, which can be corrected."""
REFUSALS = (BAD_REQUEST, 413, 422)
"""HTTP statuses that refuse an event for good. All others can be corrected at the server."""


class Webhook:
    """A server that gets events."""

    def __init__(self, config: WebhookConfig) -> None:
        """Does not connect; raises ConfigError if secret, certificate or URL cannot be used."""
        self._config = config
        self._secret = read_secret(config.secret_file) if config.secret_file else None
        self._context = _trusting(config.ca_file) if config.url.startswith("https:") else None
        with errors_as(ConfigError, f"webhook {config.name}: url", ValueError):
            url = urlsplit(config.url)
            self._address = url.hostname or "", url.port or PORTS[url.scheme]
        self._path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        self._endpoint = f"{url.scheme}://{url.netloc}"  # path and query may hold a secret

    def deliver(self, entry: OutboxEntry) -> bool:
        """Sends an event if the configuration selects it. Does not follow redirects.

        Raises RefusedError if the server refuses the event. Raises OutputError if the server cannot
        be reached, or answers anything but 2xx.
        """
        if not self._is_selected(entry.event):
            return False
        body = entry.to_json().encode()
        status, reason = self._post(body, self._headers(entry.event.id, body))
        if not 200 <= status < 300:  # noqa: PLR2004 - RFC 9110, section 15.3
            is_signature = status == BAD_REQUEST and self._secret is not None
            is_refused = status in REFUSALS and not is_signature
            raise (RefusedError if is_refused else OutputError)(
                self._endpoint, f"answers {status} {reason}"
            )
        return True

    def _is_selected(self, event: PlateEvent) -> bool:
        config, kind = self._config, event.list.kind if event.list else "none"
        age = datetime.now(UTC) - event.last_seen
        return (
            (not config.lists or kind in config.lists)
            and (not config.cameras or event.camera in config.cameras)
            and (not config.events or event.event_type in config.events)
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
        causes = OSError, http.client.HTTPException, UnicodeError
        with (
            errors_as(OutputError, self._endpoint, *causes),
            closing(self._connection()) as connection,
        ):
            connection.request("POST", self._path, body, headers)
            answer = http.client.HTTPResponse(_Answer(connection.sock, until))  # type: ignore[arg-type]
            answer.begin()
        return answer.status, answer.reason

    def _connection(self) -> http.client.HTTPConnection:
        """Divides the time-out by the number of addresses, which are tried one after the other."""
        addresses = socket.getaddrinfo(*self._address, type=socket.SOCK_STREAM)
        timeout_s = self._config.timeout_s / len(addresses)
        if self._context is None:
            return http.client.HTTPConnection(*self._address, timeout=timeout_s)
        return http.client.HTTPSConnection(*self._address, timeout=timeout_s, context=self._context)


class _Answer(io.RawIOBase):
    """Reads a socket until a time. The socket's own time-out restarts with each byte."""

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
    """Returns the HMAC-SHA256 of identifier, Unix seconds and body, as `v1,` and base64."""
    mac = hmac.new(secret, f"{id_}.{stamp}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(mac.digest()).decode()}"


def read_secret(file: Path) -> bytes:
    """Returns a secret of 24 to 64 bytes, base64 or `whsec_` and base64; raises ConfigError."""
    try:
        text = read_text(file).strip()
        secret = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except ValueError as error:
        raise ConfigError(file, "is not base64, as of `openssl rand -base64 32`") from error
    except OSError as error:
        raise ConfigError(file, error.strerror) from error
    if len(secret) not in SECRET_BYTES:
        raise ConfigError(file, f"holds {len(secret)} bytes; a secret has 24 to 64")
    return secret


def _trusting(ca_file: Path | None) -> ssl.SSLContext:
    reason = "no certificate in PEM form"
    with (
        errors_as(ConfigError, ca_file, OSError),
        errors_as(ConfigError, ca_file, ssl.SSLError, reason=reason),
    ):
        return ssl.create_default_context(cafile=ca_file)
