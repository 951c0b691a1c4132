"""Writes a bundle's MODEL_CARD.md from its `bundle.toml`."""

from collections.abc import Mapping

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
CARD = """# {spec.name}

This is a plateid model bundle under {spec.licence}. `python -m train` writes this card from
`bundle.toml`.

| | detector | reader |
|---|---|---|
| file | `{spec.detector.file}` | `{spec.reader.file}` |
| name | `{spec.detector.name}` | `{spec.reader.name}` |
| input | {spec.detector.width} x {spec.detector.height} pixels, colour, letterboxed \
| {spec.reader.width} x {spec.reader.height} pixels, {spec.reader.colour}, {spec.reader.fit} |
| weights | {spec.detector.precision} | {spec.reader.precision} |
| score threshold | {spec.detector.threshold} | |

## How the networks were trained

**Detector.** {spec.detector.origin}

**Reader.** {spec.reader.origin}

## Training data

| source | licence | used for |
|---|---|---|
{data}

## Accuracy

A source that the networks were trained on is evaluated on its held-out images. The score threshold
was chosen on the same images. Other sources are evaluated on all images.

- **recall**, **mAP50**, **mAP50-95**: the detector at its score threshold, as COCO defines them.
- **plate_accuracy**: share of the labelled plates that are detected and read without any error.
  **plate_accuracy_folded** counts O as 0 and I as 1.
- **CER**: wrong, missing and extra characters, divided by the number of characters.
- **confident**: share of the plates read with a confidence of 0.9 or more.
  **correct if confident**: share of those that are correct (folded).
- **passes**: share of vehicle passes whose fused reading is correct (folded).

{accuracy}

## Limits

{limits}
"""


def card(spec: BundleSpec) -> str:
    """Returns the text of `MODEL_CARD.md`."""
    return CARD.format(
        spec=spec,
        data="\n".join(f"| {d.name} | {d.licence} | {d.used_for} |" for d in spec.training_data),
        accuracy=_accuracy(spec.metrics),
        limits="\n".join(f"- {limit}" for limit in spec.limits),
    )


def _accuracy(metrics: Mapping[str, float]) -> str:
    """Returns a table with a row for each source."""
    sources = dict.fromkeys(name.removesuffix("_recall") for name in metrics if "_recall" in name)
    rows = [["source", *ACCURACY.values()], ["---"] * (1 + len(ACCURACY))]
    for source in sources:
        values = (metrics.get(f"{source}_{metric}") for metric in ACCURACY)
        rows.append([source, *("" if value is None else f"{value:.3f}" for value in values)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
