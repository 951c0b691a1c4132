"""Accuracy of reading: by what makes plates hard to read, by character, and of fused passes."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import zip_longest

from plateid.core.formats import shipped_formats
from plateid.core.fusion import Fusion
from plateid.core.reading import EMPTY, Reading, fused_reading, single_reading
from plateid.core.text import edit_distance, fold
from plateid.models.tta import fuse_variants
from train.evaluation.detector_accuracy import light
from train.evaluation.image_results import BoxReads, LabelledPlate

CONFIDENT = 0.9
"""Minimum confidence (0-1) of a confident reading. Users act on these, so few should be wrong."""
CHARACTER_HEIGHTS = {"< 8 px": 8, "8-12 px": 12, "12-20 px": 20}
"""Upper limits of the groups by `LabelledPlate.character_height`, pixels."""
TALLEST = "> 20 px"
"""Name of the group above the last limit."""
GROUP_ORDER = (*CHARACTER_HEIGHTS, TALLEST, "1 line", "2 lines", "clear", "hard", "day", "night")
"""Order of groups in a table. Other groups follow."""
NOTHING = ""
"""Stands for a missing character, or opposite an extra one."""
MAX_ERRORS = 0.5
"""Share of wrong characters up to which a text can be aligned with its reading."""

GAP_S = 10.0
"""A plate that is not seen for longer than this begins another pass, seconds."""
Pass = Sequence[LabelledPlate]
"""The same text in successive frames of one video, in order of time; not empty."""


@dataclass(frozen=True, eq=False)
class ReadResult:
    """A labelled plate and its reading, which is EMPTY if nothing was detected or read."""

    plate: LabelledPlate
    reading: Reading

    @property
    def is_folded_match(self) -> bool:
        """Whether the reading is the true text (O/0- and I/1-insensitive)."""
        return fold(self.plate.text) == fold(self.reading.plate)

    @property
    def edits(self) -> int:
        """Levenshtein distance between the true text and the reading."""
        return edit_distance(self.plate.text, self.reading.plate)


@dataclass(frozen=True)
class ReadAccuracy:
    """Accuracy on a group of plates. A ratio without a denominator is None."""

    plates: int
    plate_accuracy: float | None
    plate_accuracy_folded: float | None
    cer: float | None  # wrong, missing and extra characters per true character
    confident: float | None  # share of the plates read with a confidence of CONFIDENT or more
    confident_correct: float | None  # share of those that are correct (folded)

    def metrics(self, prefix: str = "") -> dict[str, float | None]:
        """Returns the metrics with their keys in `bundle.toml` and `report.json`."""
        keys = ("plates", "exact", "folded", "cer", "sure", "sure_right")
        return {
            f"{prefix}{key}": value for key, value in zip(keys, vars(self).values(), strict=True)
        }


@dataclass(frozen=True)
class GroupAccuracy:
    """Accuracy on a group of plates: end to end, and in their true boxes."""

    name: str
    end_to_end: ReadAccuracy
    crops: ReadAccuracy


def end_to_end(plates: Iterable[LabelledPlate]) -> list[ReadResult]:
    """Returns the readings in the detector's boxes, without plate crops. No box gives EMPTY."""
    return [
        ReadResult(plate, still_image_reading(plate.found)) for plate in plates if not plate.is_crop
    ]


def in_true_boxes(plates: Iterable[LabelledPlate]) -> list[ReadResult]:
    """Returns the readings in the labelled boxes."""
    return [ReadResult(plate, still_image_reading(plate.crop)) for plate in plates]


def still_image_reading(reads: BoxReads | None) -> Reading:
    """Returns the reading that `plateid read` gives for a still image."""
    return EMPTY if reads is None else single_reading(fuse_variants(list(reads)))


def read_accuracy(results: Sequence[ReadResult]) -> ReadAccuracy:
    """Returns the accuracy of these results."""
    confident = [each for each in results if each.reading.confidence >= CONFIDENT]
    characters = sum(len(each.plate.text) for each in results)
    return ReadAccuracy(
        plates=len(results),
        plate_accuracy=share(each.plate.text == each.reading.plate for each in results),
        plate_accuracy_folded=share(each.is_folded_match for each in results),
        cer=sum(each.edits for each in results) / characters if characters else None,
        confident=len(confident) / len(results) if results else None,
        confident_correct=share(each.is_folded_match for each in confident),
    )


def grouped_reader_accuracy(
    found: Sequence[ReadResult],
    crops: Sequence[ReadResult],
    trained: AbstractSet[str] = frozenset(),
) -> dict[str, list[GroupAccuracy]]:
    """Returns the accuracy by group: all plates, and plates with a common property.

    `found` are end to end, `crops` in true boxes. `trained` are the texts in the training parts.
    Without them there is no group "text".
    """

    def height(plate: LabelledPlate) -> str:
        bands = CHARACTER_HEIGHTS.items()
        return next((name for name, limit in bands if plate.character_height < limit), TALLEST)

    keys: dict[str, Callable[[LabelledPlate], str]] = {
        "source": lambda plate: plate.source,
        "characters": height,
        "lines": lambda plate: "2 lines" if plate.lines == 2 else "1 line",
        "legibility": lambda plate: plate.labels.legibility or "not labelled",
        "light": lambda plate: "" if plate.is_crop else light(plate.luma),
        "all": lambda _: "all",
    }
    if trained:
        keys["text"] = lambda plate: "trained text" if plate.text in trained else "new text"
    return {name: _grouped_by(key, found, crops) for name, key in keys.items()}


def _grouped_by(
    key: Callable[[LabelledPlate], str], found: Sequence[ReadResult], crops: Sequence[ReadResult]
) -> list[GroupAccuracy]:
    """Returns the accuracy for each value of `key`, except the empty string."""
    names = dict.fromkeys(key(each.plate) for each in crops)
    groups = []
    for name in dict.fromkeys((*GROUP_ORDER, *names)):
        if name in names and name:
            parts = ([r for r in side if key(r.plate) == name] for side in (found, crops))
            groups.append(GroupAccuracy(name, *map(read_accuracy, parts)))
    return groups


def share(values: Iterable[bool]) -> float | None:
    """Returns the share of values that are true; None without values."""
    each = list(values)
    return sum(each) / len(each) if each else None


def confusions(results: Iterable[ReadResult]) -> Counter[tuple[str, str]]:
    """Counts pairs of true and wrongly read characters, in texts with up to MAX_ERRORS."""
    return Counter(
        (truth, read)
        for each in results
        if each.edits <= MAX_ERRORS * len(each.plate.text)
        for truth, read in aligned(each.plate.text, each.reading.plate)
        if truth != read
    )


def aligned(truth: str, read: str) -> list[tuple[str, str]]:
    """Aligns two texts. Returns pairs of characters, with NOTHING where one side has none."""
    pairs: list[tuple[str, str]] = []
    blocks = SequenceMatcher(None, truth, read, autojunk=False).get_opcodes()
    for _, start, end, read_start, read_end in blocks:
        pairs += zip_longest(truth[start:end], read[read_start:read_end], fillvalue=NOTHING)
    return pairs


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
