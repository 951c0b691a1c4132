"""Compares the networks on the line with the base: what each gains and forgets, and the proof."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2

from plateid.core.geometry import sharpness
from plateid.core.records import PlateRead
from plateid.core.text import ctc_margins, ctc_positions
from train.evaluation.image_results import LabelledPlate
from train.learn.candidates import SHARES, Candidate, KeptSet, preferred
from train.learn.features import Features, Weights
from train.learn.fine_tuning import on_line
from train.learn.gather import OwnPlate
from train.learn.lesson import Lesson
from train.learn.proof import Proof, prove
from train.learn.reads import Array, Reads, read
from train.reader.real_plates import framed


@dataclass(frozen=True, eq=False)
class Results:
    """What was measured. Plates are held out: no network that reads them was trained on them."""

    proof: Proof
    chosen: Candidate
    candidates: Sequence[Candidate]
    before: Sequence[LabelledPlate]
    after: Sequence[LabelledPlate]


def examine(
    lesson: Lesson, networks: Sequence[Weights], last: Weights, counted: Sequence[int]
) -> Results:
    """Chooses a candidate that gains and forgets nothing, and compares it with the base.

    Candidates are measured in the order of preference. If all forget something, the first is
    chosen.
    """
    own = [lesson.own[number] for number in counted]
    before = lesson.before.part(counted)
    after = {share: lesson.held_out(networks, share).part(counted) for share in SHARES}
    gains = {
        share: float((each.label_logs - before.label_logs).mean()) for share, each in after.items()
    }
    kept = lesson.to_keep()
    known = {name: _accuracy(lesson.base, sample) for name, sample in kept.items()}
    candidates: list[Candidate] = []
    for share in preferred(gains):
        weights = on_line(lesson.base, last, share)
        sets = [
            KeptSet(name, len(s.texts), known[name], _accuracy(weights, s))
            for name, s in kept.items()
        ]
        candidates.append(Candidate(share, gains[share], tuple(sets)))
        if not candidates[-1].forgets:
            break
    chosen = candidates[0] if candidates[-1].forgets else candidates[-1]
    return Results(
        proof=prove(before, after[chosen.share], [each.vehicle for each in own]),
        chosen=chosen,
        candidates=candidates,
        before=_as_device(own, before),
        after=_as_device(own, after[chosen.share]),
    )


def _accuracy(weights: Weights, features: Features) -> float:
    return float(read(weights, features).folded.mean())


def _as_device(plates: Sequence[OwnPlate], reads: Reads) -> list[LabelledPlate]:
    """Returns the plates with what the device reads in them."""
    return [_labelled(*each) for each in zip(plates, reads.logs.exp().numpy(), strict=True)]


def _labelled(own: OwnPlate, steps: Array) -> LabelledPlate:
    crop = framed(own.plate, margin_x=0, margin_y=0)
    height = own.plate.box[3] - own.plate.box[1]
    read = PlateRead(ctc_positions(steps), sharpness(crop), height, ctc_margins(steps))
    luma = float(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY).mean())
    source, box = own.plate.source, own.plate.box
    return LabelledPlate(source, own.path, own.labels, box, luma, None, (read,), (read,), 1.0)
