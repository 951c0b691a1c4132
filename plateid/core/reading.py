"""From fused character positions to a reading: candidate texts, weighted by country syntax."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from plateid.core.formats import Formats, shipped_formats
from plateid.core.fusion import Fusion
from plateid.core.records import Box, Candidate, Detection, LazyImage, Plate, PlateRead, Region
from plateid.core.text import (
    Hypothesis,
    Positions,
    best_text,
    digits_only,
    n_best,
    with_confusables,
)

CANDIDATES = 5
"""Maximum number of published candidates."""
MAX_VARIANTS = 64
"""Maximum number of texts with confusable characters that are tried against the syntax."""
LONE_SHARE = 0.1
"""Share of the one-character reads that are plates; the others are parts of signs and badges."""
MIN_VARIANT_SHARE = 0.001
"""Minimum probability of such a text, relative to the most likely one."""


@dataclass(frozen=True)
class Reading:
    """The text of one plate, after fusion and country syntax. `PlateEvent` has the same fields."""

    plate: str  # empty if nothing is legible, or if strict syntax rejects every candidate
    plate_raw: str  # the most likely text before country syntax
    confidence: float  # probability that the whole text is right
    char_confidences: tuple[float, ...]  # one for each character of `plate`
    candidates: tuple[Candidate, ...]  # best first, beginning with `plate`
    region: Region | None  # None if the text matches no known syntax
    reads: int = 1
    agreeing_reads: int = 1  # whose own text is `plate_raw`

    def to_plate(self, detection: Detection) -> Plate:
        """Returns the plate with this reading and the box of a detection."""
        return Plate(
            self.plate,
            self.confidence,
            self.char_confidences,
            self.candidates,
            detection.box,
            detection.score,
            self.region,
        )


NO_TEXT = Hypothesis("", 0.0, ())
"""The hypothesis that no text is legible."""
EMPTY = Reading("", "", 0.0, (), (), None, reads=0, agreeing_reads=0)
"""The reading of a plate without legible text."""


def fused_reading(fusion: Fusion, formats: Formats) -> Reading:
    """Returns the reading of all fused reads; EMPTY when nothing is legible.

    The syntax that the reader was taught weighs the characters. A candidate's weight is its
    probability times its syntax prior. The weights are scaled to the sum of the most likely texts'
    probabilities; a text of one character keeps `LONE_SHARE` of it. Strict syntax then drops the
    candidates that do not match, without raising the confidence of the others; `plate_raw` always
    remains.
    """
    positions = fusion.syntax.weighed(fusion.positions())
    if not best_text(positions):
        return EMPTY
    likely = [h for h in n_best(positions, CANDIDATES) if h.text]
    weighted = [
        (h.probability * formats.prior(h.text), h) for h in _variants(likely, positions, formats)
    ]
    scale = sum(h.probability for h in likely) / sum(weight for weight, _ in weighted)
    weighted = [
        (weight * scale * (LONE_SHARE if len(h.text) == 1 else 1.0), h) for weight, h in weighted
    ]
    if formats.strict:
        weighted = [(weight, h) for weight, h in weighted if formats.fits(h.text)]
    ranked = sorted(weighted, key=lambda pair: -pair[0])[:CANDIDATES]
    raw, best = likely[0].text, ranked[0][1] if ranked else NO_TEXT
    candidates = tuple(Candidate(h.text, min(1.0, weight)) for weight, h in ranked)
    return Reading(
        plate=best.text,
        plate_raw=raw,
        confidence=candidates[0].confidence if candidates else 0.0,
        char_confidences=best.characters,
        candidates=candidates,
        region=formats.region_of(best.text) if best.text else None,
        reads=fusion.reads,
        agreeing_reads=fusion.agreeing(raw),
    )


def _variants(likely: list[Hypothesis], positions: Positions, formats: Formats) -> list[Hypothesis]:
    """Adds texts with confusable characters that match, if the best text does not match.

    Where any country may be, they have digits only: some countries issue nothing else, and a
    reader that does not know their fonts mixes letters into the digits.
    """
    if formats.fits(likely[0].text):
        return likely
    spread = with_confusables(positions, distinct=formats.has_personal)
    found = n_best(digits_only(spread), CANDIDATES)
    if formats.regions:
        found += n_best(spread, MAX_VARIANTS, min_share=MIN_VARIANT_SHARE)
    least = MIN_VARIANT_SHARE * likely[0].probability
    fitting = {h.text: h for h in found if h.probability >= least and formats.fits(h.text)}
    return [*(h for h in likely if h.text not in fitting), *fitting.values()]


def single_reading(read: PlateRead, formats: Formats | None = None) -> Reading:
    """Returns the reading of a single crop; `formats` are by default those of any country."""
    fusion = Fusion(keep_blanks=True)
    fusion.add(read)
    return fused_reading(fusion, formats or shipped_formats())


def read_detections(
    image: LazyImage,
    detections: Sequence[Detection],
    read: Callable[[LazyImage, Sequence[Box]], list[PlateRead]],
    formats: Formats | None = None,
) -> list[Plate]:
    """Reads each detected plate of an image by itself, and returns the plates, best first."""
    reads = read(image, [detection.box for detection in detections])
    plates = [
        single_reading(each, formats).to_plate(detection)
        for detection, each in zip(detections, reads, strict=True)
    ]
    return sorted(plates, key=lambda plate: -plate.confidence)
