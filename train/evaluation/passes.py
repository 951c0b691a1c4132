"""What fusing the reads of one pass gives over a single read."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from plateid.core.formats import shipped_formats
from plateid.core.fusion import Fusion
from plateid.core.reading import fused_reading
from train.evaluation.reading import SURE, Answer, end_to_end, part_of, retempered
from train.evaluation.results import Transcribed

GAP_S = 10.0
"""A plate that is seen again after a longer time makes another pass."""
Pass = Sequence[Transcribed]
"""The same text in successive frames of one ride, in their order; not empty."""


@dataclass(frozen=True)
class PassFigures:
    """How well passes are read; shares are of passes, and of texts with O as 0 and I as 1.

    Attributes:
        name: Of their source.
        passes: How many there are.
        frames: With the plate in them, in all passes.
        one_frame: Mean share of a pass's frames that are read right.
        best_frame: Passes whose surest frame is right.
        fused: Passes whose fused reading is right.
        exact: The same, with O and I as they are.
        sure: Passes whose fused confidence is at least SURE.
        sure_right: Share of those that are right; None where there are none.
    """

    name: str
    passes: int
    frames: int
    one_frame: float
    best_frame: float
    fused: float
    exact: float
    sure: float
    sure_right: float | None


def pass_figures(
    plates: Sequence[Transcribed], threshold: float, temperature: float = 1.0
) -> list[PassFigures]:
    """Of each source whose labels know the time, from the detector's boxes.

    Args:
        plates: Of all sources.
        threshold: Of the detector.
        temperature: On top of the bundle's own.
    """
    by_source: dict[str, list[Pass]] = defaultdict(list)
    for each in passes(plates):
        by_source[each[0].source].append(each)
    return [
        _figures(name, every, threshold, temperature=temperature)
        for name, every in by_source.items()
    ]


def passes(plates: Iterable[Transcribed]) -> Iterator[Pass]:
    """Parts plates with a time into passes."""
    rides: dict[tuple[str, str, str], list[tuple[float, Transcribed]]] = defaultdict(list)
    for plate in plates:
        if plate.moment and not plate.is_cut_out:
            video, t = plate.moment
            rides[plate.source, video, plate.text].append((t, plate))
    for seen in rides.values():
        seen.sort(key=lambda each: each[0])
        times = [t for t, _ in seen]
        cuts = [n for n in range(1, len(seen)) if times[n] - times[n - 1] > GAP_S]
        for start, end in zip([0, *cuts], [*cuts, len(seen)], strict=True):
            yield [plate for _, plate in seen[start:end]]


def fused(frames: Pass, threshold: float, temperature: float = 1.0) -> Answer:
    """What is published of a pass in the end."""
    fusion = Fusion()
    for plate in frames:
        if plate.found is not None and plate.score >= threshold:
            fusion.add(retempered(plate.found[0], temperature))
    return Answer(frames[0], fused_reading(fusion, shipped_formats()))


def _figures(
    name: str, every: Sequence[Pass], threshold: float, *, temperature: float
) -> PassFigures:
    glances = (
        [replace(plate, found=plate.found and plate.found[:1]) for plate in frames]
        for frames in every
    )
    singles = [end_to_end(frames, threshold, temperature) for frames in glances]
    best = [max(each, key=lambda answer: answer.reading.confidence) for each in singles]
    last = [fused(frames, threshold, temperature) for frames in every]
    sure = [each for each in last if each.reading.confidence >= SURE]
    return PassFigures(
        name=name,
        passes=len(every),
        frames=sum(map(len, every)),
        one_frame=sum(sum(a.is_right for a in each) / len(each) for each in singles) / len(every),
        best_frame=sum(each.is_right for each in best) / len(every),
        fused=sum(each.is_right for each in last) / len(every),
        exact=sum(each.is_exact for each in last) / len(every),
        sure=len(sure) / len(every),
        sure_right=part_of(each.is_right for each in sure),
    )
