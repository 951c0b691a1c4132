"""What the path of a recording says: its start, and its camera."""

import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

_DATE = r"(?<!\d)(?P<Y>20\d\d)[-_.]?(?P<m>[01]\d)[-_.]?(?P<d>[0-3]\d)"
_TIME = r"(?P<H>[0-2]\d)[-_.:h]?(?P<M>[0-5]\d)[-_.:m]?(?P<S>[0-5]\d)(?!\d)(?P<rest>[^/]*)$"
_NAMES = (
    re.compile(_DATE + r"/(?P<H>\d\d)/(?P<utc>[^/]+)/(?P<M>\d\d)\.(?P<S>\d\d)(?P<rest>\.\w+)$"),
    re.compile(_DATE + r"[-_ T.]{0,3}" + _TIME),
    re.compile(_DATE + r"/(?:[^/]+/){0,3}[^/\d]{0,16}" + _TIME),
)
"""Paths of Frigate (UTC: date, hour, camera, minute and second); date and time in the name
(Reolink, Synology, Blue Iris, dashcams); date in a folder, time in the name (Dahua, motionEye)."""
_NO_CAMERA = re.compile(r"[\d\W_]+|dav|jpg")
"""Folders that name a date or a number of the recorder, not a camera."""


def start_in_name(source: str) -> tuple[datetime | None, str]:
    """Returns the start that a path states, if any, and the camera that it names."""
    path = Path(source)
    folder = next(iter(named_folders(path)[::-1]), "")
    for pattern in _NAMES:
        if found := pattern.search("/".join(path.parts[-5:])):
            groups = found.groupdict()
            with suppress(ValueError):
                start = datetime(*(int(groups[part]) for part in "YmdHMS"))  # type: ignore[arg-type] # noqa: DTZ001 - local, below
                if camera := groups.get("utc"):
                    return start.replace(tzinfo=UTC), camera
                before = found.string[: found.start()].rpartition("/")[2].strip("-_. ")
                after = re.sub(r"[\d\W_]+", "-", found["rest"].rpartition(".")[0]).strip("-")
                return start.astimezone(), "-".join(filter(None, (folder, before, after)))
    return None, folder or re.sub(r"\d+", "", path.stem)


def named_folders(path: Path) -> list[str]:
    """Returns the folders of a path that name no date and no number of a recorder."""
    return [part for part in path.parts[:-1] if not _NO_CAMERA.fullmatch(part)]
