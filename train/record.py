"""Writes the record of a run."""

import json
import subprocess
from pathlib import Path
from typing import Any

from train.train_error import TrainError


def commit() -> str:
    """Returns `git describe` of this code; "unknown" outside of a repository."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "unknown"
    return answer.stdout.strip() or "unknown"


def write_whole(path: Path, text: str) -> None:
    """Writes a file under a temporary name, and renames it when it is complete."""
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def begin(path: Path, settings: dict[str, Any], **notes: Any) -> dict[str, Any]:
    """Writes the settings and the commit of a new run; checks those of a run that is resumed.

    Args:
        path: The file, `begun.json`.
        settings: Everything that affects the result.
        **notes: What may change when the run is resumed, for example its folder.

    Returns:
        The content of the file.

    Raises:
        TrainError: The run was begun with other settings.
    """
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(
            path, json.dumps({**settings, **notes, "commit": commit()}, indent=2, default=str)
        )
    begun: dict[str, Any] = json.loads(path.read_text())
    wanted = json.loads(json.dumps(settings, default=str))  # tuples become lists
    changed = [key for key, value in wanted.items() if begun.get(key, value) != value]
    if changed:
        raise TrainError(
            f"{path.parent}: holds a run with other {', '.join(changed)}; choose another --out"
        )
    return begun
