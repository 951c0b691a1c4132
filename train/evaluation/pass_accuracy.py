"""Accuracy of the fused readings of vehicle passes, compared with single frames."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from plateid.core.formats import shipped_formats
from plateid.core.fusion import Fusion
from plateid.core.reading import fused_reading
from train.evaluation.image_results import LabelledPlate
from train.evaluation.reader_accuracy import ReadAccuracy, ReadResult, end_to_end, read_accuracy

GAP_S = 10.0
"""A plate that is not seen for longer than this begins another pass, seconds."""
Pass = Sequence[LabelledPlate]
"""The same text in successive frames of one video, in order of time; not empty."""


@dataclass(frozen=True)
class PassAccuracy:
    """Accuracy of a source's frames, of the best frame of each pass, and of the fused passes."""

    name: str
    frames: ReadAccuracy
    best_frames: ReadAccuracy
    fused: ReadAccuracy


def pass_accuracy(plates: Sequence[LabelledPlate]) -> list[PassAccuracy]:
    """Measures each source whose labels have times, in the detector's boxes."""
    by_source: dict[str, list[Pass]] = defaultdict(list)
    for each in passes(plates):
        by_source[each[0].source].append(each)
    found = []
    for name, every in by_source.items():
        # On a stream, a frame is read once, without test-time augmentation.
        once = [[replace(p, found=p.found and p.found[:1]) for p in frames] for frames in every]
        single = [end_to_end(frames) for frames in once]
        best = [max(each, key=lambda result: result.reading.confidence) for each in single]
        parts = ([result for each in single for result in each], best, map(fused, every))
        found.append(PassAccuracy(name, *(read_accuracy(list(part)) for part in parts)))
    return found


def passes(plates: Iterable[LabelledPlate]) -> Iterator[Pass]:
    """Groups plates with a time into passes."""
    videos: dict[tuple[str, str, str], list[tuple[float, LabelledPlate]]] = defaultdict(list)
    for plate in plates:
        if plate.moment and not plate.is_crop:
            video, t = plate.moment
            videos[plate.source, video, plate.text].append((t, plate))
    for seen in videos.values():
        seen.sort(key=lambda each: each[0])
        times = [t for t, _ in seen]
        cuts = [n for n in range(1, len(seen)) if times[n] - times[n - 1] > GAP_S]
        for start, end in zip([0, *cuts], [*cuts, len(seen)], strict=True):
            yield [plate for _, plate in seen[start:end]]


def fused(frames: Pass) -> ReadResult:
    """Returns what is published at the end of a pass."""
    fusion = Fusion()
    for plate in frames:
        if plate.found:
            fusion.add(plate.found[0])
    return ReadResult(frames[0], fused_reading(fusion, shipped_formats()))
