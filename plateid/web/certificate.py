"""The TLS certificate of the web UI, which is reloaded when its files change."""

import ssl
from pathlib import Path

from plateid.config.service import WebConfig
from plateid.errors import ConfigError

NO_PEM = "not a certificate and key in PEM form"


class Certificate:
    """The certificate and key files of `[web]`."""

    def __init__(self, web: WebConfig) -> None:
        """Loads nothing yet."""
        self._files = {"certificate_file": web.certificate_file, "key_file": web.key_file}
        self._loaded: list[tuple[int, int] | None] = []

    def load(self, context: ssl.SSLContext) -> None:
        """Loads the files into `context` for new connections if they have changed.

        Raises ConfigError if they cannot be read, or are not a certificate and its key.
        """
        found = [self._version(key) for key in self._files]
        if self._files["certificate_file"] is None or found == self._loaded:
            return
        files = self._files["certificate_file"], self._files["key_file"]
        try:  # a new context first: a failed load would leave `context` with half of the pair
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*files, password="")
            context.load_cert_chain(*files, password="")
        except ssl.SSLError as error:
            names = ", ".join(str(file) for file in files if file)
            reason = (error.reason or "").replace("_", " ").lower() or NO_PEM
            raise ConfigError("web.certificate_file", f"{names}: {reason}") from error
        except OSError as error:
            raise ConfigError("web.certificate_file", f"{files[0]}: {error.strerror}") from error
        self._loaded = found

    def _version(self, key: str) -> tuple[int, int] | None:
        """Returns the inode and modification time of a file."""
        file: Path | None = self._files[key]
        try:
            if file is None:
                return None
            with file.open("rb"):
                status = file.stat()
        except OSError as error:
            raise ConfigError(f"web.{key}", f"{file}: {error.strerror}") from error
        return status.st_ino, status.st_mtime_ns
