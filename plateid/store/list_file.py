"""The file of lists, read again when somebody has edited it."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import structlog

from plateid.config.outputs import ListsConfig
from plateid.core.lists import Lists, parse_entries
from plateid.core.records import ListMatch
from plateid.errors import ConfigError, reason_of

State = tuple[int, int, int]
"""Of a file: inode, size, and time of its last change."""
LISTS_REFUSED = "lists refused, the old ones stay"
log = structlog.get_logger()


class ListFile:
    """The lists as they were when their file was last read and found right.

    `match` may be called from any thread at any time; all else by one thread.

    Attributes:
        lists: The present ones, exchanged as a whole.
        refused: Why the file is not as they are; empty where it is.
    """

    def __init__(self, config: ListsConfig, cameras: Sequence[str]) -> None:
        """Reads the file, if there is one.

        Raises:
            ConfigError: It cannot be read, or is wrong; names file, line and reason.
        """
        self._config = config
        self._cameras = cameras
        self.lists = Lists()
        self.refused = ""
        self._loaded = self._seen = _state(config.file)
        if config.file is not None:
            self.lists = self._read(config.file)

    def match(self, plate: str, *, camera: str, at: datetime) -> ListMatch | None:
        """Returns the nearest entry that is valid for `camera` at the time `at`, if any."""
        return self.lists.match(plate, camera=camera, at=at)

    def reload(self) -> None:
        """Reads the file now; what is read right replaces all at once.

        Raises:
            ConfigError: As at the start; the lists are as they were.
        """
        if self._config.file is not None:
            self._loaded = self._seen = _state(self._config.file)
            try:
                self.lists, self.refused = self._read(self._config.file), ""
            except ConfigError as error:
                self.refused = str(error)
                raise
            log.info("lists read", file=str(self._config.file), entries=len(self.lists.entries))

    def check(self) -> None:
        """Reads the file if it has changed since, and not while it is written; every few seconds.

        One that is wrong is logged once, and the lists are as they were.
        """
        state = _state(self._config.file)
        settled = state == self._seen
        self._seen = state
        if settled and state != self._loaded:
            try:
                self.reload()
            except ConfigError as error:
                log.error(LISTS_REFUSED, reason=str(error))  # noqa: TRY400

    def _read(self, file: Path) -> Lists:
        try:
            text = file.read_bytes().decode()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(file, reason_of(error)) from error
        return Lists(parse_entries(text, file, self._cameras), self._config.max_distance)


def _state(file: Path | None) -> State | None:
    """None where there is no file, or none that can be found."""
    if file is None:
        return None
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
