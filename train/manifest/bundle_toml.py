"""The one writer of `bundle.toml`."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomlkit

from plateid.models.bundle import Bundle
from train.manifest.model_card import card
from train.record import write_whole

NETWORKS = ("detector", "reader")


@contextmanager
def edit_bundle_toml(folder: Path) -> Iterator[Any]:
    """Yields the content of `bundle.toml`, then writes it and the model card.

    Comments and order stay as they are. Raises BundleError if the changed bundle is not valid.
    """
    path = folder / "bundle.toml"
    content = tomlkit.parse(path.read_text(encoding="utf-8"))
    yield content
    write_whole(path, tomlkit.dumps(content))
    write_whole(path.with_name("MODEL_CARD.md"), card(Bundle(folder).spec))


def set_hashes(content: Any, folder: Path) -> None:
    """Sets the SHA-256 of each network's file, and drops the metrics of other networks."""
    for name in NETWORKS:
        data = (folder / content[name]["file"]).read_bytes()
        content[name]["sha256"] = hashlib.sha256(data).hexdigest()
    content["metrics"] = {}
