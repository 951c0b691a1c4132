"""The directory of annotated copies that `plateid read --out` writes."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from plateid.core.records import Image
from plateid.errors import ConfigError, SourceError, os_errors_as
from plateid.files import write_whole

IMAGES = (".png", ".jpg", ".jpeg", ".webp")
VIDEOS = (".mp4",)
"""Suffixes of annotated copies; a source of another kind gets the first suffix."""


class OutputFolder:
    """A directory of copies that never replace a source or another copy."""

    def __init__(self, folder: Path) -> None:
        """Creates the directory; raises ConfigError if that fails."""
        with os_errors_as(ConfigError, f"--out {folder}"):
            folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._taken: set[Path] = set()

    def protect(self, sources: Iterable[Path]) -> None:
        """Excludes files from being replaced."""
        self._taken |= {source.resolve() for source in sources}

    def video_path(self, source: Path) -> Path:
        """Returns a free path for a copy of a video; raises SourceError if it is the source."""
        return self._path(source, VIDEOS)

    def write_image(self, source: Path, image: Image) -> None:
        """Writes a copy of an image; raises SourceError if that fails or replaces the source."""
        path = self._path(source, IMAGES)
        encoded, data = cv2.imencode(path.suffix, image)
        if not encoded:
            raise SourceError(path, "cannot be encoded")
        with os_errors_as(SourceError, path):
            write_whole(path, np.asarray(data).tobytes())

    def _path(self, source: Path, suffixes: tuple[str, ...]) -> Path:
        suffix = source.suffix if source.suffix.lower() in suffixes else suffixes[0]
        path = self._folder / f"{source.stem}{suffix}"
        if path.resolve() == source.resolve():
            raise SourceError(source, "--out would replace it with its annotated copy")
        number = 1
        while path.resolve() in self._taken:
            number += 1
            path = self._folder / f"{source.stem}-{number}{suffix}"
        self._taken.add(path.resolve())
        return path
