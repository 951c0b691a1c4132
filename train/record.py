"""Writes the record of a run."""

import json
import subprocess
from pathlib import Path
from typing import Any

from plateid.files import write_whole
from train.train_error import TrainError


def commit() -> str:
    """Returns `git describe` of this code; "unknown" outside of a repository."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "unknown"
    return answer.stdout.strip() or "unknown"


def begin(path: Path, settings: dict[str, Any], **notes: Any) -> dict[str, Any]:
    """Writes the settings and the commit of a new run to `path`, and returns all of the file.

    Raises TrainError if a resumed run has other settings. Notes, such as its folder, may change.
    """
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        record = {**settings, **notes, "commit": commit()}
        write_whole(path, json.dumps(record, indent=2, default=str).encode())
    begun: dict[str, Any] = json.loads(path.read_text())
    wanted = json.loads(json.dumps(settings, default=str))  # tuples become lists
    changed = [key for key, value in wanted.items() if begun.get(key, value) != value]
    if changed:
        raise TrainError(
            f"{path.parent}: holds a run with other {', '.join(changed)}; choose another --out"
        )
    return begun
