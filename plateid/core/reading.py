"""From fused slots to a reading: n-best texts, weighed by country syntax."""

from collections.abc import Sequence

from plateid.core.formats import prior, region_of
from plateid.core.fusion import Fusion
from plateid.core.records import Candidate, PlateRead, Reading
from plateid.core.text import n_best

CANDIDATES = 5
EMPTY = Reading("", "", 0.0, (), (), None, reads=0, agreeing_reads=0)


def read_of(fusion: Fusion, regions: Sequence[str] = ()) -> Reading:
    """What the reads of one plate say together; EMPTY when nothing is legible."""
    hypotheses = [h for h in n_best(fusion.slots(), CANDIDATES) if h.text]
    if not hypotheses:
        return EMPTY
    weights = [h.probability * prior(h.text, regions) for h in hypotheses]
    scale = sum(h.probability for h in hypotheses) / sum(weights)
    ranked = sorted(zip(weights, hypotheses, strict=True), key=lambda pair: -pair[0])
    candidates = tuple(Candidate(h.text, min(1.0, weight * scale)) for weight, h in ranked)
    best, raw = ranked[0][1], hypotheses[0]
    return Reading(
        plate=best.text,
        plate_raw=raw.text,
        confidence=candidates[0].confidence,
        char_confidences=best.characters,
        candidates=candidates,
        region=region_of(best.text, regions),
        reads=fusion.reads,
        agreeing_reads=fusion.agreeing(raw.text),
    )


def read_once(read: PlateRead, regions: Sequence[str] = ()) -> Reading:
    """The reading of a single crop."""
    fusion = Fusion()
    fusion.add(read)
    return read_of(fusion, regions)
