"""What every record of a run says of the code and the data, and how it is written."""

import hashlib
import subprocess
from collections.abc import Iterable
from pathlib import Path

from train.dataset.pictures import LabelledPicture


def commit() -> str:
    """`git describe` of this code; "unknown" outside of a repository."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "unknown"
    return answer.stdout.strip() or "unknown"


def data_hash(pictures: Iterable[LabelledPicture]) -> str:
    """SHA-256 of the pictures' names, boxes and bytes, in their order."""
    digest = hashlib.sha256()
    for picture in pictures:
        digest.update(f"{picture.path.name} {picture.boxes}\n".encode())
        digest.update(picture.path.read_bytes())
    return digest.hexdigest()


def write_whole(path: Path, text: str) -> None:
    """Writes a file that has its name only when it is complete."""
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
