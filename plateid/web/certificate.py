"""The TLS certificate of the web UI, which is reloaded when its files change."""

import os
import ssl
from pathlib import Path

from plateid.config.service import WebConfig
from plateid.errors import ConfigError

NO_PEM = "not a certificate and key in PEM form"


class Certificate:
    """The certificate and key files of `[web]`, and the TLS context for them."""

    def __init__(self, web: WebConfig) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        keys = ("certificate_file", "key_file")
        self._files = {key: file for key in keys if (file := getattr(web, key))}
        self._loaded: list[tuple[int, int]] = []

    def load(self) -> None:
        """Loads the files into `context` for new connections if they have changed.

        Raises ConfigError if they cannot be read, or are not a certificate and its key.
        """
        found = [_version(key, file) for key, file in self._files.items()]
        if found == self._loaded:
            return
        certificate, key = self._files["certificate_file"], self._files.get("key_file")
        try:  # a new context first: a failed load would leave `context` with half of the pair
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
            self.context.load_cert_chain(certificate, key, password="")
        except ssl.SSLError as error:
            reason = (error.reason or "").replace("_", " ").lower() or NO_PEM
            names = ", ".join(map(str, self._files.values()))
            raise ConfigError("web.certificate_file", f"{names}: {reason}") from error
        except OSError as error:
            raise ConfigError("web.certificate_file", f"{certificate}: {error.strerror}") from error
        self._loaded = found


def _version(key: str, file: Path) -> tuple[int, int]:
    """Returns the inode and modification time of a file."""
    try:
        with file.open("rb") as opened:
            status = os.fstat(opened.fileno())
    except OSError as error:
        raise ConfigError(f"web.{key}", f"{file}: {error.strerror}") from error
    return status.st_ino, status.st_mtime_ns
