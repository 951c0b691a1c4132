"""Password and certificates for the broker, read at each connection."""

import ssl
from pathlib import Path

from plateid.config.outputs import MqttConfig
from plateid.errors import BrokerError, errors_as, os_errors_as
from plateid.files import MAX_TEXT_BYTES, read_file


def read_password(config: MqttConfig) -> str | None:
    """Returns the password, None if none is configured; raises BrokerError if it cannot be read."""
    if config.password_file is None:
        return None
    subject = f"mqtt.password_file: {config.password_file}"
    with errors_as(BrokerError, subject, UnicodeDecodeError, reason="not UTF-8"):
        return _read("password_file", config.password_file).decode().rstrip("\r\n")


def tls_context(config: MqttConfig) -> ssl.SSLContext | None:
    """Returns the TLS settings (1.2 or newer), None without; raises BrokerError for a bad file."""
    if not config.tls:
        return None
    context = _trusting(config.ca_file)
    context.sslsocket_class = _ClosedOnFailure
    if config.certificate_file is not None:
        _load_certificate(context, config.certificate_file, config.key_file)
    return context


def _trusting(ca_file: Path | None) -> ssl.SSLContext:
    if ca_file is not None:
        _read("ca_file", ca_file)
    reason = "no certificate in PEM form"
    with errors_as(BrokerError, f"mqtt.ca_file: {ca_file}", ssl.SSLError, reason=reason):
        return ssl.create_default_context(cafile=ca_file)


def _load_certificate(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    _read("certificate_file", certificate)
    if key is not None:
        _read("key_file", key)
    subject = f"mqtt.certificate_file: {certificate}{f', {key}' if key else ''}"
    with errors_as(BrokerError, subject, ssl.SSLError):
        # without a password, OpenSSL asks on the terminal
        context.load_cert_chain(certificate, key, password="")


def _read(key: str, path: Path) -> bytes:
    with os_errors_as(BrokerError, f"mqtt.{key}: {path}"):
        return read_file(path, limit_bytes=MAX_TEXT_BYTES)


class _ClosedOnFailure(ssl.SSLSocket):
    """A socket that closes if the handshake fails; paho would leave it open."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - as in ssl
        try:
            super().do_handshake(block)
        except OSError as error:
            self.close()
            if isinstance(error, ssl.SSLError):
                raise
            timed_out = isinstance(error, TimeoutError)
            what = "times out" if timed_out else "closes the connection"
            raise ConnectionError(f"it {what} during the TLS handshake") from error
