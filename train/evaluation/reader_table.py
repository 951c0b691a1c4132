"""What an evaluation says of the reader: for the terminal, and for `report.json`."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from train.evaluation.calibration import RULE, Calibration, Temperature
from train.evaluation.confusion import SYMBOLS, Pair
from train.evaluation.figures import share
from train.evaluation.passes import GAP_S, PassFigures
from train.evaluation.reader import SHIFTS, Jitter, ReaderEvaluation
from train.evaluation.reading import SURE, ReaderFigures
from train.evaluation.results import CHARACTER, named

COLUMNS = (
    ("plates", "plates"),
    ("exact", "exact"),
    ("folded", "folded"),
    ("CER", "cer"),
    (f"≥ {SURE}", "sure"),
    ("right", "sure_right"),
    ("crops", "crops"),
    ("exact", "crops_exact"),
    ("folded", "crops_folded"),
    ("CER", "crops_cer"),
)
"""Headings and attributes of ReaderFigures."""
GROUPS = {
    "by source": "source",
    "by height of the characters": "characters",
    "by lines": "lines",
    "by legibility": "legibility",
    "by light": "light",
    "by whether other pictures of the plate were trained on": "text",
    "together": "all",
}
SHOWN = 8
"""Confusions on the terminal."""


def reader_table(reader: ReaderEvaluation) -> Iterator[str]:
    """The lines for the terminal."""
    yield f"{'reader':14}" + "".join(f"{heading:>9}" for heading, _ in COLUMNS)
    for key in GROUPS.values():
        for row in reader.parts[key]:
            cells = (cell(row, attribute) for _, attribute in COLUMNS)
            yield f"{row.name:14}" + "".join(f"{text:>9}" for text in cells)
    yield from _calibration(reader.calibration)
    if reader.temperature:
        yield from _temperature(reader.temperature)
    yield from map(_passes, reader.passes)
    if reader.jitter:
        yield from _jitter(reader.jitter)
    if pairs := reader.confusion.pairs[:SHOWN]:
        yield f"read for what is there: {', '.join(map(said, pairs))}"


def cell(row: ReaderFigures, attribute: str) -> str:
    """One cell of the table."""
    number = getattr(row, attribute)
    return str(number) if isinstance(number, int) else share(number)


def said(pair: Pair) -> str:
    """For people, as in `0 for O 12`."""
    return f"{pair.read or 'nothing'} for {pair.truth or 'nothing'} {pair.count}"


def _calibration(calibration: Calibration) -> Iterator[str]:
    error = f"expected calibration error {share(calibration.error)}"
    yield f"confidence of {calibration.reads} reads: {error}"
    for each in calibration.levels:
        yield (
            f"  at {each.confidence} and more: {share(each.kept)} of the plates, "
            f"{share(each.right)} of these right"
        )


def _temperature(fitted: Temperature) -> Iterator[str]:
    yield f"temperature {fitted.value}: {RULE}"
    for name, each in (("as it was", fitted.before), ("with it", fitted.after)):
        yield f"  {name}: calibration error {share(each.error)}, log-likelihood {_minus(each.loss)}"


def _minus(loss: float | None) -> str:
    return share(None if loss is None else -loss)


def _passes(row: PassFigures) -> str:
    return (
        f"{row.name}: {row.passes} passes of {row.frames} frames: right {row.one_frame:.3f} "
        f"a frame, {row.best_frame:.3f} of the surest frames, {row.fused:.3f} fused; "
        f"{row.sure:.3f} at {SURE} and more, {share(row.sure_right)} of these right"
    )


def _jitter(jitter: Jitter) -> Iterator[str]:
    yield f"boxes wider or narrower on each side: at most {jitter.worst_loss:.1f} points worse"
    for (x, y), each in zip(SHIFTS, jitter.shares, strict=True):
        yield f"  {x:+4.0%} wide {y:+4.0%} high: {share(each)}"


def reader_record(reader: ReaderEvaluation) -> dict[str, Any]:
    """All figures, for JSON."""
    return {
        "character_height": f"{CHARACTER} of the plate's height over its lines, in the picture",
        "parts": {name: list(map(asdict, part)) for name, part in reader.parts.items()},
        "calibration": asdict(reader.calibration),
        "temperature": reader.temperature and {"rule": RULE, **asdict(reader.temperature)},
        "pass_gap_s": GAP_S,
        "passes": list(map(asdict, reader.passes)),
        "jitter": reader.jitter
        and {
            **asdict(reader.jitter),
            "shares": [
                {"x": x, "y": y, "folded": each}
                for (x, y), each in zip(SHIFTS, reader.jitter.shares, strict=True)
            ],
        },
        "confusion": {
            "symbols": SYMBOLS,
            "matrix": reader.confusion.matrix.tolist(),
            "texts": reader.confusion.texts,
            "left_out": reader.confusion.left_out,
            "pairs": list(map(asdict, reader.confusion.pairs)),
        },
        "worst": [
            {
                "picture": named(each.plate.source, each.plate.shot),
                "box": each.plate.box,
                "truth": each.plate.text,
                "read": each.reading.plate,
                "confidence": each.reading.confidence,
            }
            for each in reader.worst
        ],
    }
