"""The page's certificate, which somebody renews every few months."""

import ssl
from pathlib import Path

from plateid.config.service import WebConfig
from plateid.errors import ConfigError

NO_PEM = "no certificate and key in PEM form"


class Certificate:
    """The certificate of `[web]` and its key, as they were when they were last loaded."""

    def __init__(self, web: WebConfig) -> None:
        """Loads nothing yet."""
        self._files = {"certificate_file": web.certificate_file, "key_file": web.key_file}
        self._loaded: list[tuple[int, int] | None] = []

    def load(self, context: ssl.SSLContext) -> None:
        """Has new connections use what the files hold now, if that is something else.

        Raises:
            ConfigError: A file cannot be read, or they are no certificate and its key.
        """
        found = [self._state(key) for key in self._files]
        if self._files["certificate_file"] is None or found == self._loaded:
            return
        files = self._files["certificate_file"], self._files["key_file"]
        try:  # elsewhere first: of half a pair the context would keep a half
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*files, password="")
            context.load_cert_chain(*files, password="")
        except ssl.SSLError as error:
            named = ", ".join(str(file) for file in files if file)
            said = (error.reason or "").replace("_", " ").lower() or NO_PEM
            raise ConfigError("web.certificate_file", f"{named}: {said}") from error
        except OSError as error:
            raise ConfigError("web.certificate_file", f"{files[0]}: {error.strerror}") from error
        self._loaded = found

    def _state(self, key: str) -> tuple[int, int] | None:
        file: Path | None = self._files[key]
        try:
            if file is None:
                return None
            with file.open("rb"):
                status = file.stat()
        except OSError as error:
            raise ConfigError(f"web.{key}", f"{file}: {error.strerror}") from error
        return status.st_ino, status.st_mtime_ns
