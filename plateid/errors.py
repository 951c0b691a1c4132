"""Expected failures. Each message is one line that names what failed and why."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any


class PlateidError(Exception):
    """An expected failure.

    `subject` is a file, a URL without its password, `host:port`, or a configuration key; `reason`
    says why it failed. `lines` are for a terminal.
    """

    def __init__(self, subject: object, reason: object) -> None:
        super().__init__(printable(f"{subject}: {reason}"))
        self.subject = str(subject)
        self.reason = str(reason)
        self.lines: tuple[str, ...] = (str(self),)

    def __reduce__(self) -> tuple[Any, ...]:
        """Makes it picklable: workers send it to the driver."""
        return type(self), (self.subject, self.reason)


def reason_of(error: Exception) -> str:
    """Returns the message of the operating system or OpenSSL, or else of the error itself."""
    if isinstance(error, UnicodeDecodeError):
        line = error.object.count(b"\n", 0, error.start) + 1
        return f"line {line} is not UTF-8"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message.rstrip('.')}"
    if isinstance(error, ssl.SSLError):  # without OpenSSL's codes and line numbers
        return f"TLS: {(error.reason or str(error)).replace('_', ' ').lower()}"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def needs_extra(extra: str) -> str:
    """Returns the reason of an error about an extra that is not installed."""
    return f"needs the extra {extra}: pip install 'plateid[{extra}]'"


def printable(text: str) -> str:
    """Escapes control characters, which keys, file names and server replies may contain."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@contextmanager
def errors_as(
    kind: Callable[[Any, str], Exception], what: object, *causes: type[Exception], reason: str = ""
) -> Iterator[None]:
    """Turns some errors into a `kind` of error about `what`, by default with their own reason."""
    try:
        yield
    except causes as error:
        raise kind(what, reason or reason_of(error)) from error


def os_errors_as(kind: type[PlateidError], subject: object) -> AbstractContextManager[None]:
    """Turns an OSError into an expected failure of `subject`."""
    return errors_as(kind, subject, OSError)


class ConfigError(PlateidError):
    """A configuration, list or plate syntax file is invalid. At the start, the exit code is 2."""


class SourceError(PlateidError):
    """An image, video file or stream cannot be read, or stopped."""


class BundleError(PlateidError):
    """A model bundle is incomplete, altered, or not for this version."""


class ModelError(PlateidError):
    """A network cannot be loaded, or an inference failed."""


class ServiceError(PlateidError):
    """The service manager cannot start the service, or does not see it run."""


class StoreError(PlateidError):
    """The event store cannot be opened, read or written."""


class BrokerError(PlateidError):
    """The MQTT broker cannot be reached, or refuses the connection."""


class OutputError(PlateidError):
    """A webhook or a log file cannot take events at the moment."""


class RefusedError(OutputError):
    """An output refuses this event for good, so a retry is useless."""


class GpsError(PlateidError):
    """gpsd cannot be reached, or violates its protocol."""


class ArchiveError(PlateidError):
    """A run over an archive cannot start or go on; what is done stays done."""


class WorkerError(PlateidError):
    """A task has ended its workers again and again, for example for want of memory."""
