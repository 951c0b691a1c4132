"""The one writer of `bundle.toml` and of the model card, which is made from it."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jinja2
import tomlkit

from plateid.files import write_whole
from plateid.models.bundle import Bundle, BundleSpec

ACCURACY = {
    "recall": "recall",
    "mAP50": "mAP50",
    "mAP50_95": "mAP50-95",
    "exact": "plate_accuracy",
    "folded": "plate_accuracy_folded",
    "cer": "CER",
    "sure": "confident",
    "sure_right": "correct if confident",
    "fused": "passes",
}
"""Metrics of a source and their headings. `bundle.toml` has them as SOURCE_METRIC."""


@contextmanager
def edit_bundle_toml(folder: Path) -> Iterator[Any]:
    """Yields the content of `bundle.toml`, then writes it and the model card.

    Comments and order stay as they are. Raises BundleError if the changed bundle is not valid.
    """
    path = folder / "bundle.toml"
    content = tomlkit.parse(path.read_text(encoding="utf-8"))
    yield content
    write_whole(path, tomlkit.dumps(content).encode())
    write_whole(path.with_name("MODEL_CARD.md"), card(Bundle(folder).spec).encode())


def set_hashes(content: Any, folder: Path) -> None:
    """Sets the SHA-256 of each network's file, and drops the metrics of other networks."""
    for name in ("detector", "reader"):
        data = (folder / content[name]["file"]).read_bytes()
        content[name]["sha256"] = hashlib.sha256(data).hexdigest()
    content["metrics"] = {}


def card(spec: BundleSpec) -> str:
    """Returns the text of `MODEL_CARD.md`."""
    template = jinja2.Template(
        Path(__file__).with_name("model_card.md.j2").read_text(encoding="utf-8"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    sources = [name.removesuffix("_recall") for name in spec.metrics if name.endswith("_recall")]
    return str(template.render(spec=spec, accuracy=ACCURACY, sources=sources))
