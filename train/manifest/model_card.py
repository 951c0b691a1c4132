"""Writes a bundle's MODEL_CARD.md from its `bundle.toml`."""

from pathlib import Path

import jinja2

from plateid.models.bundle import BundleSpec

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


def card(spec: BundleSpec) -> str:
    """Returns the text of `MODEL_CARD.md`."""
    template = jinja2.Template(
        Path(__file__).with_suffix(".md.j2").read_text(encoding="utf-8"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    sources = [name.removesuffix("_recall") for name in spec.metrics if name.endswith("_recall")]
    return str(template.render(spec=spec, accuracy=ACCURACY, sources=sources))
