"""What every record of a run says of the code and the data, and how it is written."""

import hashlib
import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from train.dataset.labelled_images import LabelledImage
from train.train_error import TrainError


def commit() -> str:
    """`git describe` of this code; "unknown" outside of a repository."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "unknown"
    return answer.stdout.strip() or "unknown"


def data_hash(pictures: Iterable[LabelledImage]) -> str:
    """SHA-256 of the pictures' names, boxes and bytes, in their order."""
    digest = hashlib.sha256()
    for picture in pictures:
        digest.update(os.fsencode(f"{picture.path.name} {picture.boxes}\n"))
        digest.update(picture.path.read_bytes())
    return digest.hexdigest()


def write_whole(path: Path, text: str) -> None:
    """Writes a file that has its name only when it is complete."""
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def begin(path: Path, asked: dict[str, Any], **noted: Any) -> dict[str, Any]:
    """Notes what a run begins with, and the commit; one that goes on must be asked for the same.

    Args:
        path: The note.
        asked: What decides what comes out.
        **noted: What may be another the next time, as where the run lies.

    Raises:
        TrainError: It was asked for something else.
    """
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps({**asked, **noted, "commit": commit()}, indent=2, default=str))
    begun: dict[str, Any] = json.loads(path.read_text())
    wanted = json.loads(json.dumps(asked, default=str))  # tuples are lists there
    changed = [key for key, value in wanted.items() if begun.get(key, value) != value]
    if changed:
        raise TrainError(
            f"{path.parent}: holds a run with other {', '.join(changed)}; choose another --out"
        )
    return begun
