"""From fused slots to a reading: n-best texts, weighed by country syntax."""

from plateid.core.formats import Formats, shipped_formats
from plateid.core.fusion import Fusion
from plateid.core.records import Candidate, PlateRead, Reading
from plateid.core.text import Hypothesis, Slots, n_best, slots_text, with_look_alikes

CANDIDATES = 5
RESPELLINGS = 64
"""Texts of look-alikes that are tried where the reader's text does not fit."""
LEAST_SHARE = 0.001
"""What is less likely than this part of the reader's text is no respelling of it."""
NO_TEXT = Hypothesis("", 0.0, ())
EMPTY = Reading("", "", 0.0, (), (), None, reads=0, agreeing_reads=0)


def read_of(fusion: Fusion, formats: Formats) -> Reading:
    """What the reads of one plate say together; EMPTY when nothing is legible.

    Each text weighs what the reads give it, times its prior. The sum of all confidences is what
    the reads give the texts that they hold likeliest. Where syntax is strict, what it does not
    allow is left out, and makes the rest no surer; if nothing is left, only `plate_raw` is told.
    """
    slots = fusion.slots()
    if not slots_text(slots):
        return EMPTY
    said = [h for h in n_best(slots, CANDIDATES) if h.text]
    weighed = [(h.probability * formats.prior(h.text), h) for h in _possible(said, slots, formats)]
    scale = sum(h.probability for h in said) / sum(weight for weight, _ in weighed)
    if formats.strict:
        weighed = [(weight, h) for weight, h in weighed if formats.fits(h.text)]
    ranked = sorted(weighed, key=lambda pair: -pair[0])[:CANDIDATES]
    raw, best = said[0].text, ranked[0][1] if ranked else NO_TEXT
    candidates = tuple(Candidate(h.text, min(1.0, weight * scale)) for weight, h in ranked)
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


def _possible(said: list[Hypothesis], slots: Slots, formats: Formats) -> list[Hypothesis]:
    """What the reads say, and, where that fits no region given, texts of look-alikes that do."""
    if not formats.regions or formats.fits(said[0].text):
        return said
    respelt = n_best(with_look_alikes(slots), RESPELLINGS, least=LEAST_SHARE)
    fitting = {h.text: h for h in respelt if formats.fits(h.text)}
    return [*(h for h in said if h.text not in fitting), *fitting.values()]


def read_once(read: PlateRead, formats: Formats | None = None) -> Reading:
    """The reading of a single crop; without `formats`, those that ship, of any country."""
    fusion = Fusion(doubts=True)
    fusion.add(read)
    return read_of(fusion, formats or shipped_formats())
