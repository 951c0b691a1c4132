"""The file of the lists: read again when it changes, and written with undo."""

import hashlib
from collections import defaultdict, deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from plateid.config.outputs import ListsConfig
from plateid.core.lists import ListEntry, Lists
from plateid.errors import ConfigError, errors_as, os_errors_as
from plateid.files import MAX_TEXT_BYTES, read_file, replace_text
from plateid.store.list_csv import COLUMNS, lines_of, numbered_entries, parse_entries

FileState = tuple[int, int, int]
"""Inode, size, and time of the last change of a file."""
LISTS_REFUSED = "lists refused, the previous lists stay in use"
"""Log phrase of a reload whose list file is invalid."""
MAX_SAME = 100
"""Maximum number of entries of a plate, each with a window or cameras of its own."""
MAX_UNDO = 50
"""Maximum number of changes that can be undone."""
MAX_UNDO_CHARACTERS = 10_000_000
"""Maximum length of all texts that are kept for it; a change of a long list keeps two."""
MAX_NAMES = 100
"""Maximum number of list entries that Home Assistant gets an entity for."""
log = structlog.get_logger()


class ListFile:
    """The lists of the last valid version of their file.

    Its methods belong to one thread; any thread may use `lists`, which a reload replaces. `refused`
    is why the present file is not used; empty if it is. The entries of a hub, in a file of its own,
    are in force as well; `conflicts` names those that contradict entries of this device.
    """

    def __init__(
        self, config: ListsConfig, cameras: Sequence[str], *, of_hub: Path | None = None
    ) -> None:
        """Reads the files, if any; raises ConfigError with file, line and reason."""
        self._config = config
        self._cameras = cameras
        self._of_hub = of_hub
        self.lists = Lists()
        self.refused = ""
        self.conflicts: tuple[str, ...] = ()
        self._loaded = self._seen = file_state(config.file)
        self.lists = self._read()

    def use(self, config: ListsConfig) -> None:
        """Takes over a changed configuration; raises as `reload`."""
        if config != self._config:
            self._config = config
            self.lists = Lists()
            self.reload()

    def reload(self) -> None:
        """Reads the file; raises ConfigError if it is invalid, and the old lists stay."""
        self._loaded = self._seen = file_state(self._config.file)
        try:
            self.lists, self.refused = self._read(), ""
        except ConfigError as error:
            self.refused = str(error)
            raise
        if self._config.file is not None:
            log.info("lists read", file=str(self._config.file), entries=len(self.lists.entries))
        for conflict in self.conflicts:
            log.warning("list contradicts that of the hub", conflict=conflict)

    def names(self) -> tuple[str, ...]:
        """Returns the first `MAX_NAMES` different names of entries."""
        return tuple(dict.fromkeys(entry.name for entry in self.lists.entries))[:MAX_NAMES]

    def check(self) -> None:
        """Reads a file that has changed, but not since the last check; logs an invalid one once."""
        state = file_state(self._config.file)
        settled = state == self._seen
        self._seen = state
        if settled and state != self._loaded:
            try:
                self.reload()
            except ConfigError as error:
                log.error(LISTS_REFUSED, reason=str(error))  # noqa: TRY400

    def _read(self) -> Lists:
        own = read_entries(self._config.file, self._cameras, missing=False)
        of_hub = read_entries(self._of_hub, self._cameras)
        known = {entry.plate: entry for entry in of_hub}
        self.conflicts = tuple(
            f"{entry.plate}: {entry.kind} on the device, {other.kind} on the hub"
            for entry in own
            if (other := known.get(entry.plate)) and other.kind != entry.kind
            if entry.overlaps(other)
        )
        return Lists((*own, *of_hub), self._config.max_distance)


class ConflictError(ValueError):
    """Two entries of a plate are valid for one camera at one time."""


@dataclass(frozen=True)
class ListChange:
    """A change of the file: its description, and the text of the file before and after."""

    description: str
    before: str
    after: str


class ListUndo(deque[ListChange]):
    """The last changes of the web UI since the start."""

    def __init__(self) -> None:
        super().__init__(maxlen=MAX_UNDO)

    def append(self, change: ListChange) -> None:
        """Adds a change, and drops the oldest ones if all take too much memory."""
        super().append(change)
        while sum(len(each.before) + len(each.after) for each in self) > MAX_UNDO_CHARACTERS:
            self.popleft()

    def last(self, text: str) -> ListChange | None:
        """Returns the change to undo; None if the file was changed elsewhere since."""
        return self[-1] if self and self[-1].after == text else None


def read_text(file: Path) -> str:
    """Returns the text of the file, or a header if there is none; raises ConfigError."""
    return _read(file) if file.exists() else ",".join(COLUMNS) + "\n"


def read_entries(
    file: Path | None, cameras: Sequence[str], *, missing: bool = True
) -> tuple[ListEntry, ...]:
    """Returns the entries of the file, none without one; raises ConfigError if it is invalid.

    Unless `missing`, a file that is gone is an error as well.
    """
    if file is None:
        return ()
    return parse_entries(read_text(file) if missing else _read(file), file, cameras)


def write_text(file: Path, text: str, cameras: Sequence[str], *, before: str | None = None) -> None:
    """Replaces the file if the text is valid.

    Raises ConfigError if the text is invalid, or the file cannot be written, and ConflictError if
    lines that are not in `before` contradict others. The old file stays.
    """
    entries = numbered_entries(text, file, cameras)
    if before is not None:
        _check_conflicts(text, entries, set(lines_of(before)))
    with os_errors_as(ConfigError, file):
        replace_text(file.resolve(), text)  # the target of a symbolic link, not the link


def _check_conflicts(
    text: str, entries: Sequence[tuple[int, ListEntry]], known: Collection[str]
) -> None:
    """Raises ConflictError for the first line that is not known and contradicts another one."""
    lines = ["", *lines_of(text)]
    by_plate: dict[str, list[tuple[int, ListEntry]]] = defaultdict(list)
    for number, entry in entries:
        by_plate[entry.plate].append((number, entry))
    for number, entry in entries:
        line, same = lines[number], by_plate[entry.plate]
        if line in known:
            continue
        if len(same) > MAX_SAME:
            raise ConflictError(f"line {number} ({line}): more than {MAX_SAME} entries of a plate")
        for other, found in same:
            if other != number and entry.overlaps(found):
                kind = "is there twice" if found.kind == entry.kind else "is on two lists"
                first, second = sorted((number, other))
                raise ConflictError(
                    f"{entry.plate} {kind}: line {first} ({lines[first]}),"
                    f" line {second} ({lines[second]})"
                )


def state_of(text: str) -> str:
    """Returns a digest by which the web UI notices that the file has changed."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _read(file: Path) -> str:
    with errors_as(ConfigError, file, OSError, UnicodeDecodeError):
        return read_file(file, limit_bytes=MAX_TEXT_BYTES).decode()


def file_state(file: Path | None) -> FileState | None:
    """Returns what changes with a file; None without one."""
    if file is None:
        return None
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
